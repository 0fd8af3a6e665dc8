"""Writes down what the probes see in the memory of servers, when it changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.core.catalog import Loaded
from gateway.policy import loads
from gateway.runtime.database import Store
from gateway.store.usage import memory


@dataclass(eq=False)
class MemoryLog:
    """One a worker; every worker writes the same."""

    store: Store
    _noted: dict[int, Mapping[str, Loaded]] = field(default_factory=dict)

    def note(self, server_id: int, loaded: Mapping[str, Loaded], at: datetime) -> None:
        """Record what is in memory of a server. Raises StoreUnavailable: the next one says it."""
        before = self._noted.get(server_id)
        if before is not None and _windows(before) == _windows(loaded):
            self._noted[server_id] = loaded  # they may stay longer now
            return
        was = before or {}
        gone = {
            name: loads.why_gone(one, loaded, was, at)
            for name, one in was.items()
            if name not in loaded
        }
        self.store.write(memory.note, server_id, loaded, gone, at)
        self._noted[server_id] = loaded


def _windows(loaded: Mapping[str, Loaded]) -> dict[str, int]:
    return {name: one.context_tokens for name, one in loaded.items()}
