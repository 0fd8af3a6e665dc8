"""Bodies on real sockets: how long one may take, whoever reads it, and who goes first (load-6)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from tests.server.conftest import Site
from tests.server.site import worker_connections
from tests.support.wire import Wire

pytestmark = pytest.mark.process

LENGTH = b"Content-Length: 1000"
CHUNKED = b"Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def impatient_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("impatient"), idle_s=0.2) as running:
        yield running


@pytest.fixture
def impatient(impatient_site: Site) -> Iterator[Site]:
    """A gunicorn that waits a fifth of a second for the next piece of a body."""
    with impatient_site.visit():
        yield impatient_site


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gunicorn that waits a third of a second for a whole body."""
    with Site(tmp_path_factory.mktemp("strict"), grace_s=0.3) as running:
        yield running


def _post(path: str, framing: bytes, body: bytes) -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: site\r\n%s\r\n\r\n%s" % (path.encode(), framing, body)


@pytest.mark.parametrize(
    ("framing", "body"),
    [(LENGTH, b"ten bytes."), (CHUNKED, b"a\r\nten bytes.\r\n")],
    ids=["length", "chunked"],
)
def test_a_silent_sender_is_told_so(impatient: Site, framing: bytes, body: bytes) -> None:
    wire = impatient.wire()
    wire.send(_post("/read", framing, body))
    reply = wire.reply()

    assert (reply.status, reply.body) == (400, b"request_timeout")
    assert wire.rest() == b""  # and the connection serves nothing else


@pytest.mark.parametrize(
    ("framing", "drop"), [(LENGTH, b"x"), (CHUNKED, b"1\r\nx\r\n")], ids=["length", "chunked"]
)
def test_a_sender_that_only_holds_a_place_is_told_so(
    strict: Site, framing: bytes, drop: bytes
) -> None:
    """Each byte comes within the time for a packet; all of them never do."""
    wire = strict.wire()
    wire.send(_post("/read", framing, b""))
    wire.sock.settimeout(0.02)
    for _ in range(500):
        try:
            if wire.sock.recv(1):
                break
        except TimeoutError:
            wire.send(drop)
    else:
        pytest.fail("dripping went on")


def test_a_body_nobody_read_is_not_waited_for_either(impatient: Site) -> None:
    wire = impatient.wire()
    wire.send(_post("/", LENGTH, b"ten bytes."))

    assert wire.reply().body == b"ok"
    assert wire.rest() == b""
    assert "Traceback" not in impatient.log()


def test_malformed_chunks_are_refused(site: Site) -> None:
    wire = site.wire()
    wire.send(_post("/read", CHUNKED, b"zz\r\n"))
    reply = wire.reply()

    assert (reply.status, reply.body) == (400, b"invalid_json")


def test_bodies_come_whole_and_by_lines(site: Site) -> None:
    wire = site.wire()
    wire.send(_post("/read", b"Content-Length: 200000", b"x" * 200_000))
    assert wire.reply().body == b"200000"
    wire.send(_post("/lines", b"Content-Length: 7", b"ab\ncd\ne"))
    assert wire.reply().body == b"ab\n|cd\n|e"


def _form(framing: bytes, body: bytes) -> bytes:
    kind = b"Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
    return _post("/read", kind + framing, body)


@pytest.mark.parametrize(
    ("framing", "body", "size"),
    [
        (b"Content-Length: 10", b"ten bytes.", b"10"),
        (b"Content-Length: 0", b"", b"0"),
        (b"Content-Length: 65536", b"x" * 65_536, b"65536"),
        (b"Content-Length: 65537", b"x" * 65_537, b"65537"),
        (CHUNKED, b"a\r\nten bytes.\r\n0\r\n\r\n", b"10"),
    ],
    ids=["ten", "none", "the longest read ahead", "a longer one", "chunks"],
)
def test_a_form_is_read_as_it_was_sent(
    site: Site, framing: bytes, body: bytes, size: bytes
) -> None:
    wire = site.wire()
    for _ in range(2):  # and the next request of the connection
        wire.send(_form(framing, body))
        assert wire.reply().body == size


@pytest.mark.parametrize(
    ("framing", "body"),
    [(LENGTH, b"ten bytes."), (CHUNKED, b"a\r\nten bytes.\r\n")],
    ids=["length", "chunked"],
)
def test_half_a_form_never_reaches_the_application(
    impatient: Site, framing: bytes, body: bytes
) -> None:
    wire, left = impatient.wire(), impatient.wire()
    wire.send(_form(framing, body))
    reply = wire.reply()
    left.send(_form(framing, body))
    left.sock.shutdown(socket.SHUT_WR)

    assert (reply.status, reply.json["error"]["message"]) == (
        400,
        "The request body came too slowly.",
    )
    assert wire.rest() == b""
    assert left.rest() == b""
    assert "Traceback" not in impatient.log()


@pytest.mark.parametrize(
    "body", [b"zz\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n0\r\n\r\n"], ids=["malformed", "long"]
)
def test_chunks_of_a_form_are_well_formed_and_few(site: Site, body: bytes) -> None:
    wire = site.wire()
    wire.send(_form(CHUNKED, body))

    assert wire.reply().status == 400


def _half(framing: bytes) -> Callable[[Wire], None]:
    return lambda wire: wire.send(_post("/read", framing, b"5\r\n"))


@pytest.mark.parametrize(
    "begin",
    [_half(LENGTH), _half(CHUNKED), lambda wire: wire.send(_form(LENGTH, b"a="))],
    ids=["length", "chunked", "form"],
)
def test_half_bodies_keep_nobody_out(site: Site, begin: Callable[[Wire], None]) -> None:
    for _ in range(3 * worker_connections):
        begin(site.wire())
    wire = site.wire()
    wire.send(b"GET / HTTP/1.1\r\nHost: site\r\n\r\n")

    assert wire.reply().body == b"ok"
