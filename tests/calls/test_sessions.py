"""Background calls let the main calls of their session go first, for a while."""

from __future__ import annotations

import time

from gateway.calls.sessions import Session, Sessions
from gateway.runtime import tasks
from gateway.runtime.tasks import Task

MAIN: Session = (1, "session", "tern:latest")
OTHERS: tuple[Session, ...] = (
    (2, "session", "tern:latest"),
    (1, "another", "tern:latest"),
    (1, "session", "heron:latest"),
)
HOURS_S = 36_000.0


def waiting(sessions: Sessions, session: Session = MAIN) -> Task[float]:
    """Return a task that waits by now."""
    task = tasks.spawn(sessions.wait, session)
    tasks.pause()
    return task


def test_nobody_is_waited_for_where_nothing_of_the_session_runs() -> None:
    sessions = Sessions(HOURS_S, HOURS_S)
    for other in OTHERS:
        sessions.begin(other)

    assert sessions.wait(MAIN) == 0


def test_the_end_of_the_last_main_call_is_waited_for() -> None:
    sessions = Sessions(HOURS_S, pause_s=0)
    sessions.begin(MAIN)
    sessions.begin(MAIN)
    first, second = waiting(sessions), waiting(sessions)
    sessions.end(MAIN)
    tasks.pause()

    assert not first.ended
    sessions.end(MAIN)
    assert first.wait(5)
    assert second.wait(5)
    assert first.result() > 0
    assert len(sessions) == 0


def test_the_next_turn_is_let_first_too() -> None:
    sessions = Sessions(HOURS_S, HOURS_S)
    sessions.begin(MAIN)
    task = waiting(sessions)
    sessions.end(MAIN)
    tasks.pause()
    sessions.begin(MAIN)
    tasks.pause()
    sessions.pause_s = 0
    tasks.pause()

    assert not task.ended
    sessions.end(MAIN)
    assert task.wait(5)


def test_the_wait_is_bounded_whatever_runs() -> None:
    sessions = Sessions(bound_s=0.02, pause_s=HOURS_S)
    sessions.begin(MAIN)
    began_s = time.monotonic()

    assert sessions.wait(MAIN) >= 0.02
    assert time.monotonic() - began_s < 2
    sessions.end(MAIN)
    assert len(sessions) == 0


def test_who_is_cancelled_waits_no_longer_and_leaves_nothing_behind() -> None:
    sessions = Sessions(HOURS_S, HOURS_S)
    sessions.begin(MAIN)
    task = waiting(sessions)
    task.interrupt("the client left")

    assert task.wait(5)
    sessions.end(MAIN)
    assert len(sessions) == 0
