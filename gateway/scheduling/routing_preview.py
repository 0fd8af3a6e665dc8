"""Where a call of a model would go right now, and why to no other server: for the console."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.policy.server_choice import Choice, choose
from gateway.scheduling.deployments import UNKNOWN_CONTEXT, Deployment
from gateway.schemas.server import Server


@dataclass(frozen=True, slots=True)
class Route:
    """What a server would mean to a call: what `choice` weighs there (None: it cannot run there),
    whether it would go there, and why.

    `others` counts calls of other models there; `context_tokens` is the window the model is loaded
    with, 0 while it is not in memory or unknown.
    """

    server: Server
    choice: Choice | None
    is_chosen: bool
    reason: str
    in_flight: int
    slots: int
    others: int
    context_tokens: int

    @property
    def is_usable(self) -> bool:
        """Whether a call could run there at all."""
        return self.choice is not None


def routes(
    deployments: Sequence[Deployment], num_ctx: int | None, prefix: str, now_s: float
) -> tuple[Route, ...]:
    """Return what each server that has the model would mean to a call; nothing is changed."""
    found = []
    best = choose(deployments, num_ctx=num_ctx, prefix=prefix)
    for one in deployments:
        is_chosen = best is not None and best[0] is one
        alone = best if is_chosen else choose((one,), num_ctx=num_ctx)
        choice = None if alone is None else alone[1]
        found.append(
            Route(
                one.server.server,
                choice,
                is_chosen,
                one.server.status(now_s, {})[1] if choice is None else choice.reason,
                one.in_flight,
                one.slots,
                one.other_models_in_flight,
                one.context_tokens if one.context_tokens > UNKNOWN_CONTEXT else 0,
            )
        )
    return tuple(found)
