"""Who is calling: the key of a request, from whichever header holds a valid one (D3).

A request that brings no key has that of its address, where an administrator marked one as anonymous
(D62). What a web page of another site makes somebody's browser send is refused then: such a page
may lie anywhere, and without keys there is no secret that it would have to know.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import time
from collections import OrderedDict
from threading import Lock

from flask import Request

from gateway.config import Settings
from gateway.errors import RateLimited, Unauthenticated
from gateway.schemas.key import Key
from gateway.web.context import Services
from gateway.web.security import is_own_origin

log = logging.getLogger(__name__)

_SHAPE = re.compile(r"[\x21-\x7e]{8,200}")
_REMEMBERED_ADDRESSES = 10_000
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-Ip")


def authenticate(request: Request, parts: Services, failures: Failures) -> Key:
    """Return the key of the request: headers are tried in order, the first valid one wins (D3);
    without any it is the anonymous key of the address (D62).

    Raises Unauthenticated, RateLimited after too many wrong keys a minute from one address, and
    Unavailable when the store cannot be asked.
    """
    candidates = presented(request)
    if not candidates:
        return _anonymous_key(request, parts)
    first_error: Unauthenticated | None = None
    for secret in candidates:
        try:
            return parts.keyring.find(secret)
        except Unauthenticated as error:
            first_error = first_error or error
    failures.count(request.remote_addr or "", parts.config.wrong_keys_per_minute)
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


def is_relayed(request: Request, config: Settings) -> bool:
    """Whether a proxy speaks for somebody whose address is not known, as TRUSTED_PROXIES is 0."""
    return not config.trusted_proxies and any(name in request.headers for name in _FORWARDED)


def named_origins(setting: str) -> list[str]:
    """Return the origins that the setting `cors_allow_origins` names; `*` names none."""
    return [origin for origin in setting.replace(",", " ").split() if origin != "*"]


def _anonymous_key(request: Request, parts: Services) -> Key:
    """Return the key of a request that brings none. Raises Unauthenticated with the same words
    whatever the reason, so that nobody learns whether there is such a key."""
    key = parts.keyring.anonymous(request.remote_addr or "")
    if key is not None:
        reason = _distrust(request, parts)
        if not reason:
            return key
        log.info("a request without a key may not use key %d: %s", key.id, reason)
    raise Unauthenticated(
        "No API key was sent. Use the header 'Authorization: Bearer YOUR_KEY'.",
        code="missing_api_key",
    )


def _distrust(request: Request, parts: Services) -> str:
    """Return why a request without a key may not come from a client at its address, "" if it
    may."""
    if is_relayed(request, parts.config):
        return "it came through a proxy, and TRUSTED_PROXIES is not set"
    if not parts.config.trusted_hosts and not _is_safe_host(request.host):
        return "its Host is a public name that TRUSTED_HOSTS does not have"
    origin = request.headers.get("Origin")
    if origin in named_origins(parts.settings.behaviour().cors_allow_origins):
        return ""
    is_cross_site = request.headers.get("Sec-Fetch-Site") == "cross-site"
    if is_cross_site or (origin is not None and not is_own_origin(origin, request.host)):
        return "a web page of another host sent it, which cors_allow_origins does not name"
    return ""


def _is_safe_host(host: str) -> bool:
    """Whether a `Host` header is an address or a name without a dot: no name of the public DNS,
    which its owner could have lead to this network (DNS rebinding)."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if "." not in name:
        return bool(name)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


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
