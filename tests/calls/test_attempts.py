"""Which failures are tried again and on which servers, and when an attempt has taken too long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.calls import attempts
from gateway.calls.attempts import PAUSE_S, Attempt, Limits, Retries, limits_of
from gateway.calls.prepare import PreparedCall
from gateway.core.chat import Call
from gateway.errors import (
    ContextOverflow,
    GatewayError,
    RunnerDied,
    Unavailable,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.runtime import tasks
from gateway.schemas.key import Key
from gateway.schemas.settings import RuntimeSettings
from tests.calls.places import until
from tests.policy.values import chat
from tests.services.fleets import Seconds

GONE = UpstreamUnreachable("cannot be reached")
BUSY = Unavailable("busy", code="upstream_busy")
DIED = RunnerDied("unexpectedly stopped")
FULL = Unavailable("server busy, please try again", code="upstream_busy")
BAD = UpstreamError("cudaMalloc failed")
NOBODY = Unavailable("nobody", code="no_upstream_available")

Step = tuple[GatewayError, int | None]

CASES: dict[str, tuple[list[Step], list[set[int]], GatewayError]] = {
    "unreachable, then nobody": ([(GONE, 1), (NOBODY, 1)], [set(), {1}], GONE),
    "three servers unreachable": ([(GONE, 1), (GONE, 2), (GONE, 3)], [set(), {1}, {1, 2}], GONE),
    "busy, then a real error": ([(BUSY, 1), (BAD, 2)], [set(), {1}], BAD),
    "a full queue, and no time to wait": ([(FULL, 1), (NOBODY, 1)], [set(), {1}], FULL),
    "a real error": ([(BAD, 1)], [set()], BAD),
    "a prompt too long": ([(ContextOverflow("long"), 1)], [set()], ContextOverflow("long")),
    "a time limit": ([(UpstreamTimeout("late"), 1)], [set()], UpstreamTimeout("late")),
    "nobody at all": ([(NOBODY, None)], [set()], NOBODY),
    "the only runner dies twice": ([(DIED, 1), (NOBODY, 1), (DIED, 1)], [set(), {1}, set()], DIED),
    "two runners die": ([(DIED, 1), (DIED, 2), (NOBODY, 2)], [set(), {1}, {1, 2}], DIED),
    "died, then unreachable": ([(DIED, 1), (GONE, 2), (NOBODY, 2)], [set(), {1}, {1, 2}], DIED),
}


@pytest.mark.parametrize(("steps", "excluded", "told"), CASES.values(), ids=CASES)
def test_a_failure_is_tried_again_where_that_can_help(
    steps: list[Step], excluded: list[set[int]], told: GatewayError
) -> None:
    retries = Retries(0)
    used, answers = [], []

    for error, server_id in steps:
        used.append(set(retries.excluded))
        answers.append(retries.after(error, server_id))

    assert used == excluded
    assert answers[:-1] == [None] * (len(steps) - 1)
    assert (type(answers[-1]), str(answers[-1])) == (type(told), str(told))


@pytest.mark.parametrize(
    "steps",
    [[(FULL, 1), (NOBODY, 1)], [(FULL, 1), (FULL, 2), (NOBODY, 2)], [(FULL, n) for n in (1, 2, 3)]],
    ids=["one server", "two servers", "three servers"],
)
def test_full_queues_are_waited_for_as_long_as_calls_wait_in_line(steps: list[Step]) -> None:
    clock = Seconds()
    retries = Retries(30, clock)
    rounds = 0

    while True:
        answers = [retries.after(error, server_id) for error, server_id in steps]
        if answers[-1] is not None:
            break
        assert (retries.excluded, retries.pause_s) == (frozenset(), PAUSE_S)
        clock.tick(PAUSE_S)
        rounds += 1

    assert rounds == 30
    assert answers[-1] is FULL


def test_a_runner_that_dies_after_the_wait_is_told() -> None:
    retries = Retries(30, Seconds())
    for error in (FULL, NOBODY):
        assert retries.after(error, 1) is None

    answers = [retries.after(error, 1) for error in (DIED, NOBODY, DIED)]

    assert (answers, retries.pause_s) == ([None, None, DIED], 0)


# -- time limits -----------------------------------------------------------------------------------

LIMITS: dict[str, tuple[int, bool, Limits]] = {
    "whole answer, or a limit asked for": (9_000, False, Limits(None, 7.0, 9.0)),
    "whole answer without a limit": (0, False, Limits(None, 7.0, None)),
    "stream": (9_000, True, Limits(9.0, 7.0, None)),
    "stream without a limit": (0, True, Limits(None, 7.0, None)),
}


@pytest.mark.parametrize(("timeout_ms", "start_only", "expected"), LIMITS.values(), ids=LIMITS)
def test_the_wait_for_the_first_record_is_never_silence(
    timeout_ms: int, start_only: bool, expected: Limits
) -> None:
    request = chat()
    prepared = PreparedCall(
        Call(request),
        Key(id=1, name="k", prefix="sk-o2a-xx"),
        cast(Any, None),
        request,
        timeout_ms=timeout_ms,
        limits_start_only=start_only,
    )

    assert limits_of(prepared, RuntimeSettings(idle_timeout_s=7)) == expected


NOT_BEGUN = "The Ollama server did not begin to answer within {} seconds."
STOPPED = "The Ollama server stopped answering: nothing came for {} seconds."
UNFINISHED = "The answer was not finished within {} seconds."
STREAM, ASKED, NONE = Limits(9, 7, None), Limits(None, 7, 20), Limits(None, 7, None)
Looks = list[tuple[float, int, bool]]
"""When it is looked at, in seconds after the slot was given; how many records have come by then;
whether the client is too slow."""

OVERDUE: dict[str, tuple[Limits, Looks, str | None]] = {
    "a stream that does not begin": (STREAM, [(8.9, 0, False), (9.0, 0, False)],
                                     NOT_BEGUN.format(9)),
    "a long wait for the first record is no silence": (NONE, [(1e6, 0, False)], None),
    "no first record within the limit of all": (ASKED, [(19.9, 0, False), (20.0, 0, False)],
                                                NOT_BEGUN.format(20)),
    "silence in the middle": (STREAM, [(5.0, 1, False), (11.9, 1, False), (12.0, 1, False)],
                              STOPPED.format(7)),
    "silence is counted from the look that saw the last record": (
        STREAM, [(5.0, 1, False), (11.0, 2, False), (17.9, 2, False)], None),
    "a stream that moves outlives the limit of its beginning": (
        STREAM, [(6.0 * n, n, False) for n in range(1, 50)], None),
    "an answer that is not done in time": (ASKED, [(6.0 * n, n, False) for n in range(1, 4)]
                                           + [(20.0, 4, False)], UNFINISHED.format(20)),
    "a client that is too slow is no silence": (
        STREAM, [(5.0, 1, False), *((6.0 * n, 1, True) for n in range(1, 50))], None),
    "silence after a slow client": (
        STREAM, [(5.0, 1, False), (60.0, 1, True), (66.9, 1, False), (67.0, 1, False)],
        STOPPED.format(7)),
    "the limit of all holds for slow clients too": (ASKED, [(5.0, 1, True), (20.0, 1, True)],
                                                    UNFINISHED.format(20)),
}  # fmt: skip


@pytest.mark.parametrize(("limits", "looks", "told"), OVERDUE.values(), ids=OVERDUE)
def test_an_attempt_is_overdue_by_the_limit_of_its_phase(
    monkeypatch: pytest.MonkeyPatch, limits: Limits, looks: Looks, told: str | None
) -> None:
    clock = Seconds()
    monkeypatch.setattr(attempts, "time", SimpleNamespace(monotonic=clock))
    attempt = Attempt(cast(Any, SimpleNamespace(attempts=[])), limits)
    slot: Any = SimpleNamespace()

    with attempt:
        attempt.begin(slot)
        found = []
        for at_s, records, is_held_up in looks:
            attempt.records = records
            found.append(attempt.overdue(clock.now_s + at_s, is_held_up=is_held_up))

    assert found[:-1] == [None] * (len(looks) - 1)
    assert (found[-1] and str(found[-1])) == told
    assert found[-1] is None or isinstance(found[-1], UpstreamTimeout)


def test_the_wait_in_the_queue_is_not_limited_here() -> None:
    attempt = Attempt(cast(Any, SimpleNamespace(attempts=[])), Limits(0, 0, 0))

    with attempt:
        assert attempt.overdue(1e9, is_held_up=False) is None


# -- aborts ----------------------------------------------------------------------------------------


class Active:
    """What an attempt knows of its call."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.reason: GatewayError | None = None


