"""Accounts of the console and tokens of the admin API, as owners name them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

from gateway.core.admin import Role
from gateway.errors import Message
from gateway.schemas import types
from gateway.schemas.types import Problem, field

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@\-]{0,63}")
_ROLE = field("Role")


def _username(value: str) -> str:
    name = value.strip().lower()
    if not _NAME.fullmatch(name):
        raise Problem(
            Message("has 1 to 64 letters, digits or . _ @ - and starts with a letter or digit")
        )
    return name


@dataclass(frozen=True, slots=True)
class AccountFields:
    """What is said of an account; the password is checked where it is hashed."""

    username: Annotated[str, field("User name", check=_username, max_length=64)]
    password: Annotated[str, field("Password", max_length=1_024)]
    role: Annotated[Role, _ROLE] = "viewer"


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What may be changed of an account; its sessions end."""

    role: Annotated[Role, _ROLE]
    enabled: Annotated[bool, field("Enabled")]


@dataclass(frozen=True, slots=True)
class TokenFields:
    """What is said of an admin token."""

    name: Annotated[str, field("Name", check=types.name, max_length=types.LINE_LIMIT)]
    role: Annotated[Role, _ROLE] = "viewer"
    expires_at: Annotated[Any, field("Expires", check=types.instant, json_schema=types.INSTANT)] = (
        None
    )
