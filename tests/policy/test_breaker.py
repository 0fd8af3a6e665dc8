"""When a server is no longer called, and when it is tried again."""

from __future__ import annotations

import pytest

from gateway.policy.breaker import Breaker, called, failed, forgotten, succeeded


def after_failures(*times: float) -> Breaker:
    breaker = Breaker(limit=3, window_s=10, first_pause_s=2, longest_pause_s=10)
    for at in times:
        breaker = failed(breaker, at)
    return breaker


STATES = {
    "new": ((), 0, "closed"),
    "two failures": ((1, 2), 3, "closed"),
    "three failures at once": ((1, 1, 1), 1, "open"),
    "three failures over a long time": ((1, 8, 15), 15, "closed"),
    "third failure exactly as the first grows old": ((1, 2, 11), 11, "closed"),
    "third failure just before": ((1, 2, 10.9), 10.9, "open"),
    "pause not over": ((1, 2, 3), 4.9, "open"),
    "pause over": ((1, 2, 3), 5, "half_open"),
}


@pytest.mark.parametrize(("failures", "now", "state"), STATES.values(), ids=STATES)
def test_failures_open_it_and_time_half_opens_it(failures, now, state):
    breaker = after_failures(*failures)

    assert breaker.state(now) == state
    assert breaker.allows(now) == (state != "open")


def test_one_certain_failure_opens_it():
    assert failed(Breaker(), 1, certain=True).state(1) == "open"


def test_a_success_forgives_earlier_failures():
    breaker = failed(succeeded(after_failures(1, 2)), 3)

    assert breaker.state(3) == "closed"


def test_half_open_lets_one_call_pass():
    breaker = called(after_failures(1, 2, 3), 5)

    assert not breaker.allows(5)


def test_the_trial_that_succeeds_closes_it():
    breaker = succeeded(called(after_failures(1, 2, 3), 5))

    assert breaker.state(5) == "closed"
    assert breaker == after_failures()


def test_the_trial_that_fails_opens_it_for_twice_as_long():
    breaker = failed(called(after_failures(1, 2, 3), 5), 6)

    assert breaker.state(9.9) == "open"
    assert breaker.state(10) == "half_open"


def test_the_pause_has_a_longest():
    breaker = after_failures(1, 2, 3)
    for _ in range(8):
        breaker = failed(called(breaker, breaker.retry_at_s), breaker.retry_at_s)

    assert breaker.pause_s == 10


def test_failures_while_open_do_not_prolong_it():
    breaker = after_failures(1, 2, 3)

    assert failed(breaker, 4) == breaker


def test_a_trial_without_outcome_lets_the_next_one_try():
    breaker = called(after_failures(1, 2, 3), 5)

    assert forgotten(breaker).allows(5)
    assert breaker.allows(5 + 30)


def test_a_call_while_closed_is_no_trial():
    breaker = Breaker()

    assert called(breaker, 1) is breaker
    assert forgotten(breaker) is breaker
