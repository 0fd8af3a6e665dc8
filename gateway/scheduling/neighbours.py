"""What processes tell each other of their calls: how many run where, and who waits.

A `Row` is all that one process tells. It is written anew whenever it changed, so a reader needs the
last one only; what it says of servers or models unknown here is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from gateway.policy.elsewhere import Told
from gateway.scheduling.scheduler import Dispatcher
from gateway.scheduling.tickets import Ticket


class Calls(NamedTuple):
    """Calls of one process for one model on one server: how many run, how many of these answer,
    and how many at once it would let in there."""

    server_id: int
    name: str
    running: int
    answering: int
    slots: int


class Row(NamedTuple):
    """What one process tells: its calls, and its lines by model."""

    calls: tuple[Calls, ...] = ()
    lines: Mapping[str, Told] = {}


EMPTY: Final = Row()
NONE: Final = (0, 0, 0)
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Row)


def encode(row: Row, limit: int) -> bytes:
    """Return a row as JSON of at most `limit` bytes. Where more waits than fits, the ends of the
    lines are left out; then the models with the fewest calls."""
    data = _ENCODER.encode(row)
    while len(data) > limit:
        longest = max((len(told.runs) for told in row.lines.values()), default=0)
        if longest > 1:
            cut = longest // 2
            lines = {name: told._replace(runs=told.runs[:cut]) for name, told in row.lines.items()}
            row = Row(row.calls, lines)
        else:
            most = sorted(row.calls, key=lambda calls: -calls.running)[: len(row.calls) // 2]
            names = {calls.name for calls in most}
            row = Row(tuple(most), {name: row.lines[name] for name in names & row.lines.keys()})
        data = _ENCODER.encode(row)
    return data


def decode(data: bytes | str) -> Row:
    """Read what another process wrote; nonsense tells nothing."""
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return EMPTY


class Neighbours:
    """What the dispatcher of this process tells and hears. To be used under its lock."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def ours(self) -> Row:
        """Return what the others should know."""
        dispatcher = self._dispatcher
        calls = tuple(
            Calls(lane.server_id, lane.name, lane.own, lane.answering, lane.own_slots)
            for lane in dispatcher.busy
            if dispatcher.stations.get(lane.server_id) is lane.station
        )
        return Row(
            calls, {name: line.told(_excluded_by) for name, line in dispatcher.lines.items()}
        )

    def hear(self, rows: Mapping[str, Row], now_s: float) -> None:
        """Take in what the others tell, by the name of the process; nobody is served yet."""
        heard: dict[tuple[int, str], tuple[int, int, int]] = {}
        told: dict[str, dict[str, Told]] = {}
        for process, row in rows.items():
            for server_id, name, running, answering, slots in row.calls:
                before = heard.get((server_id, name), NONE)
                heard[server_id, name] = (
                    before[0] + running,
                    before[1] + answering,
                    max(before[2], slots),
                )
            for name, line in row.lines.items():
                told.setdefault(name, {})[process] = line
        dispatcher = self._dispatcher
        for (server_id, name), calls in (dict.fromkeys(dispatcher.foreign, NONE) | heard).items():
            station = dispatcher.stations.get(server_id)
            lane = None if station is None else station.lanes.get(name)
            if lane is not None:
                lane.hear(*calls, now_s)
        dispatcher.foreign = heard
        dispatcher.lines.told = told
        for name, ours in tuple(dispatcher.lines.items()):
            ours.hear(told.get(name, {}))
            if len(ours):
                dispatcher.shed(name)


def _excluded_by(ticket: Ticket) -> tuple[int, ...]:
    return tuple(sorted(ticket.exclude))
