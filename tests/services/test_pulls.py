"""Models are pulled, loaded and managed on servers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from fake_ollama import FakeModel, FakeOllama
from gateway.core.admin import Actor
from gateway.errors import InvalidRequest, NotFound
from gateway.management.model_jobs import Meter, Pull
from gateway.ollama.capabilities import Progress
from gateway.runtime.database import Store
from gateway.store import audit, jobs
from tests.services.conftest import FakeClock
from tests.services.sites import Site
from tests.support.process import until

pytestmark = pytest.mark.usefixtures("quick_jobs")

EVE = Actor("admin", "eve", 7)
TERN = FakeModel("tern:latest", ("completion",))
NOMIC = FakeModel("nomic:latest", ("embedding",), dims=8)
NIMBLE = FakeModel("nimble:latest", ("decision",))
MODELS = {"words": TERN.name, "vectors": NOMIC.name, "decisions": NIMBLE.name}


@pytest.fixture
def site(store: Store, clock: FakeClock) -> Iterator[Site]:
    site = Site(store, clock)
    yield site
    site.pulls.stop()
    site.close()


@pytest.fixture
def box() -> Iterator[FakeOllama]:
    with FakeOllama([TERN, NOMIC, NIMBLE], version="0.35.0") as ollama:
        yield ollama


@pytest.fixture
def other_box() -> Iterator[FakeOllama]:
    with FakeOllama([TERN]) as ollama:
        yield ollama


def ended(site: Site, pull: Pull) -> Pull:
    """Wait for the end of a pull."""
    until(lambda: not site.pulls.get(pull.job.id).job.is_open, "the pull to end")
    return site.pulls.get(pull.job.id)


def actions(site: Site) -> list[str]:
    return [entry.action for entry in site.store.read(audit.page) if entry.object_kind == "model"]


def test_names_are_made_canonical_before_they_are_pulled(site: Site, box: FakeOllama):
    server = site.add(box)
    (pull,) = site.pulls.begin("library/tern", [server.id], EVE)
    ended(site, pull)

    assert pull.job.model == "tern:latest"
    assert box.calls("/api/pull")[0].json["model"] == "tern:latest"


def test_a_pull_of_another_worker_is_watched_and_cancelled(site: Site, box: FakeOllama):
    server = site.add(box)
    other = Site(site.store, site.clock)
    other.catalog.follow()
    with box.hold("/api/pull", at=6) as gate:
        (pull,) = site.pulls.begin("mistral:7b", [server.id], EVE)
        gate.wait_reached()
        site.clock.tick(2)
        until(lambda: bool(other.pulls.get(pull.job.id).share), "written progress")
        seen = other.pulls.get(pull.job.id)
        other.pulls.cancel(pull.job.id, EVE)
        site.clock.tick(2)
        pull = ended(site, pull)

    other.close()
    assert seen.bytes_per_s is not None
    assert seen.eta_s is not None
    assert pull.job.state == "cancelled"
    assert actions(site) == ["model.pull_cancel", "model.pull"]


def test_a_pull_left_by_a_dead_worker_is_taken_up(site: Site, box: FakeOllama):
    server = site.add(box)
    now = site.clock.now()

    def left(session) -> int:
        job, _ = jobs.open_or_insert(session, server.id, "mistral:7b", actor_name="eve", now=now)
        jobs.take(session, job.id, "gone:1", now, now - timedelta(seconds=15))
        return job.id

    job_id = site.store.write(left)
    site.pulls.take_up()
    assert box.calls("/api/pull") == []

    site.clock.tick(20)
    site.pulls.take_up()

    assert ended(site, site.pulls.get(job_id)).job.state == "done"


def test_a_worker_that_stops_leaves_its_pull_to_the_next(store: Store, clock: FakeClock, box):
    site = Site(store, clock)
    server = site.add(box)
    site.pulls.start()
    with box.hold("/api/pull", at=3) as gate:
        (pull,) = site.pulls.begin("mistral:7b", [server.id], EVE)
        gate.wait_reached()
        site.pulls.stop()
        box.wait_disconnect()

    assert site.pulls.get(pull.job.id).job.state == "running"
    site.close()


def test_a_pull_ends_with_its_server(site: Site, box: FakeOllama):
    server = site.add(box)
    with box.hold("/api/pull", at=3) as gate:
        (pull,) = site.pulls.begin("mistral:7b", [server.id], EVE)
        gate.wait_reached()
        site.servers.delete(server.id, EVE)
        site.clock.tick(2)
        box.wait_disconnect()

    with pytest.raises(NotFound):
        site.pulls.get(pull.job.id)


# Loads


def test_a_model_is_loaded_beside_whoever_asked(site: Site, box: FakeOllama):
    server = site.add(box)
    with box.hold("tern", at="load") as gate:
        (load,) = site.pulls.load("tern:latest", [server.id], EVE)
        gate.wait_reached()
        seen = site.pulls.get(load.job.id).job

    assert (seen.kind, seen.state) == ("load", "running")
    assert ended(site, load).job.state == "done"
    assert box.loaded() == ["tern:latest"]
    assert actions(site) == ["model.load"]


@pytest.mark.parametrize("name", MODELS.values(), ids=MODELS)
def test_what_is_pinned_stays_in_memory(site: Site, box: FakeOllama, name: str):
    server = site.add(box)
    (pin,) = site.pulls.load(name, [server.id], EVE, for_good=True)
    pin = ended(site, pin)
    assert site.model(name).pinned_on == (server.id,)
    box.advance(365 * 24 * 3600)

    assert (pin.job.kind, pin.job.state) == ("pin", "done")
    assert box.loaded() == [name]


def test_what_is_loaded_leaves_when_it_is_idle(site: Site, box: FakeOllama):
    server = site.add(box)
    (load,) = site.pulls.load("nomic:latest", [server.id], EVE)
    ended(site, load)
    loaded = box.loaded()
    box.advance(3600)

    assert (loaded, box.loaded()) == (["nomic:latest"], [])


def test_pulls_and_loads_are_told_apart(site: Site, box: FakeOllama):
    server = site.add(box)
    (load,) = site.pulls.load("tern:latest", [server.id], EVE)
    (pull,) = site.pulls.begin("tern:latest", [server.id], EVE)
    ended(site, load)
    ended(site, pull)

    assert [one.job.kind for one in site.pulls.all("pull")] == ["pull"]
    assert {one.job.kind for one in site.pulls.all()} == {"pull", "load"}
    with pytest.raises(NotFound):
        site.pulls.get(load.job.id, "pull")
    with pytest.raises(NotFound):
        site.pulls.cancel(load.job.id, EVE, "pull")
    with pytest.raises(InvalidRequest, match="no server 9"):
        site.pulls.load("tern:latest", [9], EVE)


# The meter


def test_a_pull_that_runs_is_listed_whatever_ended_after_it(site: Site, box: FakeOllama):
    server, now = site.add(box), site.clock.now()
    with site.store.database.write() as session:
        old, _ = jobs.open_or_insert(session, server.id, "old:1b", actor_name="eve", now=now)
        for number in range(210):
            name = f"new{number}:1b"
            job, _ = jobs.open_or_insert(session, server.id, name, actor_name="eve", now=now)
            jobs.finish(session, job.id, "done", now=now)

    assert [one.id for one in site.store.read(jobs.recent)[:2]] == [old.id, job.id]


def test_layers_speed_and_rest_are_measured():
    meter = Meter()
    meter.see(Progress("pulling manifest"), 0)
    assert (meter.bytes_per_s, meter.eta_s) == (None, None)
    meter.see(Progress("pulling aaa", "sha256:aaa", 1000, 0), 1)
    meter.see(Progress("pulling bbb", "sha256:bbb", 500, 100), 2)
    meter.see(Progress("pulling aaa", "sha256:aaa", 1000, 300), 4)

    assert meter.layers == {"sha256:aaa": (300, 1000), "sha256:bbb": (100, 500)}
    assert meter.bytes_per_s == 100
    assert meter.eta_s == 11


def test_speed_is_that_of_the_last_seconds():
    meter = Meter()
    for second in range(20):
        meter.see(Progress("pulling a", "a", 10_000, 100 * min(second, 10)), second)

    assert meter.bytes_per_s == 10
    for second in range(20, 40):
        meter.see(Progress("pulling a", "a", 10_000, 1000), second)
    assert meter.bytes_per_s == 0
    assert meter.eta_s is None


def test_a_hostile_server_cannot_fill_the_memory_with_layers():
    meter = Meter()
    for number in range(2000):
        meter.see(Progress("x", str(number), 10, 99), 0)

    assert len(meter.layers) == 500
    assert meter.layers["0"] == (10, 10)


# Other operations
