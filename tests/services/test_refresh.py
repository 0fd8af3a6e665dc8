"""What servers list becomes what can be called."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fake_ollama import FakeModel, FakeOllama, Script, error, status
from gateway.core.admin import SYSTEM
from gateway.runtime.database import Store, StoreUnavailable
from gateway.store.coordination import versions
from gateway.store.database.engine import Database
from tests.services.conftest import FakeClock
from tests.services.sites import Site
from tests.support import models

TERN = FakeModel("tern:latest", ("completion", "tools"), context_length=4096)
HERON = FakeModel("heron:7b", ("completion", "vision"))
CLOUD = FakeModel("gull:480b-cloud", ("completion",), remote=True)


@pytest.fixture
def site(store: Store, clock: FakeClock) -> Iterator[Site]:
    site = Site(store, clock)
    yield site
    site.close()


@pytest.fixture
def box() -> Iterator[FakeOllama]:
    with FakeOllama([TERN, HERON]) as ollama:
        yield ollama


@pytest.fixture
def other_box() -> Iterator[FakeOllama]:
    with FakeOllama([TERN]) as ollama:
        yield ollama


def test_a_new_server_brings_its_models(site: Site, box: FakeOllama):
    server = site.add(box)

    tern = site.model("tern:latest")
    assert site.names() == {"tern:latest", "heron:7b"}
    assert (tern.display_name, tern.enabled, tern.server_ids) == ("tern", True, (server.id,))
    assert (tern.capabilities, tern.context_tokens) == (frozenset({"completion", "tools"}), 4096)
    assert site.catalog.index().find("tern").model == tern


def test_models_are_described_once_for_each_digest(
    site: Site, box: FakeOllama, other_box: FakeOllama
):
    server = site.add(box)
    site.add(other_box, "other")
    for _ in range(3):
        site.refresh(server)

    assert len(box.calls("/api/show")) == 2
    assert len(other_box.calls("/api/show")) == 0
    assert site.model("tern:latest").server_ids == (1, 2)


def test_a_model_that_changed_is_described_anew(site: Site, box: FakeOllama):
    server = site.add(box)
    box.library.add(replace(TERN, digest="f" * 64, context_length=8192))

    site.refresh(server)

    assert site.model("tern:latest").context_tokens == 8192


def test_models_of_the_same_weights_are_known_as_such(site: Site, box: FakeOllama):
    for name in ("smol:latest", "smol-tools:latest"):
        box.library.add(FakeModel(name, weights="a" * 64))
    server = site.add(box)
    site.operations.load("smol-tools:latest", [server.id], SYSTEM)
    site.probe()

    (smol,) = site.scheduler.routes(site.model("smol:latest"))
    (tern,) = site.scheduler.routes(site.model("tern:latest"))

    assert site.model("smol:latest").weights == site.model("smol-tools:latest").weights
    assert (smol.reason, smol.context_tokens > 0) == ("model loaded, 2/2 slots free", True)
    assert (tern.reason, tern.context_tokens) == ("idle, must load, 2/2 slots free", 0)


def test_new_models_can_be_kept_off(site: Site, box: FakeOllama):
    site.set(enable_new_models=False)
    site.add(box)

    assert site.names() == set()
    assert len(site.catalog.models()) == 2


def test_cloud_models_stay_off_unless_enabled_and_allowed(site: Site):
    with FakeOllama([TERN, CLOUD]) as ollama:
        site.add(ollama)
        gull = site.model("gull:480b-cloud")
        assert (gull.remote, gull.enabled) == (True, False)

        site.store.write(models.change, gull.id, enabled=True)
        site.catalog.drop()
        assert site.names() == {"tern:latest"}

        site.set(allow_cloud_models=True)
        assert site.names() == {"tern:latest", "gull:480b-cloud"}


FAILURES = {
    "refused": (lambda box: box.stop(), "Nothing listens"),
    "an error": (lambda box: box.script("/api/tags", Script(fault=error(500, "broken"))), "broken"),
    "a web page": (
        lambda box: box.script("/api/tags", Script(fault=status(200, "<html>hello</html>"))),
        "not Ollama",
    ),
    "an empty list": (lambda box: box.library.replace_all([]), "lists no models"),
}


@pytest.mark.parametrize(("spoil", "words"), FAILURES.values(), ids=FAILURES)
def test_a_refresh_that_fails_keeps_the_last_good_list(site: Site, box: FakeOllama, spoil, words):
    server = site.add(box)
    site.probe()
    spoil(box)

    result = site.refresh(server)

    assert words in result.error
    assert result.fix
    assert site.names() == {"tern:latest", "heron:7b"}
    assert words in site.catalog.snapshot().notes[server.id].error
    assert site.state(server)[0] == "degraded"
    assert words in site.state(server)[1]


def test_a_refresh_that_works_again_is_told(site: Site, box: FakeOllama):
    server = site.add(box)
    box.stop()
    site.refresh(server)
    box.start()

    site.refresh(server)

    assert site.catalog.snapshot().notes[server.id].error == ""
    assert site.catalog.snapshot().notes[server.id].version == "0.33.0"


def test_an_empty_list_is_believed_the_third_time(site: Site, box: FakeOllama):
    server = site.add(box)
    box.library.replace_all([])

    errors = [site.refresh(server).error for _ in range(3)]

    assert [bool(error) for error in errors] == [True, True, False]
    assert site.names() == set()


def test_a_server_that_never_had_models_may_have_none(site: Site):
    with FakeOllama([]) as ollama:
        server = site.add(ollama)

        assert site.refresh(server).error == ""


def test_one_server_that_fails_does_not_hide_the_others(
    site: Site, box: FakeOllama, other_box: FakeOllama
):
    site.add(box)
    site.add(other_box, "other")
    box.stop()

    results = {one.server_name: one.error for one in site.refresher.refresh()}

    assert results["other"] == ""
    assert "Nothing listens" in results["box"]
    assert site.names() == {"tern:latest", "heron:7b"}


def test_odd_names_of_a_hostile_server_are_left_out(site: Site, box: FakeOllama):
    models = [
        {"name": name, "model": name, "digest": "d" * 500, "details": {"family": "f" * 999}}
        for name in ("fine:1b", "FINE:1b", "no way", "x" * 90, "a/b/c/d/e", "<b>:1b", "ü:1b", "")
    ]
    box.script("/api/tags", Script(fault=status(200, json.dumps({"models": models}))))

    server = site.add(box)

    assert site.refresh(server).models == 1
    assert site.model("fine:1b").available


# Regularly, by one worker at a time


def turns(*sites: Site) -> None:
    for site in sites:
        site.refresher.refresh_due()


def tags(ollama: FakeOllama) -> int:
    return len(ollama.calls("/api/tags"))


def test_servers_are_asked_once_a_period(site: Site, box: FakeOllama):
    site.add(box)
    turns(site)
    before = tags(box)

    for _ in range(5):
        site.clock.tick(1)
        turns(site)
    assert tags(box) == before

    site.clock.tick(61)
    turns(site)
    assert tags(box) == before + 1


def test_several_workers_ask_no_more_than_one(site: Site, box: FakeOllama, url: str):
    site.add(box)
    database = Database.open(url)
    workers = [site, *(Site(Store(database), site.clock) for _ in range(3))]
    turns(*workers)
    before = tags(box)
    for _ in range(4):
        site.clock.tick(66)
        turns(*workers)

    asked = tags(box) - before
    for worker in workers[1:]:
        worker.close()
    database.close()
    assert asked == 4


def test_a_server_that_hangs_does_not_hold_the_others_up(
    site: Site, box: FakeOllama, other_box: FakeOllama
):
    site.add(box)
    site.add(other_box, "other")
    turns(site)
    site.clock.tick(66)
    earlier = other_box.requests[-1].number
    with box.hold("/api/tags", at=0) as gate:
        turn = threading.Thread(target=site.refresher.refresh_due)
        turn.start()
        gate.wait_reached()
        other_box.wait_for(
            lambda one: one.path == "/api/tags" and one.number > earlier and one.over
        )
        assert turn.is_alive()
    turn.join(30)

    assert not turn.is_alive()


def test_a_server_that_failed_is_asked_sooner(site: Site, box: FakeOllama):
    server = site.add(box)
    turns(site)
    box.script("/api/tags", Script(fault=error(500, "broken")))
    site.refresh(server)
    before = tags(box)

    site.clock.tick(11)
    turns(site)

    assert tags(box) == before + 1


def test_a_missing_model_has_its_server_asked_soon_but_not_over_and_over(
    site: Site, box: FakeOllama
):
    server = site.add(box)
    turns(site)
    site.clock.tick(3)
    before = tags(box)
    for _ in range(10):
        site.refresher.refresh_soon(server.id, "tern:latest")
        turns(site)

    assert tags(box) == before + 1
    site.clock.tick(3)
    turns(site)
    assert tags(box) == before + 2


def test_disabled_servers_are_not_asked(site: Site, box: FakeOllama):
    server = site.add(box)
    site.servers.update(server.id, {"enabled": False}, SYSTEM)
    before = tags(box)

    site.clock.tick(600)
    turns(site)

    assert tags(box) == before
    assert site.names() == set()


def test_an_edit_in_another_worker_is_seen(site: Site, box: FakeOllama, url: str):
    site.add(box)
    database = Database.open(url)
    other = Site(Store(database), site.clock)
    assert other.names() == {"tern:latest", "heron:7b"}
    tern = site.model("tern:latest")

    def disable(session) -> None:
        models.change(session, tern.id, enabled=False)
        versions.bump(session, "models")

    site.store.write(disable)
    other.versions.look()  # as a running worker does twice a second

    assert other.names() == {"heron:7b"}
    other.close()
    database.close()


def test_the_last_list_holds_while_the_store_is_away(site: Site, box: FakeOllama, monkeypatch):
    site.add(box)
    names = site.names()

    def away(*args: object, **kwargs: object) -> object:
        raise StoreUnavailable("away")

    monkeypatch.setattr(site.store, "read", away)
    site.catalog.drop()

    assert site.names() == names


def test_fallbacks_are_told_in_order_without_those_that_cannot_be_called(
    site: Site, box: FakeOllama
):
    with FakeOllama([FakeModel("a:1b"), FakeModel("b:1b"), FakeModel("c:1b")]) as ollama:
        site.add(box)
        site.add(ollama, "more")
        ids = {model.name: model.id for model in site.catalog.models()}

        def change(session) -> None:
            chain = [ids["c:1b"], ids["b:1b"], ids["a:1b"]]
            models.change(session, ids["tern:latest"], fallbacks=tuple(chain))
            models.change(session, ids["b:1b"], enabled=False)

        site.store.write(change)
        site.catalog.drop()

        chain = site.catalog.fallbacks(ids["tern:latest"])
        assert [model.name for model in chain] == ["c:1b", "a:1b"]
        assert site.catalog.fallbacks(ids["a:1b"]) == ()
