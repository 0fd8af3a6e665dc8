"""Servers that cannot be reached in time or in trust: names, certificates, endless heads."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from fake_ollama import FakeModel, FakeOllama, Fault, Script
from tests.integration.faults.conftest import QUICK
from tests.integration.faults.site import Site
from tests.integration.faults.ways import Names, TlsFront, certificate
from tests.support.process import until

pytestmark = [pytest.mark.slow, pytest.mark.process, pytest.mark.timeout(240)]

TEXT = "Low tide at six."
GULL = FakeModel("gull:latest", ("completion",), context_length=8192, slots=64)
NAMED = 12
"""More than the ten threads in which names are looked up."""


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
            tmp_path,
            urls=lambda found: [found[0].url, *urls],
            environ=names.environ,
            **QUICK,
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


def test_a_name_nobody_knows_is_told_and_its_calls_go_elsewhere(tmp_path: Path):
    """U1: the address of one of two servers becomes a name that does not exist."""
    with Site(tmp_path, count=2, **QUICK) as site:
        for ollama in site.ollamas:
            ollama.script("tern", Script(content=TEXT))
        site.change_servers(urls=["http://no-such-host.invalid:11434", site.ollamas[1].url])
        until(lambda: "is unknown" in site.log(), "a look at the name")
        seen = len(site.ollama.calls("/api/chat"))
        codes = [site.chat().status_code for _ in range(12)]
        unseen = len(site.ollama.calls("/api/chat"))
        site.change_servers(urls=["http://no-such-host.invalid:11434", "http://also.invalid"])
        until(lambda: not site.chat().ok, "the last server to be gone")
        alone = [told(site.chat()) for _ in range(3)]

    assert set(codes) == {200}
    assert unseen == seen
    assert set(alone) <= {(502, "upstream_unreachable"), (503, "no_upstream_available")}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_certificate_nobody_vouches_for_gets_no_prompt(tmp_path: Path):
    """U3: a proxy with its own certificate is put in front of a known server."""
    vouched = certificate(tmp_path)
    with TlsFront(vouched) as front, Site(tmp_path, **QUICK) as site:
        site.ollama.script("tern", Script(content=TEXT))
        url = front.before(site.ollama.url)
        seen = len(site.ollama.calls("/api/chat"))
        site.change_servers(url=url)
        until(lambda: front.refused, "a connection that was given up")
        refused = [told(site.chat()) for _ in range(3)]
        unseen = len(site.ollama.calls("/api/chat"))
        agreed = front.agreed

        site.change_servers(tls_verify=False)
        until(lambda: site.chat().ok, "the server nobody looks at")
        site.change_servers(tls_verify=True, tls_ca_file=str(vouched))
        until(lambda: site.chat().ok, "the server somebody vouches for")

    assert set(refused) <= {(502, "upstream_unreachable"), (503, "no_upstream_available")}
    assert (unseen, agreed) == (seen, 0)


def test_a_head_that_drips_has_one_limit(one: Site):
    """U5: a byte now and then keeps a limit for each read from striking; the head as a whole has
    one, and others are served meanwhile."""
    one.ollama.script("tern", Script(content=TEXT, fault=Fault("drip_headers", interval_s=1.0)))
    with ThreadPoolExecutor(2) as pool:
        whole, streamed = pool.submit(one.chat), pool.submit(one.stream)
        one.ollama.wait_for(lambda call: call.path == "/api/chat")
        other = requests.get(f"{one.gateway.url}/v1/models", headers=one.headers, timeout=5)
        answer, stream = whole.result(), streamed.result()

    assert other.status_code == 200
    assert told(answer) == (504, "upstream_timeout")
    assert stream.error is not None
    assert stream.error["code"] == "upstream_timeout"
    assert not stream.is_complete
    assert one.row(answer.headers["x-request-id"]).error_code == "upstream_timeout"
    one.ollama.wait_disconnect(2)
