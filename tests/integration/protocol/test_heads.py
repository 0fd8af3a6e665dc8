"""HEAD and OPTIONS: probes and browsers ask every address that way."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Caller
from tests.support.wire import Wire

pytestmark = pytest.mark.process

READABLE = ["/", "/healthz", "/readyz", "/v1/models", "/v1/models/llama3.2", "/openapi.json"]
OTHERS = ["/v1/chat/completions", "/v1/responses", "/anthropic/v1/messages", "/v1/nothing"]


def _head(wire: Wire, path: str, key: str) -> tuple[int, dict[str, str]]:
    wire.send(f"HEAD {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    return wire.head()


@pytest.mark.parametrize("path", READABLE)
def test_a_head_tells_what_a_get_would(caller: Caller, path: str) -> None:
    whole = caller.ask("GET", path)

    status, headers = _head(caller.wire(), path, caller.key)

    assert status == whole.status == 200
    assert headers["content-type"] == whole.headers["content-type"]
    assert headers["content-length"] == str(len(whole.body))


def test_heads_leave_the_connection_in_order(caller: Caller) -> None:
    """No body follows, whatever the length says: the next answer begins at once."""
    wire = caller.wire()

    found = [_head(wire, path, caller.key)[0] for path in (*READABLE, *OTHERS, "/healthz")]

    assert found == [200] * len(READABLE) + [405, 405, 405, 404, 200]


@pytest.mark.parametrize("path", [*READABLE, *OTHERS])
def test_a_preflight_has_neither_body_nor_type(caller: Caller, path: str) -> None:
    wire = caller.wire()
    for _ in range(2):
        wire.send(f"OPTIONS {path} HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n".encode())
        status, headers = wire.head()

        assert status == 204
        assert headers["access-control-allow-origin"] == "*"
        assert "content-type" not in headers
        assert headers.get("content-length", "0") == "0"
