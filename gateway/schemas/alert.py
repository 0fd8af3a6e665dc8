"""Who is told when something is wrong with the gateway, and of what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from gateway.errors import Message
from gateway.schemas import types
from gateway.schemas.types import Problem, field

AlertKind: TypeAlias = Literal["webhook", "ntfy", "slack", "email"]
AlertRule: TypeAlias = Literal[
    "server_down", "server_back", "error_rate", "budget", "key_expiry", "disk", "backup"
]
RULES: Final[tuple[AlertRule, ...]] = get_args(AlertRule)
TITLES: Final[dict[str, Message]] = {
    "server_down": Message("Ollama server down"),
    "server_back": Message("Ollama server back"),
    "error_rate": Message("Many requests fail"),
    "budget": Message("Budget of a key nearly or wholly used"),
    "key_expiry": Message("API key expires soon"),
    "disk": Message("Disk nearly full"),
    "backup": Message("Backup failed"),
    "test": Message("Test of an alert"),
}
_ADDRESS: Final = re.compile(r"[^@\s<>,;\"()]{1,64}@[A-Za-z0-9._\[\]:-]{1,190}")


def _mail_address(value: str) -> str:
    text = types.line(value)
    if text and not (text.isascii() and _ADDRESS.fullmatch(text)):
        raise Problem(Message("must be a mail address such as ops@example.org"))
    return text


def _token(value: str) -> str:
    text = value.strip()
    if not text.isascii() or not text.isprintable():
        raise Problem(Message("may hold only plain characters"))
    return text


@dataclass(frozen=True, slots=True)
class AlertTarget:
    """Where alerts are sent to. `url` and `token` are secrets: an address may hold a token.

    `url` is http or https, of an `email` target smtp; empty only while it is not enabled.
    """

    id: int
    name: str = field(..., "Name", check=types.name, max_length=120)
    kind: AlertKind = field(
        "webhook",
        "Kind",
        "Mattermost, Rocket.Chat and Discord (/slack) take the format of Slack too.",
    )
    url: str = field(
        "",
        "Address",
        "Of a webhook, of a topic such as https://ntfy.sh/my-topic, or of a mail server such as "
        "smtp://mail.example.org:587; port 465 is encrypted from the start.",
        check=types.line,
        max_length=2_048,
        secret=True,
    )
    token: str = field(
        "",
        "Token or password",
        "Sent as Authorization: Bearer; for e-mail, the password of the mail account.",
        check=_token,
        max_length=2_048,
        secret=True,
    )
    username: str = field(
        "", "User name", "Of the mail account; empty where none is needed.", check=_token,
        max_length=256,
    )  # fmt: skip
    sender: str = field("", "From", "A mail address.", check=_mail_address, max_length=256)
    recipients: tuple[str, ...] = field(
        (), "To", "Mail addresses.", check=types.each(_mail_address), max_length=20
    )
    rules: tuple[AlertRule, ...] = field(
        RULES, "Alert about", check=types.unique, max_length=len(RULES)
    )
    language: Literal["en", "zh"] = field("en", "Language")
    quiet_s: int = field(
        3_600,
        "Quiet time (s)",
        "The same problem is reported again after this time at the earliest, with how often it "
        "occurred.",
        ge=60,
        le=604_800,
    )
    enabled: bool = field(True, "Enabled")

    @property
    def place(self) -> str:
        """Return what may be shown of the address: scheme, host and port."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        shown = f"[{host}]" if ":" in host else host
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{shown}{port}" if host else ""
