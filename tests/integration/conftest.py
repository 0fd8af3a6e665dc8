"""An operator at the admin API, a caller without a client library, and a look at the records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import requests

from fake_ollama import FakeOllama
from tests.support.process import Gateway, until
from tests.support.wire import Reply, Wire, post


class Operator:
    """Changes the running gateway by its admin API; what was changed is put back."""

    def __init__(self, gateway: Gateway) -> None:
        self._url = f"{gateway.url}/api/admin/v1"
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.headers["Authorization"] = f"Bearer {gateway.issue_token()}"

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, f"{self._url}{path}", json=body, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    @contextmanager
    def settings(self, **changes: Any) -> Iterator[None]:
        """Let other settings be in force for a while."""
        self.call("PATCH", "/settings", changes)
        try:
            yield
        finally:
            self.call("PATCH", "/settings", dict.fromkeys(changes))

    def key(self, **fields: Any) -> str:
        """Issue a key; give its secret."""
        made = self.call("POST", "/keys", {"name": "of a test", "allow": ["*"], **fields})
        return str(made["secret"])

    def key_id(self, secret: str) -> int:
        found = self.call("GET", "/keys?limit=1000")["data"]
        return int(next(key["id"] for key in found if secret.endswith(key["last4"])))

    def model(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = self.call("GET", "/models")["data"]
        return next(model for model in found if model["name"] == name)

    @contextmanager
    def changed_model(self, name: str, **changes: Any) -> Iterator[None]:
        """Let a model be different for a while."""
        before = self.model(name)
        self.call("PATCH", f"/models/{before['id']}", changes)
        try:
            yield
        finally:
            back = {field: before[field] for field in changes}
            self.call("PATCH", f"/models/{before['id']}", back)


@pytest.fixture(scope="session")
def the_operator(shared_gateway: Gateway) -> Iterator[Operator]:
    made = Operator(shared_gateway)
    yield made
    made.close()


@pytest.fixture
def operator(the_operator: Operator, live: Gateway) -> Operator:
    """Who runs the gateway."""
    return the_operator


class Caller:
    """Somebody who writes HTTP by hand."""

    def __init__(self, gateway: Gateway, stack: ExitStack) -> None:
        self.gateway = gateway
        self.key = gateway.key
        self._stack = stack

    def wire(self) -> Wire:
        """Open a connection, closed after the test at the latest."""
        return self._stack.enter_context(Wire(self.gateway))

    def post(
        self, path: str, body: Any, headers: dict[str, str] | None = None, key: str = ""
    ) -> Reply:
        """Send a body and read the whole answer, streamed or not."""
        wire = self.wire()
        wire.send(post(path, body, key or self.key, headers))
        return wire.reply()

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, key: str = ""
    ) -> Reply:
        """Send a request without a body."""
        fields = {
            "Host": "gateway",
            "Authorization": f"Bearer {key or self.key}",
            **(headers or {}),
        }
        lines = "".join(f"{name}: {text}\r\n" for name, text in fields.items())
        wire = self.wire()
        wire.send(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
        if method == "HEAD":
            status, found = wire.head()
            return Reply(status, found, b"")
        return wire.reply()


@pytest.fixture
def caller(live: Gateway) -> Iterator[Caller]:
    """Somebody with a key and a socket."""
    with ExitStack() as stack:
        yield Caller(live, stack)


@pytest.fixture
def ollama(shared_ollama: FakeOllama, live: Gateway) -> FakeOllama:
    """The fake behind the gateway, clean."""
    return shared_ollama


class Records:
    """The usage records, as the admin API shows them."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    def of(self, reply: Reply | str) -> dict[str, Any]:
        """Return the settled record of a call; there is exactly one."""
        request_id = reply if isinstance(reply, str) else reply.headers["x-request-id"]

        def settled() -> list[dict[str, Any]]:
            rows = self._operator.call("GET", "/requests?limit=200")["data"]
            return [row for row in rows if row["request_id"] == request_id and row["settled"]]

        found: list[dict[str, Any]] = until(settled, f"the record of {request_id}")
        assert len(found) == 1
        return found[0]

    def detail(self, reply: Reply | str) -> dict[str, Any]:
        """Return everything known of a call."""
        request_id = self.of(reply)["request_id"]
        found: dict[str, Any] = self._operator.call("GET", f"/requests/{request_id}")
        return found


@pytest.fixture
def records(operator: Operator) -> Records:
    """The usage records."""
    return Records(operator)
