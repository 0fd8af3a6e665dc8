"""Accounts of the console and tokens of the admin API, as owners name them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from gateway.core.admin import Role
from gateway.errors import Message
from gateway.schemas import types
from gateway.schemas.types import Problem, field

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@\-]{0,63}")


def _username(value: str) -> str:
    name = value.strip().lower()
    if not _NAME.fullmatch(name):
        raise Problem(
            Message("has 1 to 64 letters, digits or . _ @ - and starts with a letter or digit")
        )
    return name


def free_names(wish: str) -> list[str]:
    """Return names to try, best first, for somebody who would like to be called `wish`."""
    plain = re.sub(r"[^a-z0-9._@\-]+", "-", wish.strip().lower()).lstrip("._@-")[:60] or "account"
    return [plain, *(f"{plain}-{number}" for number in range(2, 10))]


@dataclass(frozen=True, slots=True)
class AccountFields:
    """What is said of an account; the password is checked where it is hashed."""

    username: str = field(..., "User name", check=_username, max_length=64)
    password: str = field(..., "Password", max_length=1_024)
    role: Role = field("viewer", "Role")


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What may be changed of an account; its sessions end."""

    role: Role = field(..., "Role")
    enabled: bool = field(..., "Enabled")


@dataclass(frozen=True, slots=True)
class TokenFields:
    """What is said of an admin token."""

    name: str = field(..., "Name", check=types.name, max_length=types.LINE_LIMIT)
    role: Role = field("viewer", "Role")
    expires_at: Any = field(None, "Expires", check=types.instant, json_schema=types.INSTANT)
