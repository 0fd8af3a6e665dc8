"""A dead server is noticed, and its coming back as well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fake_ollama import FakeModel, FakeOllama, Script, error, status
from gateway.core.admin import SYSTEM
from gateway.errors import GatewayError
from gateway.runtime.database import Store
from tests.services.conftest import FakeClock
from tests.services.sites import Site

TERN = FakeModel("tern:latest", ("completion",), context_length=32_768)


@pytest.fixture
def site(store: Store, clock: FakeClock) -> Iterator[Site]:
    site = Site(store, clock)
    yield site
    site.close()


@pytest.fixture
def box() -> Iterator[FakeOllama]:
    with FakeOllama([TERN]) as ollama:
        yield ollama


def view(site: Site):
    return site.scheduler.views()[0]


def test_a_server_that_was_never_asked_is_used_all_the_same(site: Site, box: FakeOllama):
    server = site.add(box)

    assert site.state(server) == ("unknown", "It has not been asked yet.")
    assert site.scheduler.ticket(site.model("tern:latest"), None).wait(0) is not None


def test_a_probe_tells_version_memory_and_latency(site: Site, box: FakeOllama):
    server = site.add(box)
    site.operations.load("tern:latest", [server.id], SYSTEM)
    site.probe()

    found = view(site)
    assert (found.state, found.version) == ("ready", "0.33.0")
    assert found.loaded["tern:latest"].context_tokens == 4096
    assert found.latency_ms is not None
    assert found.checked_at is not None


def test_a_well_server_is_asked_every_few_seconds(site: Site, box: FakeOllama):
    site.add(box)
    site.probe()
    before = len(box.calls("/api/ps"))
    for _ in range(10):
        site.clock.tick(1)
        site.probe()

    assert len(box.calls("/api/ps")) == before + 2


def test_the_version_is_asked_seldom(site: Site, box: FakeOllama):
    site.add(box)
    before = len(box.calls("/api/version"))
    for _ in range(13):
        site.probe()
        site.clock.tick(6)

    assert len(box.calls("/api/version")) - before == 2


TROUBLES = {
    "refused": (lambda box: box.stop(), 1, "Nothing listens"),
    "frozen": (lambda box: box.freeze(), 2, "does not answer"),
    "an error": (lambda box: box.script("/api/ps", Script(fault=error(500, "oops"))), 2, "oops"),
    "something else": (
        lambda box: box.script("/api/ps", Script(fault=status(200, "<html>hi</html>"))),
        2,
        "not Ollama",
    ),
}


@pytest.mark.parametrize(("spoil", "probes", "words"), TROUBLES.values(), ids=TROUBLES)
def test_a_dead_server_is_noticed(site: Site, box: FakeOllama, spoil, probes, words):
    server = site.add(box)
    site.probe()
    spoil(box)
    for count in range(probes):
        assert site.state(server)[0] != "down", count
        site.clock.tick(6)
        site.probe()

    state, reason = site.state(server)
    assert state == "down"
    assert words in reason
    box.thaw()


def test_a_server_that_comes_back_is_used_within_two_seconds(site: Site, box: FakeOllama):
    server = site.add(box)
    site.probe()
    box.stop()
    site.clock.tick(6)
    site.probe()
    assert site.state(server)[0] == "down"
    site.clock.tick(60)
    site.probe()

    box.start()
    site.clock.tick(1.5)
    site.probe()

    assert site.state(server)[0] == "ready"
    assert site.scheduler.ticket(site.model("tern:latest"), None).wait(0) is not None


def test_a_failed_call_has_its_server_asked_at_once(site: Site, box: FakeOllama):
    server = site.add(box)
    site.probe()
    box.stop()
    slot = site.scheduler.ticket(site.model("tern:latest"), None).wait(0)
    with (
        pytest.raises(GatewayError, match="cannot be reached") as caught,
        slot.client.post("/api/chat", b"{}", read_timeout_s=1),
    ):
        raise AssertionError
    slot.report(caught.value)
    slot.release()
    site.probe()

    assert site.state(server)[0] == "down"


def test_disabled_servers_are_left_in_peace(site: Site, box: FakeOllama):
    server = site.add(box)
    site.servers.update(server.id, {"enabled": False}, SYSTEM)
    before = len(box.requests)
    for _ in range(5):
        site.clock.tick(60)
        site.probe()

    assert len(box.requests) == before


def test_a_server_is_not_asked_twice_at_once(site: Site, box: FakeOllama):
    site.add(box)
    first = site.prober.due()

    assert len(first) == 1
    assert site.prober.due() == []
    site.prober.probe(first[0])


def test_who_asks_for_a_probe_during_one_gets_another(site: Site, box: FakeOllama, monkeypatch):
    site.add(box)
    server = site.prober.due()[0]
    answer = server.client.ps

    def ask_meanwhile(**limits):
        found = answer(**limits)
        site.scheduler.probe_now(server.server.id)
        return found

    monkeypatch.setattr(server.client, "ps", ask_meanwhile)
    site.prober.probe(server)

    assert site.prober.due() == [server]


def test_the_prober_outlives_a_fault_of_its_own(site: Site, box: FakeOllama, monkeypatch):
    site.add(box)
    server_state = next(iter(site.scheduler.servers.values()))
    monkeypatch.setattr(server_state.client, "ps", lambda **_: 1 / 0)

    site.probe()

    assert not server_state.probing
    monkeypatch.undo()
    site.clock.tick(6)
    site.probe()
    assert view(site).state == "ready"
