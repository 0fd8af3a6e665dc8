"""The lines of all models that calls run or wait for, here and in other processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import ItemsView, Mapping

from gateway.policy.elsewhere import Told
from gateway.policy.fair_queue import FairLine
from gateway.scheduling.tickets import Ticket


class Lines:
    """A line a model. To be used under the dispatcher's lock.

    A line is forgotten when no call of its model runs or waits here, and begins where those of the
    other processes stand by then: turns are compared among those who are there.
    """

    def __init__(self) -> None:
        self.me = ""
        """The name of this process among the others."""
        self.told: Mapping[str, Mapping[str, Told]] = {}
        """By model and process, what others told of their lines."""
        self._lines: dict[str, FairLine[Ticket]] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def of(self, name: str) -> FairLine[Ticket]:
        """Return the line of a model, made on first use."""
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = FairLine(me=self.me)
            if name in self.told:
                line.hear(self.told[name])
        return line

    def get(self, name: str) -> FairLine[Ticket] | None:
        """Return the line of a model if there is one."""
        return self._lines.get(name)

    def items(self) -> ItemsView[str, FairLine[Ticket]]:
        """Return all lines by model."""
        return self._lines.items()

    def forget(self, name: str) -> None:
        """Forget a line nobody waits in."""
        line = self._lines.get(name)
        if line is not None and not len(line):
            del self._lines[name]

    def waiting(self) -> Mapping[str, int]:
        """Return how many calls wait here, by model."""
        return {name: len(line) for name, line in self._lines.items() if len(line)}

    def in_line(self) -> Mapping[str, int]:
        """Return how many calls wait here and elsewhere, by model."""
        found = Counter(self.waiting())
        for name, told in self.told.items():
            found[name] += sum(run.calls for one in told.values() for run in one.runs)
        return +found

    def has_news(self) -> bool:
        """Whether somebody waits here whom other processes were not told of yet."""
        return any(line.has_news for line in self._lines.values())
