"""Carries a secret from one page to the next, once, without keeping it anywhere.

A random pad goes into the visitor's cookie, the secret combined with it into the next page's
address: neither who has a log nor who has the cookie can put it together, and any worker can
answer. Looking uses the pad up, in the database: an older copy of the cookie finds nothing.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from hashlib import sha256

from flask import session

from gateway.store import admins
from gateway.web.context import services

_LIFE_S = 600


def hand_over(slot: str, secret: str, about: int = 0) -> str:
    """Prepare to give `secret` (and a number it is about) on the next page; return its token."""
    plain = secret.encode()
    pad = secrets.token_bytes(len(plain))
    session[slot] = [about, pad.hex(), int(time.time())]
    return _combined(plain, pad).hex()


def given(slot: str, token: str) -> tuple[int, str] | None:
    """Return (number, secret) for a token, the first time and within minutes; else None."""
    kept = session.pop(slot, None)
    if kept is None:
        return None
    about, pad_hex, at = kept
    pad = bytes.fromhex(pad_hex)
    try:
        mixed = bytes.fromhex(token)
    except ValueError:
        return None
    if len(mixed) != len(pad) or not 0 <= time.time() - at <= _LIFE_S:
        return None
    if not services().store.write(admins.spend, sha256(pad).digest(), datetime.now(UTC)):
        return None
    try:
        return int(about), _combined(mixed, pad).decode()
    except UnicodeDecodeError:
        return None


def _combined(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
