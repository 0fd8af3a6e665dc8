"""Which failures are tried again, and on which servers."""

from __future__ import annotations

import pytest
from gateway.calls.retries import PAUSE_S, Retries

from gateway.errors import (
    ContextOverflow,
    GatewayError,
    RunnerDied,
    Unavailable,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
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
