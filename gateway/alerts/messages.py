"""A message to one target, and the body that each kind of target takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from gateway.errors import Message
from gateway.schemas.alert import TITLES, AlertTarget
from gateway.store.alerts import Told

PRODUCT: Final = "Ollama2OpenAI"
LINES: Final = 10
"""Things that are named in one message; of more is told how many they are."""
_PAGES: Final = {
    "server_down": "/admin/servers",
    "server_back": "/admin/servers",
    "error_rate": "/admin/requests",
    "budget": "/admin/keys",
    "key_expiry": "/admin/keys",
    "disk": "/admin/settings/backup",
    "backup": "/admin/settings/backup",
    "test": "/admin/settings/alerts",
}
Translate = Callable[[str, str], str]
"""Returns a sentence in the language with this code."""


@dataclass(frozen=True, slots=True)
class Text:
    """What one message says: `count` is how often all its things were, `link` "" for none."""

    rule: str
    title: str
    lines: tuple[str, ...]
    count: int
    link: str
    at: datetime

    @property
    def body(self) -> str:
        """Return everything but the title, a line each."""
        return "\n".join((*self.lines, *([self.link] if self.link else [])))


def line(words: str, at: datetime) -> str:
    """Return words with their time in front."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {words}"


def text_of(told: Sequence[Told], public_url: str, translate: Translate, now: datetime) -> Text:
    """Return the message about things of one rule, to one target, in its language."""
    rule, language = told[0].rule, told[0].target.language
    lines = [
        one.words
        if one.count == 1
        else translate(
            language,
            Message("%(words)s (%(count)s times)", words=one.words, count=f"{one.count:,}"),
        )
        for one in told[:LINES]
    ]
    if len(told) > LINES:
        more = f"{len(told) - LINES:,}"
        lines.append(translate(language, Message("And %(count)s more.", count=more)))
    count = sum(one.count for one in told)
    title = translate(language, TITLES[rule]) + (f" ({count:,})" if count > 1 else "")
    link = f"{public_url.rstrip('/')}{_PAGES[rule]}" if public_url else ""
    return Text(rule, title, tuple(lines), count, link, now)


def http_body(target: AlertTarget, text: Text) -> tuple[str, bytes]:
    """Return the address that is asked and the JSON it gets."""
    match target.kind:
        case "ntfy":
            root, _, topic = target.url.rstrip("/").rpartition("/")
            is_bad = text.rule not in {"server_back", "test"}
            body: dict[str, Any] = {
                "topic": topic,
                "title": f"{PRODUCT}: {text.title}",
                "message": "\n".join(text.lines),
                "priority": 4 if is_bad else 3,
                "tags": ["warning" if is_bad else "white_check_mark"],
            }
            if text.link:
                body["click"] = text.link
            return f"{root}/", orjson.dumps(body)
        case "slack":
            words = f"*{PRODUCT}: {text.title}*\n{text.body}"
            for sign, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
                words = words.replace(sign, escaped)
            return target.url, orjson.dumps({"text": words})
        case _:
            body = {
                "product": PRODUCT,
                "rule": text.rule,
                "title": text.title,
                "lines": text.lines,
                "count": text.count,
                "link": text.link,
                "at": text.at,
            }
            return target.url, orjson.dumps(body)


def mail(target: AlertTarget, text: Text) -> EmailMessage:
    """Return the message as a mail of plain text."""
    made = EmailMessage()
    made["From"] = target.sender
    made["To"] = ", ".join(target.recipients)
    made["Subject"] = f"{PRODUCT}: {text.title}"
    made["Date"] = formatdate(text.at.timestamp())
    made["Message-ID"] = make_msgid(domain=urlsplit(target.url).hostname or "localhost")
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(text.body + "\n")
    return made
