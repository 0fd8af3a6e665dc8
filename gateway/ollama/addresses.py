"""Names to addresses, with a time limit and a memory.

The system's resolver has no time limit of its own, and under gevent every look-up occupies one of
ten threads that the database needs too: a name server that hangs would stop everything. So each
name has at most one look-up under way and all together a few, nobody waits for it longer than he
may, the last good answer is used while a new one is late, and what is an address already is never
looked up.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Address: TypeAlias = tuple[socket.AddressFamily, Any]
FRESH_S: Final = 30.0
LATE_S: Final = 1.0
"""A look-up that takes longer is not waited for where an earlier answer is known."""
_TURNS: Final = threading.BoundedSemaphore(4)


class ForbiddenAddress(OSError):
    """All addresses of a host are of the kind no server may have."""


class LateAnswer(socket.gaierror):
    """The name server has not answered within the time there was."""


@dataclass(eq=False)
class AddressBook:
    """Addresses by host and port. Safe for use by many threads or greenlets.

    `allows` is asked about every address (as text) before it is used, so a name that leads
    elsewhere tomorrow is refused tomorrow. `turns` bounds the look-ups under way.
    """

    lookup: Callable[..., Any] | None = None
    allows: Callable[[str], bool] = lambda address: True
    turns: threading.BoundedSemaphore = _TURNS
    _known: dict[tuple[str, int], tuple[float, list[Address]]] = field(default_factory=dict)
    _running: dict[tuple[str, int], _Lookup] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, host: str, port: int, timeout_s: float) -> Sequence[Address]:
        """Return the addresses of a host, best first.

        Raises socket.gaierror when it has none, LateAnswer when the resolver takes longer than
        `timeout_s` and no earlier answer is known, ForbiddenAddress when it has none that may be
        used.
        """
        host = host.strip("[]")
        key = (host, port)
        known = self._known.get(key)
        if known is not None and time.monotonic() - known[0] < FRESH_S:
            return known[1]
        literal = _literal(host, port)
        if literal is not None:
            return self._remember(key, self._allowed([literal]))
        lookup = self._start(key)
        if known is not None:
            timeout_s = min(timeout_s, max(lookup.started_s + LATE_S - time.monotonic(), 0.0))
        if not lookup.done.wait(timeout_s):
            if known is not None:
                return known[1]
            raise LateAnswer(socket.EAI_AGAIN, "the name server does not answer")
        if lookup.error is not None:
            if known is not None:
                return known[1]
            raise lookup.error
        return lookup.addresses

    def _start(self, key: tuple[str, int]) -> _Lookup:
        with self._lock:
            lookup = self._running.get(key)
            if lookup is None:
                lookup = self._running[key] = _Lookup()
                threading.Thread(target=self._run, args=(key, lookup), daemon=True).start()
            return lookup

    def _run(self, key: tuple[str, int], lookup: _Lookup) -> None:
        try:
            with self.turns:
                ask = self.lookup or socket.getaddrinfo
                found = ask(*key, socket.AF_UNSPEC, socket.SOCK_STREAM)
            addresses = [(family, address) for family, _, _, _, address in found]
            lookup.addresses = self._remember(key, self._allowed(addresses))
        except OSError as error:
            lookup.error = error
        except UnicodeError:
            lookup.error = socket.gaierror("the name is not a host name")
        finally:
            with self._lock:
                self._running.pop(key, None)
            lookup.done.set()

    def _allowed(self, addresses: list[Address]) -> list[Address]:
        allowed = [entry for entry in addresses if self.allows(str(entry[1][0]))]
        if addresses and not allowed:
            raise ForbiddenAddress("the address is not allowed")
        return allowed

    def _remember(self, key: tuple[str, int], addresses: list[Address]) -> list[Address]:
        self._known[key] = (time.monotonic(), addresses)
        return addresses


class _Lookup:
    """A question on its way to the name server."""

    def __init__(self) -> None:
        self.started_s = time.monotonic()
        self.done = threading.Event()
        self.addresses: list[Address] = []
        self.error: OSError | None = None


def _literal(host: str, port: int) -> Address | None:
    for family, rest in ((socket.AF_INET, ()), (socket.AF_INET6, (0, 0))):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return family, (host, port, *rest)
    return None
