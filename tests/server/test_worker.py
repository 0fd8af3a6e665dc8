"""The worker on real sockets: refusals, idle connections, what ends silently."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gunicorn.http import errors

from gateway.server.worker import GatewayWorker
from tests.server.conftest import Site
from tests.server.site import CANARY, worker_connections
from tests.support.wire import Wire

HOST = b"Host: site\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"

MALFORMED: dict[str, tuple[bytes, int]] = {
    "no version": (b"GET /" + CANARY.encode() + b"\r\n\r\n", 400),
    "long line": (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "long header": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 10_000 + b"\r\n\r\n", 431),
    "expect": (b"GET / HTTP/1.1\r\n" + HOST + b"Expect: " + CANARY.encode() + b"\r\n\r\n", 417),
    "coding": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: brotli\r\n\r\n", 400),
    "a fault": (b"GET /raise HTTP/1.1\r\n" + HOST + b"\r\n", 500),
}


def _get(wire: Wire, path: str, version: str = "1.1", method: str = "GET") -> None:
    wire.send(f"{method} {path} HTTP/{version}\r\nHost: site\r\n\r\n".encode())


@pytest.mark.process
@pytest.mark.parametrize(("raw", "status"), MALFORMED.values(), ids=MALFORMED)
def test_a_refusal_is_json_with_an_id(site: Site, raw: bytes, status: int) -> None:
    wire = site.wire()
    wire.send(raw)
    reply = wire.reply()

    assert reply.status == status
    assert reply.headers["connection"] == "close"
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    kind = "server_error" if status == 500 else "invalid_request_error"
    assert reply.json["error"]["type"] == kind
    assert CANARY not in reply.body.decode()
    assert reply.headers["x-request-id"] in site.log()
    assert wire.rest() == b""


CASES = [
    (errors.InvalidRequestLine("x"), 400),
    (errors.InvalidHeader("x"), 400),
    (errors.InvalidChunkSize(b"x"), 400),
    (errors.UnsupportedTransferCoding("x"), 400),
    (errors.ForbiddenProxyRequest("x"), 403),
    (errors.InvalidResponseHeader("x"), 500),
    (errors.InvalidResponseHeaderName("x"), 500),
    (errors.ConfigurationProblem("x"), 500),
    (ValueError("x"), 500),
]


class _Log:
    def warning(self, *args: object) -> None: ...
    def exception(self, *args: object) -> None: ...


class _Client:
    def __init__(self) -> None:
        self.received = b""

    def sendall(self, data: bytes) -> None:
        self.received += data


@pytest.mark.parametrize(("error", "status"), CASES, ids=[type(case[0]).__name__ for case in CASES])
def test_what_gunicorn_raises_has_a_status(error: Exception, status: int) -> None:
    worker, client = GatewayWorker.__new__(GatewayWorker), _Client()
    worker.log = _Log()
    worker.handle_error(None, client, None, error)
    head, _, body = client.received.partition(b"\r\n\r\n")

    assert int(head.split()[1]) == status
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["error"]["param"] is None


@pytest.mark.process
def test_a_stream_is_chunked_and_the_connection_goes_on(site: Site) -> None:
    wire = site.wire()
    for _ in range(2):
        _get(wire, "/stream")
        status, headers = wire.head()

        assert status == 200
        assert list(wire.body(headers)) == [b"one", b"two"]


@pytest.mark.process
def test_an_old_client_gets_a_stream_without_chunks(site: Site) -> None:
    wire = site.wire()
    _get(wire, "/stream", version="1.0")
    status, headers = wire.head()

    assert status == 200
    assert "transfer-encoding" not in headers
    assert wire.rest() == b"onetwo"


@pytest.mark.process
@pytest.mark.parametrize(
    ("path", "method", "expected"), [("/", "HEAD", 200), ("/nothing", "GET", 204)]
)
def test_what_has_no_body_leaves_the_connection_in_order(
    site: Site, path: str, method: str, expected: int
) -> None:
    wire = site.wire()
    _get(wire, path, method=method)
    first, _ = wire.head()
    _get(wire, "/")

    assert first == expected
    assert wire.reply().body == b"ok"


@pytest.mark.process
def test_idle_connections_can_be_closed(site: Site) -> None:
    """As the drain does: not the one on which a request is being served."""
    idle, busy = site.wire(), site.wire()
    idle.send(GET)
    assert idle.reply().body == b"ok"
    _get(busy, "/close-idle")

    assert busy.reply().body == b"ok"
    assert idle.rest() == b""
    busy.send(GET)
    assert busy.reply().body == b"ok"


@pytest.mark.process
def test_the_oldest_idle_connection_makes_room(site: Site) -> None:
    wires = []
    for _ in range(worker_connections):
        wires.append(site.wire())
        wires[-1].send(GET)
        assert wires[-1].reply().body == b"ok"

    assert wires[0].rest() == b""
    wires[1].send(GET)
    assert wires[1].reply().body == b"ok"


@pytest.mark.process
def test_a_client_that_read_nothing_ends_silently(site: Site) -> None:
    before = len(site.log())
    wire = site.wire()
    _get(wire, "/unread")

    assert wire.rest() == b""
    assert site.log()[before:] == ""


@pytest.mark.process
def test_who_does_not_ask_at_once_is_let_go(tmp_path: Path) -> None:
    with Site(tmp_path, head_s=0.05) as site:
        for said in (b"", b"GET / HTTP/1.1\r\nHost: si"):
            wire = site.wire()
            wire.send(said)

            assert wire.rest() == b"", said
        assert "ERROR" not in site.log()
