"""The time limits of one upstream call."""

from __future__ import annotations

from typing import Any, cast

import pytest
from gateway.calls.holds import NEVER_S, limits

from gateway.calls.prepare import Prepared
from gateway.core.behaviour import Behaviour
from gateway.core.chat import Call
from gateway.core.keys import Key
from tests.policy.values import chat

CASES: dict[str, tuple[int, bool, tuple[float | None, float]]] = {
    "whole answer, or a limit asked for": (9_000, False, (9.0, NEVER_S)),
    "whole answer without a limit": (0, False, (None, NEVER_S)),
    "stream": (9_000, True, (None, 9.0)),
    "stream without a limit": (0, True, (None, NEVER_S)),
}


@pytest.mark.parametrize(("timeout_ms", "start_only", "expected"), CASES.values(), ids=CASES)
def test_the_wait_for_the_first_record_is_never_silence(
    timeout_ms: int, start_only: bool, expected: tuple[float | None, float]
) -> None:
    key, request = Key(id=1, name="k", prefix="sk-o2a-xx"), chat()
    prepared = Prepared(
        Call(request),
        key,
        cast(Any, None),
        request,
        timeout_ms=timeout_ms,
        limits_start_only=start_only,
    )

    found = limits(prepared, Behaviour(idle_timeout_s=7))

    assert found["idle_timeout_s"] == 7
    assert (found["total_timeout_s"], found["first_timeout_s"]) == expected
