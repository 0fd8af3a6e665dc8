"""How the gateway's secrets look: API keys, admin tokens, session ids; and how they are kept.

    sk-o2a- + 43 characters base62 (256 random bits) + 6 characters base62 (CRC-32 of all before)

The checksum lets a wrong key be refused without asking anybody, and lets scanners be sure. For
scanners: `sk-o2a-[0-9A-Za-z]{49}` and `o2a-admin-[0-9A-Za-z]{49}`. Only the SHA-256 of a secret is
stored: 256 random bits need no slow hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Callable

KEY_PREFIX = "sk-o2a-"
TOKEN_PREFIX = "o2a-admin-"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY = 43
_CHECK = 6
_SHOWN = 2
_RECOVERY_BYTES = 10
_RECOVERY_CODE = re.compile(r"[a-z2-7]{16}")


def new_secret(prefix: str, random_bytes: Callable[[int], bytes]) -> str:
    """Make a secret; `random_bytes` is `secrets.token_bytes`."""
    number = int.from_bytes(random_bytes(32), "big")
    start = prefix + _base62(number, _BODY)
    return start + _checksum(start)


def is_well_formed(secret: str, prefix: str) -> bool:
    """Whether `secret` has our form and its checksum is right."""
    return (
        len(secret) == len(prefix) + _BODY + _CHECK
        and secret.startswith(prefix)
        and secret.isascii()
        and secret.isprintable()
        and _checksum(secret[:-_CHECK]) == secret[-_CHECK:]
    )


def digest(secret: str) -> bytes:
    """Return what is stored of a secret: its SHA-256."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def new_recovery_code(random_bytes: Callable[[int], bytes]) -> str:
    """Return a code of 80 random bits that people can type: four times four letters and digits,
    of which none looks like another (base32); `random_bytes` is `secrets.token_bytes`."""
    letters = base64.b32encode(random_bytes(_RECOVERY_BYTES)).decode().lower()
    return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))


def recovery_digest(code: str) -> bytes | None:
    """Return what is stored of a recovery code, typed in whatever case and with or without its
    hyphens; None for what cannot be one."""
    letters = code.replace("-", "").replace(" ", "").lower()
    return digest(letters) if _RECOVERY_CODE.fullmatch(letters) else None


def shown_prefix(secret: str) -> str:
    """Return the beginning that may be shown for ever: our prefix and two characters, or the first
    six characters of a foreign key, never more than a quarter of it."""
    for prefix in (KEY_PREFIX, TOKEN_PREFIX):
        if secret.startswith(prefix):
            return secret[: len(prefix) + _SHOWN]
    return secret[: min(6, len(secret) // 4)]


def shown_end(secret: str) -> str:
    """Return the last four characters, or fewer of a short foreign key."""
    shown = min(4, len(secret) // 4)
    return secret[len(secret) - shown :]


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECK)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, rest = divmod(number, 62)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))
