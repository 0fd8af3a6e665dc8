"""Servers are added, tried, changed and removed; what is wrong with one is said in words."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fake_ollama import FakeModel, FakeOllama
from gateway.core.admin import Actor
from gateway.errors import (
    Forbidden,
    GatewayError,
    InvalidRequest,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.management.servers import changed
from gateway.ollama.addresses import LateAnswer
from gateway.ollama.diagnosis import explain
from gateway.runtime.database import Store
from gateway.schemas.server import Server
from gateway.store import audit
from tests.services.conftest import FakeClock
from tests.services.sites import Site

EVE = Actor("admin", "eve", 7)
SECRET = "Authorization: Bearer hunter2hunter2"


@pytest.fixture
def site(store: Store, clock: FakeClock) -> Iterator[Site]:
    site = Site(store, clock)
    yield site
    site.close()


@pytest.fixture
def box() -> Iterator[FakeOllama]:
    with FakeOllama([FakeModel("tern:latest")]) as ollama:
        yield ollama


def entries(site: Site) -> list[tuple[str, str]]:
    return [
        (entry.action, entry.object_name)
        for entry in site.store.read(audit.page)
        if entry.object_kind == "server"
    ]


def test_a_server_is_added_changed_and_removed(site: Site, box: FakeOllama):
    made = site.servers.create({"name": "box", "url": box.url}, EVE)
    assert site.names() == {"tern:latest"}

    changed = site.servers.update(made.id, {"name": "big box", "weight": 3, "slots": 2}, EVE)
    assert (changed.name, changed.weight, changed.slots) == ("big box", 3, 2)
    assert next(iter(site.scheduler.servers.values())).server == changed

    site.servers.delete(made.id, EVE)
    assert not site.scheduler.servers
    assert site.names() == set()
    assert entries(site) == [
        ("server.delete", "big box"),
        ("server.update", "big box"),
        ("server.create", "box"),
    ]


def test_a_server_without_a_name_is_called_after_its_host(site: Site, box: FakeOllama):
    assert site.servers.create({"url": box.url}, EVE).name == "127.0.0.1"


def test_an_unreachable_server_can_be_added_and_says_so(site: Site):
    made = site.servers.create({"name": "away", "url": "http://127.0.0.1:1"}, EVE)

    note = site.catalog.snapshot().notes[made.id]
    assert "Nothing listens on port 1" in note.error


def test_the_secret_header_is_used_and_never_written_down_elsewhere(site: Site, box: FakeOllama):
    site.servers.create({"name": "box", "url": box.url, "auth_header": SECRET}, EVE)

    assert box.requests[-1].headers["authorization"] == "Bearer hunter2hunter2"
    written = repr(site.store.read(audit.page)) + repr(site.catalog.servers())
    assert "hunter2" not in written
    assert "has_auth_header" in written


def test_the_secret_header_does_not_follow_to_another_host(site: Site, box: FakeOllama):
    made = site.servers.create({"name": "box", "url": box.url, "auth_header": SECRET}, EVE)

    with pytest.raises(InvalidRequest, match="enter its authorization header again") as caught:
        site.servers.update(made.id, {"url": "http://elsewhere:11434"}, EVE)
    assert caught.value.param == "auth_header"

    moved = site.servers.update(made.id, {"url": "http://elsewhere", "auth_header": ""}, EVE)
    assert moved.auth_header == ""


def test_names_and_addresses_are_taken_once(site: Site, box: FakeOllama):
    site.servers.create({"name": "box", "url": box.url}, EVE)

    with pytest.raises(InvalidRequest) as same_url:
        site.servers.create({"name": "other", "url": box.url + "/"}, EVE)
    with pytest.raises(InvalidRequest) as same_name:
        site.servers.create({"name": "BOX", "url": "http://127.0.0.1:1"}, EVE)

    assert (same_url.value.param, same_name.value.param) == ("url", "name")


GOOD = {
    "name": ("  box  ", "box"),
    "url": ("box", "http://box:11434"),
    "weight": (100, 100),
    "enabled": (False, False),
    "draining": (True, True),
    "auth_header": (" X-Key: abc ", "X-Key: abc"),
    "tls_verify": (False, False),
    "tls_ca_file": (__file__, __file__),
    "slots": (0, 0),
    "vram_gb": (24, 24),
    "tags": (["gpu", " gpu ", "", "attic"], ("gpu", "attic")),
}


@pytest.mark.parametrize(("field", "values"), GOOD.items(), ids=GOOD)
def test_fields_are_read(field, values):
    given, expected = values

    assert getattr(changed(Server(1, "n", "http://n"), {field: given}), field) == expected


BAD = [
    ("id", 3),
    ("secret", "x"),
    ("name", 7),
    ("name", "x" * 121),
    ("name", "a\nb"),
    ("url", "http://169.254.169.254"),
    ("url", "ftp://box"),
    ("url", None),
    ("weight", 0),
    ("weight", 101),
    ("weight", 1.5),
    ("weight", True),
    ("weight", "1"),
    ("slots", -1),
    ("slots", 1025),
    ("vram_gb", -1),
    ("vram_gb", 11.5),
    ("enabled", "yes"),
    ("draining", 1),
    ("auth_header", "hunter2"),
    ("auth_header", "A: b\r\nX: c"),
    ("auth_header", "bad name: x"),
    ("auth_header", "Name:"),
    ("auth_header", "Host: other"),
    ("auth_header", "Content-Length: 0"),
    ("auth_header", "Näme: x"),
    ("tls_ca_file", "/no/such/file"),
    ("tags", "gpu"),
    ("tags", ["x"] * 21),
    ("tags", [1]),
]


@pytest.mark.parametrize(("field", "value"), BAD, ids=[f"{f}={v!r}"[:40] for f, v in BAD])
def test_a_wrong_field_is_refused_by_name(field, value):
    with pytest.raises(InvalidRequest) as caught:
        changed(Server(1, "n", "http://n"), {field: value})

    assert caught.value.param in {field, f"{field}[0]"}


# What is wrong with a server


class Answering:
    """A socket that answers every connection with the same bytes, or with silence."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self._sock = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._sock.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
                self._open.append(sock)
                if self._answer is not None:
                    sock.recv(65536)
                    sock.sendall(self._answer)
                    sock.shutdown(socket.SHUT_WR)
            except OSError:
                return

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *exc: object) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        for sock in self._open:
            sock.close()


