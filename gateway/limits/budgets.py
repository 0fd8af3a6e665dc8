"""Budgets of keys: spent from small leases, so that a warm key asks the database rarely.

A worker leases a few units at a time (`store.counters.lease` never lets leases and use exceed the
limit) and spends them without asking. The nearer the limit, the smaller the leases, down to what a
single call needs, so that little is held where others could use it; what lies idle goes back.

While the store is away, what is leased may be spent; then calls of such keys are refused with 503.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.core.periods import period_end, period_start
from gateway.errors import QuotaExhausted, RateLimited
from gateway.runtime.database import Store, StoreUnavailable
from gateway.schemas.key import Budget, Key
from gateway.store.usage import counters
from gateway.store.usage.counters import CounterName

log = logging.getLogger(__name__)

IDLE_S = 1.0
HEADROOM = 16_384
"""Tokens set aside for an answer whose length nobody bounded."""
_CHUNKS = {"requests": 100, "tokens": 1_000_000}
_SHARE = 100
_NEAR = 16


@dataclass(slots=True)
class _Account:
    """Leased units of one counter: `available` may be negative, when an answer took more than was
    set aside for it; `held` are those of running calls, `elsewhere` what other workers held when
    nothing could be leased. `leasing` is held by the one call that asks the database for more; all
    else is plain arithmetic in one step, so that settling never waits."""

    available: int = 0
    held: int = 0
    elsewhere: int = 0
    free: int = 1 << 62
    in_flight: int = 0
    used_s: float = 0.0
    leasing: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class Holds:
    """What a call has set aside; `room` is how many tokens it may take (None: no bound)."""

    units: tuple[tuple[CounterName, int], ...] = ()
    room: int | None = None


@dataclass(eq=False)
class Budgets:
    """The leases of this worker."""

    store: Store
    worker: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic
    _accounts: defaultdict[CounterName, _Account] = field(
        default_factory=lambda: defaultdict(_Account)
    )

    def take(self, key: Key, tokens: int, prompt: int = 0) -> Holds:
        """Set aside one request and the tokens of a call: `tokens` expected in all, of which
        `prompt` are the question.

        Raises QuotaExhausted, RateLimited when running calls hold what is left of a budget, and
        StoreUnavailable when nothing is leased and none can be had.
        """
        if not key.budgets:
            return Holds()
        now = self.now()
        held: list[tuple[CounterName, int]] = []
        room: int | None = None
        open_ended = tokens <= prompt
        try:
            for budget in key.budgets:
                name = _name(key, budget, now)
                least = 1
                if budget.metric == "requests":
                    units = self._take(name, budget, 1, least)
                else:
                    want = max(1, tokens) + (HEADROOM if open_ended else 0)
                    least = min(want, prompt + 1)
                    units = self._take(name, budget, want, least)
                    if units < want or not open_ended:
                        room = units if room is None else min(room, units)
                if units <= 0:
                    account = self._accounts[name]
                    is_held = account.held + account.elsewhere + account.available >= least
                    raise _held(budget) if is_held else _exhausted(budget, key, now)
                held.append((name, units))
        except BaseException:
            self.settle(Holds(tuple(held)), 0, counted=False)
            raise
        return Holds(tuple(held), room)

    def settle(self, held: Holds, tokens: int, *, counted: bool) -> None:
        """Record what a call took; what it did not need may be spent by others."""
        for name, units in held.units:
            spent = int(counted) if name[1] == "requests" else tokens
            account = self._accounts[name]
            account.available += units - spent
            account.held -= units
            account.in_flight -= 1
            account.used_s = self.clock()

    def return_idle(self) -> None:
        """Return to the shared count what has not been spent for IDLE_S. Never raises."""
        now_s = self.clock()
        for name, account in list(self._accounts.items()):
            if account.in_flight or now_s - account.used_s < IDLE_S:
                continue
            del self._accounts[name]
            units = max(0, account.available)
            if units:
                self._give_back(name, units)

    def _take(self, name: CounterName, budget: Budget, want: int, least: int) -> int:
        account = self._accounts[name]
        account.in_flight += 1
        units = 0
        try:
            if account.available < want:
                with account.leasing:
                    self._lease(name, account, budget, want, least)
            if account.available >= least:
                units = min(want, account.available)
                account.available -= units
                account.held += units
        finally:
            account.used_s = self.clock()
            account.in_flight -= not units
        return units

    def _lease(
        self, name: CounterName, account: _Account, budget: Budget, want: int, least: int
    ) -> None:
        if account.available >= want:  # leased by another call meanwhile
            return
        missing = max(0, want - account.available)
        needed = max(1, least - account.available)
        chunk = min(_CHUNKS[budget.metric], budget.limit // _SHARE, account.free // _NEAR)
        try:
            units, account.free, account.elsewhere = self.store.write_fast(
                counters.lease,
                name,
                worker=self.worker,
                want=missing + max(0, chunk),
                least=needed,
                limit=budget.limit,
            )
        except StoreUnavailable:
            if account.available < least:
                raise
            return
        account.available += units

    def _give_back(self, name: CounterName, units: int) -> None:
        try:
            self.store.write_fast(counters.give_back, name, worker=self.worker, units=units)
        except StoreUnavailable:
            account = self._accounts[name]
            account.available += units
            account.used_s = self.clock()


def _name(key: Key, budget: Budget, now: datetime) -> CounterName:
    start = period_start(budget.period, now, key.zone)
    return key.counter_id, budget.metric, budget.period, start


def _held(budget: Budget) -> RateLimited:
    """Return the refusal of a call while others hold what is left: soon they may give it back."""
    return RateLimited(
        f"Running calls hold what is left of this key's budget of {budget.limit} {budget.metric};"
        " try again in a moment.",
        retry_after_s=1,
    )


def _exhausted(budget: Budget, key: Key, now: datetime) -> QuotaExhausted:
    end = period_end(budget.period, now, key.zone)
    per = "in all" if budget.period == "total" else f"per {budget.period}"
    again = "" if end is None else f"; it starts again at {end:%Y-%m-%d %H:%M} UTC"
    return QuotaExhausted(
        f"This key has used up its budget of {budget.limit} {budget.metric} {per}{again}."
    )
