"""Tasks: how work is interrupted, and when it is not."""

from __future__ import annotations

import logging
from contextvars import ContextVar

import gevent
import pytest
from gevent import monkey

from gateway.errors import Unavailable
from gateway.runtime import tasks
from gateway.runtime.tasks import Cancelled, Event, Task
from tests.calls.places import until

WORD: ContextVar[str] = ContextVar("word", default="none")


def started(work: object) -> Task[object]:
    """Start work and wait until it waits."""
    task: Task[object] = tasks.spawn(work)  # type: ignore[arg-type]
    until(lambda: task._begun, "the work to begin")
    return task


def test_what_the_work_raises_is_raised_by_its_result() -> None:
    def work() -> None:
        raise ValueError("no")

    task = tasks.spawn(work)

    assert task.wait(10)
    with pytest.raises(ValueError, match="no"):
        task.result()


def test_work_that_goes_on_is_not_waited_for_longer_than_told() -> None:
    task = started(Event().wait)

    assert not task.wait(0.001)
    assert not task.ended
    task.interrupt("enough")
    assert task.wait(10)


def test_an_interrupt_is_raised_where_the_work_waits() -> None:
    task = started(Event().wait)

    task.interrupt("enough")

    assert task.wait(10)
    assert task.reason == "enough"
    with pytest.raises(Cancelled):
        task.result()


def test_work_interrupted_before_it_begins_never_runs() -> None:
    ran: list[bool] = []
    task = tasks.spawn(lambda: ran.append(True))

    task.interrupt("enough")

    assert task.wait(10)
    assert ran == []
    assert task.result() is None


def test_the_first_reason_counts() -> None:
    task = started(Event().wait)

    task.interrupt("first")
    task.interrupt("second")

    assert task.wait(10)
    assert task.reason == "first"


def test_two_interrupts_at_once_are_raised_once() -> None:
    raised: list[bool] = []

    def work() -> None:
        for _ in range(2):
            try:
                Event().wait(0.01)
            except Cancelled:
                raised.append(True)

    task = started(work)
    task.interrupt("first")
    task.interrupt("second")

    assert task.wait(10)
    assert raised == [True]


def test_a_kick_raises_again_in_work_that_swallowed_it() -> None:
    raised: list[bool] = []

    def work() -> None:
        while len(raised) < 3:
            try:
                Event().wait()
            except Cancelled:
                raised.append(True)

    task = started(work)
    task.interrupt("enough")
    for count in (1, 2):
        until(lambda count=count: len(raised) >= count, "the interrupt")
        task.kick()

    assert task.wait(10)


def test_what_has_ended_is_not_interrupted() -> None:
    task = tasks.spawn(lambda: 5)
    assert task.wait(10)

    task.interrupt("late")
    gevent.sleep(0)

    assert task.result() == 5


def test_a_task_that_interrupts_itself_ends_at_its_next_wait() -> None:
    steps: list[str] = []

    def work() -> None:
        task = tasks.current()
        assert task is not None
        task.interrupt("enough")
        steps.append("went on")
        Event().wait()
        steps.append("waited")

    task = tasks.spawn(work)

    assert task.wait(10)
    assert steps == ["went on"]


def test_an_interrupt_comes_from_a_real_thread_too() -> None:
    task = started(Event().wait)
    start = monkey.get_original("_thread", "start_new_thread")

    start(task.interrupt, ("enough",))

    assert task.wait(10)
    with pytest.raises(Cancelled):
        task.result()


def test_an_interrupt_reaches_work_in_a_real_thread_of_its_own() -> None:
    go = monkey.get_original("_thread", "allocate_lock")()
    go.acquire()
    task = started(lambda: tasks.run_blocking(go.acquire))

    task.interrupt("enough")

    assert task.wait(10)
    go.release()


def test_code_that_catches_every_error_does_not_catch_an_interrupt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def work() -> None:
        while True:
            try:
                Event().wait()
            except Exception:
                logging.exception("tried again")

    task = started(work)
    task.interrupt("enough")

    assert task.wait(10)
    assert caplog.records == []


def test_an_interrupt_keeps_no_frame_alive() -> None:
    def work() -> None:
        try:
            raise ValueError("no")
        except ValueError:
            Event().wait()

    task = started(work)
    task.interrupt("enough")
    assert task.wait(10)

    kept = task.error
    assert kept is not None
    assert (kept.__traceback__, kept.__context__, kept.__cause__) == (None, None, None)


# -- shields ---------------------------------------------------------------------------------------


def test_what_is_shielded_runs_to_its_end() -> None:
    go, steps = Event(), []

    def work() -> None:
        with tasks.shield():
            go.wait()
            steps.append("shielded")
        steps.append("after")

    task = started(work)
    task.interrupt("enough")
    gevent.sleep(0)
    task.kick()
    gevent.sleep(0)
    go.set()

    assert task.wait(10)
    assert steps == ["shielded"]
    with pytest.raises(Cancelled):
        task.result()