def http(status: str, body: str, kind: str = "application/json") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


ANSWERS = {
    "a web server": (http("200 OK", "<html>hello</html>", "text/html"), "not_ollama", "not Ollama"),
    "an unknown path": (http("404 Not Found", "no"), "not_ollama", "not Ollama"),
    "a wall": (http("401 Unauthorized", "{}"), "unauthorized", "credentials"),
    "something that is not HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "not_ollama", "not Ollama"),
    "something that hangs up": (b"", "failed", "closed the connection"),
}


@pytest.mark.parametrize(("answer", "kind", "words"), ANSWERS.values(), ids=ANSWERS)
def test_what_is_not_ollama_is_told_from_it(site: Site, answer, kind, words):
    with Answering(answer) as other:
        trouble = site.servers.attempt(Server(0, "x", other.url)).trouble

    assert trouble is not None
    assert (trouble.kind, words in trouble.message) == (kind, True), trouble
    assert trouble.fix


def test_tls_to_a_plain_server_is_explained(site: Site):
    with Answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as plain:
        url = plain.url.replace("http:", "https:")
        trouble = site.servers.attempt(Server(0, "x", url)).trouble

    assert trouble is not None
    assert trouble.kind == "tls"
    assert "plain http" in trouble.fix


def test_a_refused_connection_is_explained_by_where_it_is(site: Site):
    here = site.servers.attempt(Server(0, "x", "http://127.0.0.1:1")).trouble
    there = explain(caused(ConnectionRefusedError()), "http://192.168.1.9:11434")

    assert here is not None
    assert "host.docker.internal" in here.fix
    assert "OLLAMA_HOST=0.0.0.0" in there.fix
    assert "11434 of 192.168.1.9" in there.message


