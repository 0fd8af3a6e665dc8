"""The operator and the caller of the contract tests, and a look at the records."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.conftest import Operator, caller, ollama, operator, the_operator
from tests.contract.wire import Reply

__all__ = ["caller", "ollama", "operator", "the_operator"]

WAIT_S = 10.0


def until(look: Callable[[], Any], what: str) -> Any:
    """Look again and again until something true is seen; give it."""
    deadline_s = time.monotonic() + WAIT_S
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline_s, f"waited {WAIT_S} s for {what}"


class Records:
    """The usage records, as the admin API shows them."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    def of(self, reply: Reply | str) -> dict[str, Any]:
        """Give the settled record of a call; there is exactly one."""
        request_id = reply if isinstance(reply, str) else reply.headers["x-request-id"]

        def settled() -> list[dict[str, Any]]:
            rows = self._operator.call("GET", "/requests?limit=200")["data"]
            return [row for row in rows if row["request_id"] == request_id and row["settled"]]

        found: list[dict[str, Any]] = until(settled, f"the record of {request_id}")
        assert len(found) == 1
        return found[0]

    def detail(self, reply: Reply | str) -> dict[str, Any]:
        """Give everything known of a call."""
        request_id = self.of(reply)["request_id"]
        found: dict[str, Any] = self._operator.call("GET", f"/requests/{request_id}")
        return found


@pytest.fixture
def records(operator: Operator) -> Records:
    """The usage records."""
    return Records(operator)
