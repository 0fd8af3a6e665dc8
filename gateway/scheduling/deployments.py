"""One model on one server, a deployment: what runs there, how many slots it has, whether it works.

It only keeps state; `Scheduler` changes it, without waiting in between.

**Slots.** Where an admin sets none they are learned, as Ollama does not tell them. A deployment
starts with one, Ollama's default, and now and then lets up to twice as many calls in as it is sure
of. As soon as more calls answer at once than it was sure of, that number is proven. A probe for
slots that proves nothing is repeated later and later, at last every ten minutes; a server that
restarts is learned anew. So Ollama's own queue, which knows no keys, holds at most as many calls as
are running, and only during such a probe.

**Other processes** (with Redis): `in_flight` counts their calls as of Redis' last reply, which came
with our last call there or at most half a second ago while calls wait. How many calls answer at
once is counted there over all processes, and what one has proven holds for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.core.chat import Params
from gateway.errors import (
    ClientGone,
    GatewayError,
    ModelNotFound,
    Unavailable,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.policy import breaker, loads
from gateway.policy.breaker import Breaker
from gateway.policy.context import Wish

if TYPE_CHECKING:
    from gateway.scheduling.servers import ServerState

FIRST_PROBE_PAUSE_S: Final = 5.0
LONGEST_PROBE_PAUSE_S: Final = 600.0
MAX_SLOTS: Final = 1024
SHORT_CALL_SLOTS: Final = 4
"""What a deployment of an embedding model starts with: Ollama takes such calls one by one, and a
short queue there keeps it busy between them."""
UNKNOWN_CONTEXT: Final = 1
"""In memory, with a window that is not known."""
_BUSY_PAUSE_S: Final = 1.0
_AVERAGE: Final = 0.2
_NOT_THE_MODEL: Final = frozenset(
    {"upstream_unauthorized", "upstream_endpoint_missing", "tool_call_parse_error"}
)
"""Upstream errors that say nothing against this model on this server."""


class Deployment:
    """One model on one server; a `policy.server_choice.Candidate`.

    `in_flight` counts the calls of all processes here, `remote_in_flight` those of others,
    `sent_window` is the one the last call was sent with, 0 where nobody chose it.
    """

    def __init__(self, server: ServerState, name: str, now_s: float, *, short_calls: bool) -> None:
        self.server = server
        self.name = name
        self.server_id = server.server.id
        self.weight = server.server.weight
        self.breaker = Breaker(limit=3, window_s=60.0, first_pause_s=5.0, longest_pause_s=300.0)
        self._first_slots = SHORT_CALL_SLOTS if short_calls else 1
        self.learned_slots = self._first_slots
        self.next_slot_probe_s = 0.0
        self._slot_probe_pause_s = FIRST_PROBE_PAUSE_S
        self.paused_until_s = 0.0
        self.in_flight = 0
        self.remote_in_flight = 0
        self.answering = 0
        self.context_tokens = 0
        self.sent_window = 0
        self._needed_s = now_s
        self.sent: Params | None = None
        self.gone: loads.Reason = "first"
        """Why the model is not in memory, where it is not."""
        self.average_s: float | None = None
        """How long a call took lately, seconds; None before the first has ended."""
        self.slots = 1
        self.open = True
        self.cooling_down = False
        self.timed_out = False
        self.refresh(now_s)

    @property
    def other_models_in_flight(self) -> int:
        """Calls of other models on this server."""
        return self.server.in_flight - self.in_flight

    @property
    def local_in_flight(self) -> int:
        """Calls of this process here."""
        return self.in_flight - self.remote_in_flight

    @property
    def has_fixed_slots(self) -> bool:
        """Whether an admin has set how many calls may run."""
        return bool(self.server.server.slots)

    @property
    def known_slots(self) -> int:
        """How many calls surely run at once."""
        return self.server.server.slots or self.learned_slots

    def refresh(self, now_s: float) -> None:
        """Compute anew whether calls may come, and how many at once."""
        self.open = (
            self.server.open
            and now_s >= self.paused_until_s
            and (self.breaker.retry_at_s is None or self.breaker.allows(now_s))
        )
        self.cooling_down = self.server.open and not self.open and not self.timed_out
        fixed = self.server.server.slots
        is_probing = now_s >= self.next_slot_probe_s
        learned = min(self.learned_slots * 2, MAX_SLOTS) if is_probing else self.learned_slots
        self.slots = fixed or learned
        if self.open and (fixed or is_probing):
            self.server.time_dependent.discard(self)
        else:
            self.server.time_dependent.add(self)

    def set_remote(self, in_flight: int) -> None:
        """Record how many calls other processes run here."""
        change = in_flight - self.remote_in_flight
        self.remote_in_flight = in_flight
        self.in_flight += change
        self.server.in_flight += change

    def use_window(self, wish: Wish, now_s: float, shrink_after_s: float) -> int:
        """Return the window to send a call with that has a slot here. While other calls run, the
        model is loaded, or about to be, with what the last of them was sent with. A smaller one
        than is loaded is taken when nobody has needed that for `shrink_after_s` seconds; 0: never.
        """
        is_alone, least = self.local_in_flight <= 1, wish.window(0)
        loaded = self.context_tokens if is_alone else self.sent_window or self.context_tokens
        if shrink_after_s and is_alone and now_s - self._needed_s > shrink_after_s:
            loaded = 0
        self.sent_window = wish.window(loaded)
        if self.sent_window == least:
            self._needed_s = now_s
        return self.sent_window

    def prove(self, answering: int, now_s: float) -> None:
        """Record that so many calls answered at once."""
        if answering > self.learned_slots:
            self.learned_slots = min(answering, MAX_SLOTS)
            self._slot_probe_pause_s = FIRST_PROBE_PAUSE_S
            self.refresh(now_s)

    def on_start(self, now_s: float) -> None:
        """Count a call that begins."""
        self.in_flight += 1
        self.server.in_flight += 1
        self.breaker = breaker.called(self.breaker, now_s)
        self.server.breaker = breaker.called(self.server.breaker, now_s)
        self.refresh(now_s)

    def on_first_token(self, now_s: float) -> None:
        """Count a call whose first piece of answer has come: it holds one of Ollama's slots."""
        self.answering += 1
        self.prove(self.answering, now_s)
        self.on_success()
        self.refresh(now_s)

    def on_finish(self, now_s: float, *, did_answer: bool, lasted_s: float) -> None:
        """Count a call that ended, however it did."""
        was_probing = self.in_flight > self.learned_slots and now_s >= self.next_slot_probe_s
        self.in_flight -= 1
        self.server.in_flight -= 1
        if did_answer:
            self.answering -= 1
            before = lasted_s if self.average_s is None else self.average_s
            self.average_s = before + (lasted_s - before) * _AVERAGE
        if was_probing and did_answer:
            # a slot came free while extra calls still waited for one: there may be no more
            self.next_slot_probe_s = now_s + self._slot_probe_pause_s
            self._slot_probe_pause_s = min(self._slot_probe_pause_s * 2, LONGEST_PROBE_PAUSE_S)
        self.refresh(now_s)

    def on_result(self, error: GatewayError | None, now_s: float) -> bool:
        """Learn from how a call ended (None: well). Returns whether the server should be probed."""
        server = self.server
        was_well = self.breaker.retry_at_s is None and server.breaker.retry_at_s is None
        needs_probe = False
        match error:
            case None:
                self.on_success()
            case ClientGone():
                self.breaker = breaker.forgotten(self.breaker)
                server.breaker = breaker.forgotten(server.breaker)
            case UpstreamUnreachable():
                server.breaker = breaker.failed(server.breaker, now_s)
                needs_probe = True
            case Unavailable():
                self.cool_down(now_s)
            case UpstreamTimeout():
                self.on_failure(now_s, timed_out=True)
                needs_probe = True
            case ModelNotFound():
                self.on_failure(now_s, certain=True)
            case UpstreamError() if error.code not in _NOT_THE_MODEL:
                self.on_failure(now_s)
                needs_probe = error.code == "upstream_disconnected"
            case _:
                self.on_success()
        if not was_well or server.breaker.retry_at_s is not None:
            server.refresh(now_s)
        return needs_probe

    def on_success(self) -> None:
        """Note that a call went well: nothing is held against the model or the server."""
        self.timed_out = False
        self.breaker = breaker.succeeded(self.breaker)
        self.server.breaker = breaker.succeeded(self.server.breaker)
        self.context_tokens = self.sent_window or self.context_tokens or UNKNOWN_CONTEXT

    def on_failure(self, now_s: float, *, certain: bool = False, timed_out: bool = False) -> None:
        """Note a failure of this model here. One that `timed_out` kept its caller waiting: until
        the model works again, others are spared that even where no other server is left."""
        self.timed_out = timed_out
        self.breaker = breaker.failed(self.breaker, now_s, certain=certain)
        self.refresh(now_s)

    def cool_down(self, now_s: float) -> None:
        """Send nothing for a moment: the server said that it is busy."""
        self.paused_until_s = now_s + _BUSY_PAUSE_S
        self.refresh(now_s)

    def reset_slots(self) -> None:
        """Learn the slots anew: the server was restarted."""
        self.learned_slots = self._first_slots
        self.next_slot_probe_s = 0.0
        self._slot_probe_pause_s = FIRST_PROBE_PAUSE_S
