"""A name server that hangs takes nobody else along."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from fake_ollama import FakeModel, FakeOllama, Script
from tests.integration.faults.conftest import QUICK
from tests.integration.faults.site import Site
from tests.support.process import ROOT, until

pytestmark = [pytest.mark.slow, pytest.mark.process, pytest.mark.timeout(240)]

TEXT = "Low tide at six."
GULL = FakeModel("gull:latest", ("completion",), context_length=8192, slots=64)
NAMED = 12
"""More than the ten threads in which names are looked up."""


_NAMES = """\
import _socket, os, time

_real, _sleep = _socket.getaddrinfo, time.sleep

def _slow(host, *args, **kwargs):
    if str(host).endswith(".internal"):
        for _ in range(1200):
            if not os.path.exists(os.environ["NAMES_HANG"]):
                break
            _sleep(0.05)
        host = "127.0.0.1"
    return _real(host, *args, **kwargs)

_socket.getaddrinfo = _slow
"""


class Names:
    """Lets all names under `.internal` lead to this machine, or hang."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_NAMES)
        self._flag = folder / "hang"
        self.environ = {"PYTHONPATH": f"{folder}:{ROOT}", "NAMES_HANG": str(self._flag)}

    def hang(self) -> None:
        """Answer no question any more, for at most a minute each."""
        self._flag.touch()

    def answer(self) -> None:
        """Answer again, also the questions that wait."""
        self._flag.unlink(missing_ok=True)


def certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 that signs itself, with its key in the same file."""
    key, cert, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
            "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:TRUE",
            "-keyout", str(key), "-out", str(cert),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    return both


def told(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_name_server_that_hangs_stops_nobody_else(tmp_path: Path):
    """U2: twelve servers have a name, one has an address; the names stop being answered."""
    names = Names(tmp_path / "names")
    with FakeOllama([GULL]) as named:
        named.script("gull", Script(content=TEXT))
        port = named.url.rpartition(":")[2]
        urls = [f"http://gull{number}.internal:{port}" for number in range(NAMED)]
        with Site(
            tmp_path, urls=lambda found: [found[0].url, *urls], environ=names.environ, **QUICK
        ) as site:
            site.ollama.script("tern", Script(content=TEXT))
            until(lambda: site.chat(model="gull").ok, "the named servers to be known")
            newcomer = site.gateway.issue_key("newcomer")
            names.hang()
            site.gateway.stop()
            site.gateway.start()
            until(lambda: site.chat().ok, "the server with an address")
            with ThreadPoolExecutor(8) as pool:
                lost = [pool.submit(site.chat, model="gull") for _ in range(4)]
                well = [pool.submit(site.chat) for _ in range(20)]
                lost_told = [told(future.result()) for future in lost]
                unknown = pool.submit(site.chat, key=newcomer)  # asks the database
                answers = [future.result() for future in (*well, unknown)]
            rows = [site.row(answer.headers["x-request-id"]) for answer in answers]
            names.answer()
            back = until(lambda: site.chat(model="gull").ok, "the named servers")

    assert set(lost_told) <= {(502, "upstream_unreachable"), (503, "no_upstream_available")}
    assert {answer.status_code for answer in answers} == {200}
    assert {row.status for row in rows} == {200}
    assert back
