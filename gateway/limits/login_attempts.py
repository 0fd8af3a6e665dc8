"""Slows whoever guesses passwords, without locking the owner out.

Failures are counted for an account together with the network they come from, and for the address
alone: strangers who try the owner's name from elsewhere make only themselves wait. A browser that
signed in before is known by a cookie; it waits for its own failures only, and its password is
checked beside the strangers' (`console-5`).
"""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from gateway.errors import Message, RateLimited
from gateway.runtime.database import Store
from gateway.store import admins

log = logging.getLogger(__name__)

_FREE = {"user": 5, "device": 5, "ip": 10}
_LONGEST_S = {"user": 60, "device": 60, "ip": 900}
_HASHING = 2
_WAITING = 64
_WAITING_OF_A_NETWORK = 2


@dataclass(frozen=True, slots=True)
class Attempt:
    """Whose failures count for one login, and where it comes from."""

    subjects: tuple[str, ...]
    network: str
    address: str
    is_known: bool


def attempt(username: str, address: str, device: str = "") -> Attempt:
    """Return what a login by `username` from `address` is counted under; `device` is the id of a
    browser that signed in to this account before."""
    if device:
        return Attempt((f"device:{device}",), "", address, True)
    network, machine = _networks(address)
    name = username.strip().lower()[:64]
    subjects = [f"user:{name}@{network}"] + ([f"ip:{machine}"] if machine else [])
    return Attempt(tuple(subjects), network, address, False)


class LoginAttempts:
    """Counts failures, says who waits, and bounds how many passwords are checked at once."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._strangers = threading.BoundedSemaphore(_HASHING)
        self._known = threading.BoundedSemaphore(_HASHING)
        self._waiting: Counter[str] = Counter()  # strangers whose password is to be checked

    def check(self, tried: Attempt) -> None:
        """Raise RateLimited (`retry_after_s`) for who must wait."""
        now = self._now()
        until = self._store.read(admins.blocked_until, list(tried.subjects), now)
        if until is not None:
            wait_s = max(1, int((until - now).total_seconds() + 0.999))
            raise RateLimited(
                Message("Too many attempts. Try again in %(seconds)s seconds.", seconds=wait_s),
                retry_after_s=wait_s,
            )

    def failed(self, tried: Attempt) -> None:
        """Count a failure."""
        now = self._now()

        def change(session: Session) -> None:
            for subject in tried.subjects:
                kind = subject.partition(":")[0]
                admins.count_failure(
                    session, subject, now, free=_FREE[kind], longest_s=_LONGEST_S[kind]
                )

        self._store.write(change)
        log.warning("a login failed from %s", tried.address)

    @contextmanager
    def turn(self, network: str = "", *, is_known: bool = True) -> Iterator[None]:
        """Wait until a password may be checked: hashing takes a processor for a while.

        Raises RateLimited when too many strangers wait, or too many of one network.
        """
        if is_known:
            with self._known:
                yield
            return
        if self._waiting.total() >= _WAITING or self._waiting[network] >= _WAITING_OF_A_NETWORK:
            raise RateLimited(
                Message("Too many logins at once; try again in a moment."), retry_after_s=2
            )
        self._waiting[network] += 1
        try:
            with self._strangers:
                yield
        finally:
            self._waiting[network] -= 1
            self._waiting += Counter()  # forgets the networks of which nobody waits


def _networks(address: str) -> tuple[str, str]:
    """Return the network of an address and what of it one machine may vary: a household or a
    small office has a /24 or a /48, and one IPv6 machine a /64 of its own."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64], address[:64]
    ip = getattr(ip, "ipv4_mapped", None) or ip
    wide, own = (24, 32) if ip.version == 4 else (48, 64)
    network = ipaddress.ip_network(f"{ip}/{wide}", strict=False)
    return str(network), str(ipaddress.ip_network(f"{ip}/{own}", strict=False))