def test_an_inner_shield_does_not_end_the_outer_one() -> None:
    go, steps = Event(), []

    def work() -> None:
        with tasks.shield():
            with tasks.shield():
                go.wait()
            steps.append("outer")
            Event().wait(0.001)
            steps.append("end")

    task = started(work)
    task.interrupt("enough")
    gevent.sleep(0)
    go.set()

    assert task.wait(10)
    assert steps == ["outer", "end"]
    with pytest.raises(Cancelled):
        task.result()


def test_an_error_inside_a_shield_is_raised_as_it_is() -> None:
    def work() -> None:
        task = tasks.current()
        assert task is not None
        task.interrupt("enough")
        with tasks.shield():
            raise ValueError("no")

    task = tasks.spawn(work)

    assert task.wait(10)
    with pytest.raises(ValueError, match="no"):
        task.result()


def test_a_shield_outside_a_task_changes_nothing() -> None:
    with tasks.shield():
        found = tasks.current()

    assert found is None


def test_check_raises_what_could_not_be_delivered() -> None:
    def work() -> None:
        task = tasks.current()
        assert task is not None
        task.check()
        task.interrupt("enough")
        task.check()

    task = tasks.spawn(work)

    assert task.wait(10)
    with pytest.raises(Cancelled):
        task.result()


def test_a_task_can_be_interrupted_again_after_resume() -> None:
    waits = Event()

    def work() -> None:
        task = tasks.current()
        assert task is not None
        with pytest.raises(Cancelled):
            Event().wait()
        task.resume()
        waits.set()
        Event().wait()

    task = started(work)
    task.interrupt("first")
    assert waits.wait(10)
    task.interrupt("second")

    assert task.wait(10)
    assert task.reason == "second"


# -- contexts and threads --------------------------------------------------------------------------


def test_a_task_has_a_context_of_its_own() -> None:
    WORD.set("mine")
    try:
        found = tasks.spawn(WORD.get)
        assert found.wait(10)
    finally:
        WORD.set("none")

    assert found.result() == "none"


def test_a_task_knows_itself() -> None:
    inner: list[object] = []

    def work() -> object:
        one = tasks.spawn(tasks.current)
        assert one.wait(10)
        inner.extend([one, one.result()])
        return tasks.current()

    task = tasks.spawn(work)
    assert task.wait(10)

    assert task.result() is task
    assert inner[0] is inner[1]
    assert tasks.current() is None


def test_something_is_done_again_and_again_until_it_is_stopped() -> None:
    turns: list[int] = []
    job = tasks.Every(0.001, lambda: turns.append(1), "turning")
    job.start()

    until(lambda: len(turns) >= 3, "three turns")
    job.stop()
    gevent.sleep(0)
    count = len(turns)
    gevent.sleep(0.01)

    assert len(turns) == count


def test_a_job_goes_on_after_failures_and_says_once_that_it_must_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    turns: list[int] = []

    def work() -> None:
        turns.append(1)
        if len(turns) == 2:
            raise ValueError
        raise Unavailable("the database is away")

    job = tasks.Every(0.001, work, "pruning")
    job.start()
    until(lambda: len(turns) >= 5, "five turns")
    job.stop()

    said = [one.getMessage() for one in caplog.records if one.name == tasks.__name__]
    assert [line.partition(" | ")[0] for line in said] == [
        "pruning must wait: the database is away",
        "pruning failed",
    ]


def test_what_blocking_work_raises_is_raised_here() -> None:
    def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        tasks.run_blocking(work)


def test_long_work_takes_turns_in_a_real_thread() -> None:
    ident = monkey.get_original("_thread", "get_ident")
    sleep = monkey.get_original("time", "sleep")
    running, most, threads = [0], [0], set[int]()

    def work(number: int) -> int:
        threads.add(ident())
        running[0] += 1
        most[0] = max(most[0], running[0])
        sleep(0.001)
        running[0] -= 1
        return number

    started = [tasks.spawn(tasks.run_in_turn, work, number) for number in range(5)]

    assert all(task.wait(10) for task in started)
    assert [task.result() for task in started] == [0, 1, 2, 3, 4]
    assert most == [1]
    assert ident() not in threads


def test_long_work_asks_for_what_waits_on_the_loop() -> None:
    ident = monkey.get_original("_thread", "get_ident")
    here = tasks.Event()

    def wait(word: str) -> tuple[int, str]:
        assert not here.wait(0)
        tasks.pause()
        return ident(), word

    def refuse() -> None:
        raise ValueError("no")

    assert tasks.run_in_turn(tasks.run_on_loop, wait, "a") == (ident(), "a")
    assert tasks.run_on_loop(wait, "b") == (ident(), "b")
    with pytest.raises(ValueError, match="no"):
        tasks.run_in_turn(tasks.run_on_loop, refuse)