def test_a_name_nobody_knows_is_explained(site: Site):
    trouble = site.servers.attempt(Server(0, "x", "http://no-such-host.invalid:11434")).trouble

    assert trouble is not None
    assert (trouble.kind, trouble.message) == ("dns", "The name no-such-host.invalid is unknown.")


def test_a_name_that_leads_to_metadata_is_refused(site: Site, monkeypatch):
    def lookup(host: str, port: int, *args: object, **kwargs: object) -> list:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", port))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    trouble = site.servers.attempt(Server(0, "x", "http://innocent.example:80")).trouble

    assert trouble is not None
    assert trouble.kind == "forbidden"
    assert "metadata" in trouble.fix


def caused(cause: BaseException, error: GatewayError | None = None) -> GatewayError:
    error = error or UpstreamUnreachable("no")
    error.__cause__ = cause
    return error


def wrapped(cause: BaseException) -> BaseException:
    outer = RuntimeError("outer", cause)
    outer.__context__ = ValueError("noise")
    return outer


certificate = ssl.SSLCertVerificationError("bad")
certificate.verify_message = "self-signed certificate"

EXPLAINED = {
    "refused": (caused(ConnectionRefusedError()), "refused"),
    "refused, wrapped": (caused(wrapped(ConnectionRefusedError())), "refused"),
    "dns": (caused(socket.gaierror()), "dns"),
    "dns, late": (caused(LateAnswer()), "failed"),
    "no route": (caused(OSError(113, "No route to host")), "no_route"),
    "network down": (caused(OSError(101, "unreachable")), "no_route"),
    "certificate": (caused(certificate), "tls"),
    "handshake": (caused(ssl.SSLError("wrong version number")), "tls"),
    "slow": (UpstreamTimeout("slow"), "timeout"),
    "slow to connect": (caused(TimeoutError()), "timeout"),
    "login": (UpstreamError("x", code="upstream_unauthorized"), "unauthorized"),
    "name refused": (Forbidden("x", code="upstream_forbidden"), "failed"),
    "nonsense": (UpstreamError("x", code="upstream_bad_response"), "not_ollama"),
    "reset": (caused(ConnectionResetError()), "failed"),
    "anything": (UpstreamError("It burns."), "failed"),
}


@pytest.mark.parametrize(("error", "kind"), EXPLAINED.values(), ids=EXPLAINED)
def test_every_failure_has_a_kind_a_sentence_and_a_remedy(error, kind):
    trouble = explain(error, "http://box:11434")

    assert trouble.kind == kind
    assert trouble.message.endswith(".")
    assert trouble.fix.endswith(".")
    assert str(trouble) == trouble.message


def test_a_chain_of_causes_that_bites_its_tail_is_survived():
    error = caused(ConnectionRefusedError())
    error.__cause__.__context__ = error

    assert explain(error, "http://box").kind == "refused"


def test_a_self_signed_certificate_is_named():
    assert "self-signed certificate" in explain(caused(certificate), "https://box").message


# First run


def test_servers_are_discovered_and_the_found_ones_come_first(site: Site, box: FakeOllama):
    found = site.servers.discover([box.url])

    assert (found[0].url, found[0].trouble, found[0].models) == (box.url, None, ("tern:latest",))
    assert len(found) == 4
    assert all(tried.trouble or tried.version for tried in found)


def test_an_edited_address_is_a_new_line(site: Site, box: FakeOllama):
    made = site.servers.create({"name": "box", "url": box.url}, EVE)
    first = site.clients(made)

    assert site.clients(replace(made, weight=9)) is first
    assert site.clients(replace(made, auth_header=SECRET)) is not first
