"""Where a call of a model would go right now, and why not elsewhere: for the console."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.catalog import Model, Server
from gateway.policy.server_choice import Choice, choose
from gateway.scheduling.deployments import UNKNOWN_CONTEXT
from gateway.scheduling.scheduler import Dispatcher


@dataclass(frozen=True, slots=True)
class Route:
    """What a server would mean to a call: what `choice` weighs there (None: it cannot run there),
    whether it would go there, and why.

    `others` counts our calls of other models there; `context_tokens` is the window the model is
    loaded with, 0 while it is not in memory or unknown.
    """

    server: Server
    choice: Choice | None
    is_chosen: bool
    words: str
    in_flight: int
    slots: int
    others: int
    context_tokens: int

    @property
    def is_usable(self) -> bool:
        """Whether a call could run there at all."""
        return self.choice is not None


def routes(
    dispatcher: Dispatcher, model: Model, num_ctx: int | None, prefix: str, now_s: float
) -> tuple[Route, ...]:
    """Say what each server that has the model would mean to a call; nothing is changed."""
    found = []
    with dispatcher.lock:
        lanes = dispatcher.lanes_of(model, now_s)
        best = choose(lanes, num_ctx=num_ctx, prefix=prefix)
        for lane in lanes:
            is_chosen = best is not None and best[0] is lane
            alone = best if is_chosen else choose((lane,), num_ctx=num_ctx)
            choice = None if alone is None else alone[1]
            words = lane.station.state(now_s, {})[1] if choice is None else choice.reason
            window = lane.context_tokens if lane.context_tokens > UNKNOWN_CONTEXT else 0
            found.append(
                Route(
                    lane.station.server,
                    choice,
                    is_chosen,
                    words,
                    lane.in_flight,
                    lane.slots,
                    lane.others,
                    window,
                )
            )
    return tuple(found)
