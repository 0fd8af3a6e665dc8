"""Calls in flight, in this worker and in others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from gateway.calls.registry import ActiveCalls
from gateway.calls.stats import CallStats
from gateway.core.admin import Actor
from gateway.core.events import TextDelta, ThinkingDelta
from gateway.core.usage import Admission
from gateway.errors import GatewayError
from gateway.runtime.database import Store, StoreUnavailable
from gateway.runtime.versions import ChangeVersions
from gateway.store import audit
from gateway.store.coordination import versions, workers
from gateway.store.tables import CommandRow
from tests.services.conftest import FakeClock

EVE = Actor("admin", "eve", 7)


class Running:
    """A call in progress, as the registry knows it."""

    def __init__(
        self, stats: CallStats, place: tuple[int, int], cancel: Callable[[GatewayError], None]
    ) -> None:
        self.stats = stats
        self.is_background = False
        self.session = (1, "", "tern:latest")
        self.queue_position = place
        self.cancel = cancel


class Desk:
    """The registry of one worker called `name`."""

    def __init__(self, store: Store, clock: FakeClock, name: str, **more: object) -> None:
        self.store = store
        self.clock = clock
        self.name = name
        self.versions = ChangeVersions(store, clock.seconds)
        self.live = ActiveCalls(
            store,
            self.versions,
            clock=clock.seconds,
            now=clock.now,
            name=lambda: name,
            **more,  # type: ignore[arg-type]
        )
        self.cancelled: list[tuple[str, str]] = []
        self.beat()

    def beat(self) -> None:
        self.store.write(
            workers.record, self.name, started_at=self.clock.now(), now=self.clock.now()
        )

    def call(self, request_id: str, *, key_id: int = 1, place: tuple[int, int] = (0, 0)) -> Running:
        """Return a call that writes down how it is cancelled."""
        admission = Admission(
            request_id=request_id,
            created_at=self.clock.now(),
            key_id=key_id,
            key_name="alice",
            endpoint="chat",
            model_id=3,
            model="tern",
            requested_model="tern",
            streamed=True,
            worker=self.name,
        )

        def cancel(error: GatewayError) -> None:
            self.cancelled.append((request_id, error.code))

        return Running(CallStats(admission, started_s=self.clock.seconds()), place, cancel)

    @contextmanager
    def run(
        self, request_id: str, *, key_id: int = 1, place: tuple[int, int] = (0, 0)
    ) -> Iterator[CallStats]:
        """Register a call for a while; give its stats."""
        call = self.call(request_id, key_id=key_id, place=place)
        self.live.add(call)
        try:
            yield call.stats
        finally:
            self.live.remove(call)


@pytest.fixture
def desk(any_store: Store, clock: FakeClock) -> Iterator[Desk]:
    desk = Desk(any_store, clock, "box:1")
    desk.live.exchange()
    yield desk
    desk.versions.stop()


@pytest.fixture
def other(any_store: Store, clock: FakeClock, desk: Desk) -> Iterator[Desk]:
    other = Desk(any_store, clock, "box:2")
    other.live.exchange()
    yield other
    other.versions.stop()


def test_a_call_is_shown_while_it_lasts(desk: Desk):
    with desk.run("req_1"):
        desk.clock.tick(2)
        (call,) = desk.live.snapshot()
        assert len(desk.live) == 1

    assert (call.request_id, call.key_name, call.model, call.elapsed_s) == (
        "req_1",
        "alice",
        "tern",
        2,
    )
    assert (call.phase, call.tokens, call.tokens_per_s) == ("queued", 0, None)
    assert desk.live.snapshot() == []
    assert len(desk.live) == 0


def test_a_call_that_is_not_there_can_be_removed(desk: Desk):
    with desk.run("req_1"):
        desk.live.remove(desk.call("req_2"))
        assert len(desk.live) == 1


def test_phases_are_told(desk: Desk, any_store: Store, clock: FakeClock):
    loaded: set[tuple[int, int]] = set()
    live = Desk(any_store, clock, "box:9", is_loaded=lambda *what: what in loaded).live
    desk.live = live
    with desk.run("req_1", place=(2, 5)) as stats:
        assert (live.snapshot()[0].position, live.snapshot()[0].waiting) == (2, 5)
        stats.phase, stats.server_id = "loading", 4
        assert (live.snapshot()[0].phase, live.snapshot()[0].position) == ("loading", 0)
        loaded.add((4, 3))
        assert live.snapshot()[0].phase == "prefill"
        stats.on_events((ThinkingDelta("hm"),))
        assert live.snapshot()[0].phase == "thinking"
        stats.on_events((TextDelta("a"),))
        assert live.snapshot()[0].phase == "answering"
        assert live.snapshot()[0].tokens == 2


def test_speed_is_told_from_the_first_token_on(desk: Desk):
    with desk.run("req_1") as stats:
        stats.first_token_s = desk.clock.seconds()
        stats.records = 30
        desk.clock.tick(3)

        assert desk.live.snapshot()[0].tokens_per_s == 10


def test_a_call_is_cancelled_by_its_id(desk: Desk):
    with desk.run("req_1"), desk.run("req_2"):
        assert desk.live.cancel("req_2")
        assert not desk.live.cancel("req_3")

    assert desk.cancelled == [("req_2", "cancelled")]


def test_calls_are_cancelled_by_what_they_are(desk: Desk):
    with (
        desk.run("req_0", key_id=0),
        desk.run("req_1", key_id=1),
        desk.run("req_2", key_id=0),
        desk.run("req_3", key_id=1),
    ):
        count = desk.live.cancel_where(lambda stats: stats.admission.key_id == 1)

    assert count == 2
    assert [request_id for request_id, _ in desk.cancelled] == ["req_1", "req_3"]


def test_one_call_that_cannot_be_cancelled_does_not_save_the_others(desk: Desk):
    def stubborn(error: GatewayError) -> None:
        raise RuntimeError("no")

    with desk.run("req_1"), desk.run("req_2"):
        next(iter(desk.live._calls.values())).cancel = stubborn
        over = GatewayError("over", code="shutting_down")
        count = desk.live.cancel_where(lambda stats: True, lambda: over)

    assert count == 2
    assert desk.cancelled == [("req_2", "shutting_down")]


def test_one_worker_alone_writes_nothing(desk: Desk):
    before = desk.versions.of("commands")
    with desk.run("req_1"):
        for _ in range(10):
            desk.clock.tick(1)
            desk.live.exchange()
            assert len(desk.live.everywhere()) == 1

    assert desk.versions.of("commands") == before
    assert (
        desk.store.read(workers.list_alive, desk.clock.now() - timedelta(hours=1))[0].snapshot == {}
    )


def test_calls_of_other_workers_are_seen_while_somebody_looks(desk: Desk, other: Desk):
    with other.run("req_there"), desk.run("req_here"):
        desk.live.everywhere()
        desk.clock.tick(1)
        other.live.exchange()

        seen = {call.request_id: call.worker for call in desk.live.everywhere()}

    assert seen == {"req_here": "box:1", "req_there": "box:2"}


def test_a_worker_stops_writing_when_nobody_looks_any_more(desk: Desk, other: Desk):
    def written() -> dict:
        states = other.store.read(workers.list_alive, desk.clock.now() - timedelta(hours=1))
        return dict(next(state.snapshot for state in states if state.name == "box:2"))

    desk.live.everywhere()
    for _ in range(20):
        desk.clock.tick(1)
        other.live.exchange()
    last = written()["at"]
    for _ in range(20):
        desk.clock.tick(1)
        other.live.exchange()

    assert written()["at"] == last


def test_what_a_dead_worker_wrote_is_not_shown(desk: Desk, other: Desk):
    with other.run("req_there"):
        desk.live.everywhere()
        desk.clock.tick(1)
        other.live.exchange()
    desk.clock.tick(10)
    desk.beat()

    assert desk.live.everywhere() == []


def test_what_cannot_be_read_of_another_worker_is_left_out(desk: Desk, other: Desk):
    at = desk.clock.now().isoformat()
    calls = [{"nonsense": 1}, "text", {"started_at": 5}]
    desk.store.write(workers.publish, "box:2", {"at": at, "calls": calls})

    assert desk.live.everywhere() == []


def test_a_call_of_another_worker_is_cancelled(desk: Desk, other: Desk):
    with other.run("req_there"):
        desk.live.cancel_anywhere("req_there", EVE)
        desk.clock.tick(1)
        other.live.exchange()
        other.clock.tick(1)
        other.live.exchange()

    assert other.cancelled == [("req_there", "cancelled")]
    assert desk.cancelled == []
    (entry,) = desk.store.read(audit.page)
    assert (entry.action, entry.object_id, entry.actor_name) == ("call.cancel", "req_there", "eve")


def test_a_call_of_this_worker_is_cancelled_without_an_order(desk: Desk, other: Desk):
    before = desk.versions.of("commands")
    with desk.run("req_1"):
        desk.live.cancel_anywhere("req_1", EVE)

    assert desk.cancelled == [("req_1", "cancelled")]
    assert desk.versions.of("commands") == before


def test_old_orders_are_not_for_a_new_worker(desk: Desk, any_store: Store, clock: FakeClock):
    desk.live.cancel_anywhere("req_9", EVE)
    late = Desk(any_store, clock, "box:3")
    with late.run("req_9"):
        late.live.exchange()

    assert late.cancelled == []
    late.versions.stop()


def test_an_order_that_appears_late_is_obeyed_once(desk: Desk, other: Desk):
    def order(session: Session, number: int) -> None:
        now, payload = desk.clock.now(), {"request_id": "req_1"}
        session.add(CommandRow(id=number, created_at=now, kind="cancel", payload=payload))
        versions.bump(session, "commands")

    with other.run("req_1"):
        for number in (30, 25):
            desk.store.write(order, number)
            desk.clock.tick(1)
            other.live.exchange()
            other.live.exchange()

    assert len(other.cancelled) == 2


def test_calls_of_this_worker_are_shown_while_the_store_is_away(desk: Desk, monkeypatch):
    def away(*args: object, **kwargs: object) -> object:
        raise StoreUnavailable("away")

    monkeypatch.setattr(desk.store, "read", away)
    monkeypatch.setattr(desk.store, "write", away)
    with desk.run("req_1"):
        assert len(desk.live.everywhere()) == 1
        desk.live.cancel_anywhere("req_1", EVE)
        with pytest.raises(StoreUnavailable):
            desk.live.cancel_anywhere("req_elsewhere", EVE)

    assert desk.cancelled == [("req_1", "cancelled")]
