"""Who is calling: the key of a request, from whichever header holds a valid one (D3)."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from threading import Lock

from flask import Request

from gateway.errors import RateLimited, Unauthenticated
from gateway.management.keyring import Keyring
from gateway.schemas.key import Key

_SHAPE = re.compile(r"[\x21-\x7e]{8,200}")
_REMEMBERED_ADDRESSES = 10_000


def authenticate(
    request: Request, keyring: Keyring, failures: Failures, address: str, limit: int
) -> Key:
    """Return the key of the request: headers are tried in order, the first valid one wins (D3).

    Raises Unauthenticated, RateLimited after `limit` wrong keys a minute from one address, and
    Unavailable when the store cannot be asked.
    """
    candidates = presented(request)
    if not candidates:
        raise Unauthenticated(
            "No API key was sent. Use the header 'Authorization: Bearer YOUR_KEY'.",
            code="missing_api_key",
        )
    first_error: Unauthenticated | None = None
    for secret in candidates:
        try:
            return keyring.find(secret)
        except Unauthenticated as error:
            first_error = first_error or error
    failures.count(address, limit)
    raise first_error or Unauthenticated("The API key is not valid.")


def presented(request: Request) -> list[str]:
    """Return the secrets a request carries, in the order of trust, trimmed of spaces and quotes.

    Only well-shaped ones: printable ASCII, bounded. A malformed one counts as an unknown key.
    """
    environ = request.environ
    bearer = environ.get("HTTP_AUTHORIZATION", "").strip()
    scheme, _, rest = bearer.partition(" ")
    first = rest if scheme.lower() == "bearer" else bearer
    found: dict[str, None] = {}
    for text in (first, environ.get("HTTP_X_API_KEY", ""), environ.get("HTTP_API_KEY", "")):
        if value := text.strip().strip("\"'").strip():
            found[value if _SHAPE.fullmatch(value) else "malformed-key"] = None
    return list(found)


class Failures:
    """Wrong keys by address in the last minute: slows guessing, never locks a key out (auth-16)."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = Lock()

    def count(self, address: str, limit: int) -> None:
        """Count one failure. Raises RateLimited beyond `limit` a minute."""
        now_s = time.monotonic()
        with self._lock:
            since_s, failures = self._seen.pop(address, (now_s, 0))
            if now_s - since_s > 60:
                since_s, failures = now_s, 0
            self._seen[address] = (since_s, failures + 1)
            while len(self._seen) > _REMEMBERED_ADDRESSES:
                self._seen.popitem(last=False)
        if failures >= limit:
            wait_s = max(1, int(60 - (now_s - since_s)))
            raise RateLimited(
                f"Too many wrong API keys from your address; try again in {wait_s} s.",
                retry_after_s=wait_s,
            )