def test_an_abort_ends_the_attempt_and_lets_the_task_go_on() -> None:
    active = Active()
    never = tasks.Event()

    def work() -> str:
        with pytest.raises(tasks.Cancelled), Attempt(cast(Any, active), STREAM):
            never.wait()
        task = tasks.current()
        assert task is not None
        task.check()
        tasks.Event().wait(0.001)
        return "went on"

    task = tasks.spawn(work)
    until(lambda: active.attempts, "the attempt")
    attempt = active.attempts[0]
    attempt.abort(GONE)
    attempt.abort(DIED)

    assert task.wait(10)
    assert task.result() == "went on"
    assert attempt.error is GONE
    assert active.attempts == []


def test_an_abort_that_comes_too_late_is_void() -> None:
    active = Active()

    def work() -> str:
        with Attempt(cast(Any, active), STREAM) as attempt:
            attempt.abort(GONE)  # delivered at the next wait, which comes after the attempt
        attempt.abort(DIED)
        tasks.Event().wait(0.001)
        return "went on"

    task = tasks.spawn(work)

    assert task.wait(10)
    assert task.result() == "went on"


def test_an_abort_does_not_hide_that_the_call_was_cancelled() -> None:
    active = Active()

    def work() -> None:
        task = tasks.current()
        assert task is not None
        with Attempt(cast(Any, active), STREAM) as attempt:
            attempt.abort(GONE)
            active.reason = BAD
            task.interrupt(BAD)
        tasks.Event().wait()

    task = tasks.spawn(work)

    assert task.wait(10)
    with pytest.raises(tasks.Cancelled):
        task.result()


def test_an_attempt_ends_when_its_server_is_found_dead() -> None:
    active = Active()
    slot: Any = SimpleNamespace(on_server_down=None)

    def work() -> None:
        with Attempt(cast(Any, active), STREAM) as attempt:
            attempt.begin(slot)
            tasks.Event().wait()

    task = tasks.spawn(work)
    until(lambda: slot.on_server_down, "the attempt to begin")
    (attempt,) = active.attempts
    slot.on_server_down(GONE)

    assert task.wait(10)
    assert attempt.error is GONE
