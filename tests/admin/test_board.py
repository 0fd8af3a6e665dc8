"""The board of live topics: read once for all tabs, bounded, and quiet when nobody looks."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from gateway.admin.live import board as boards
from gateway.admin.live.board import Board, Listener, Topic
from gateway.errors import Unavailable


class Source:
    """Something that is read; counts how often."""

    def __init__(self, value: object = 1) -> None:
        self.value = value
        self.reads = 0

    def read(self) -> object:
        """Return the value. Raises it, if it is an error."""
        self.reads += 1
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def still(*topics: Topic, clock: Callable[[], float]) -> Board:
    """Return a board that reads only when it is told to."""
    return Board(topics, clock=clock, spawn=lambda work: None)


def test_a_hundred_tabs_are_one_reading_and_one_drawing() -> None:
    clock, source, drawn = Clock(), Source(), []
    board = still(Topic("calls", source.read), clock=clock)

    def draw(value: object) -> str:
        drawn.append(value)
        return f"<b>{value}</b>"

    tabs = [board.listen(["calls"]).__enter__() for _tab in range(100)]
    board.look()
    pieces = {board.drawn(("calls", "en"), ["calls"], draw) for _tab in tabs}

    assert (source.reads, drawn, pieces) == (1, [1], {"<b>1</b>"})


def test_only_a_change_makes_a_new_version() -> None:
    clock, source = Clock(), Source(("a",))
    board = still(Topic("calls", source.read), clock=clock)
    with board.listen(["calls"]):
        found = [board.versions(["calls"])]
        for value in (("a",), ("a",), ("b",)):
            source.value = value
            board.look()
            clock.now_s += 1
            found.append(board.versions(["calls"]))

    assert found == [(0,), (1,), (1,), (2,)]


def test_a_slow_tab_leaves_versions_out_and_keeps_nothing() -> None:
    clock, source = Clock(), Source()
    board = still(Topic("calls", source.read), clock=clock)
    with board.listen(["calls"]):
        for number in range(1_000):
            source.value = number
            clock.now_s += 1
            board.look()
            board.drawn(("calls", "en"), ["calls"], str)

        assert board.versions(["calls"]) == (1_000,)
        assert board.value("calls") == 999
        assert len(board._drawn) == 1


def test_what_is_drawn_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "MOST_DRAWN", 5)
    board = still(Topic("calls", Source().read), clock=Clock())
    with board.listen(["calls"]):
        board.look()
        for number in range(50):
            board.drawn(("calls", number), ["calls"], str)

        assert list(board._drawn) == [("calls", number) for number in range(45, 50)]


def test_a_topic_is_read_as_often_as_it_says_and_only_after_its_source_changed() -> None:
    clock, log, figures = Clock(), Source(), Source()
    board = still(
        Topic("requests", log.read),
        Topic("figures", figures.read, every_s=5, after="requests"),
        clock=clock,
    )
    with board.listen(["figures"]):
        board.look()
        for _second in range(20):  # nothing was called
            clock.now_s += 1
            board.look()
        quiet = figures.reads
        for second in range(20):  # something is called each second
            log.value = f"at {second}"
            clock.now_s += 1
            board.look()

    assert (quiet, figures.reads) == (1, 5)


def test_what_no_tab_shows_is_not_read_and_forgotten() -> None:
    clock, shown, other = Clock(), Source(), Source()
    board = still(Topic("calls", shown.read), Topic("servers", other.read), clock=clock)
    with board.listen(["calls"]):
        with board.listen(["servers"]):
            board.look()
            both = board.versions(["calls", "servers"])
        board.look()

        assert both == (1, 1)
        assert board.versions(["calls", "servers"]) == (1, 0)
        assert board.value("servers") is None
    assert other.reads == 1


@pytest.mark.parametrize("error", [Unavailable("away"), ValueError("a bug")])
def test_what_cannot_be_read_stays_as_it_was(error: Exception) -> None:
    clock, source, healthy = Clock(), Source("known"), Source()
    board = still(Topic("calls", source.read), Topic("servers", healthy.read), clock=clock)
    with board.listen(["calls", "servers"]):
        board.look()
        source.value = error
        clock.now_s += 1
        board.look()

    assert board.value("calls") == "known"
    assert (source.reads, healthy.reads) == (2, 2)


def test_a_listener_hears_of_its_topics_only() -> None:
    clock, calls, servers = Clock(), Source(), Source()
    board = still(Topic("calls", calls.read), Topic("servers", servers.read), clock=clock)
    with board.listen(["calls"]) as one, board.listen(["servers"]) as other:
        board.look()
        one.wait(0)
        other.wait(0)
        servers.value, clock.now_s = 2, 1.0
        board.look()

        assert (_heard(one), _heard(other)) == (False, True)


def test_reading_begins_with_the_first_tab_and_ends_with_the_last() -> None:
    source = Source()
    board = Board((Topic("calls", source.read),))
    with board.listen(["calls"]) as tab:
        tab.wait(5)
        seen = board.versions(["calls"])
        (reader,) = [one for one in threading.enumerate() if one.name == "live topics"]
    reader.join(5)

    assert seen == (1,)
    assert not reader.is_alive()
    source.value = 2
    with board.listen(["calls"]) as tab:
        tab.wait(5)

        assert source.reads >= 2


def test_a_topic_that_does_not_exist_cannot_be_listened_to() -> None:
    with pytest.raises(KeyError):
        Board(()).listen(["weather"])


def _heard(listener: Listener) -> bool:
    return listener._changed.is_set()
