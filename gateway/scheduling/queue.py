"""Who of a queue is next, and when the others may be."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from gateway.policy.fair_queue import Entry, FairQueue
from gateway.policy.server_choice import Choice, choose
from gateway.scheduling.deployments import Deployment
from gateway.scheduling.tickets import Ticket

NO_SERVERS: Final[frozenset[int]] = frozenset()


class Next(NamedTuple):
    """The first call of a queue that can run now, and where."""

    entry: Entry[Ticket]
    deployment: Deployment
    choice: Choice


def next_call(
    queue: FairQueue[Ticket],
    deployments: Sequence[Deployment],
    now_s: float,
    skip: Collection[int] = NO_SERVERS,
) -> Next | None:
    """Return the first call that can run now on a server not in `skip`; it stays queued."""
    if not any((one.open or one.cooling_down) and one.in_flight < one.slots for one in deployments):
        return None
    found: list[tuple[Deployment, Choice]] = []
    is_over = False

    def fits(entry: Entry[Ticket]) -> bool:
        nonlocal is_over
        if is_over:
            return False
        ticket = entry.item
        exclude = ticket.exclude.union(skip) if skip else ticket.exclude
        best = choose(deployments, num_ctx=ticket.num_ctx, prefix=ticket.prefix, exclude=exclude)
        if best is None or not best[1].is_free:
            is_over = not ticket.exclude  # then no call behind it can run either
            return False
        found.append(best)
        return True

    first = queue.first(now_s, fits)
    return None if first is None else Next(first, *found[0])


def eta_s(deployments: Sequence[Deployment], place: int) -> float | None:
    """Estimate the seconds until a place gets its slot; None while no call has ended."""
    usable = [one for one in deployments if one.open]
    times = [one.average_s for one in usable if one.average_s is not None]
    if not times:
        return None
    return place / sum(one.known_slots for one in usable) * sum(times) / len(times)
