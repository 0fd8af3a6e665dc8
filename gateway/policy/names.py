"""Model names as Ollama reads them: `[scheme://][host/][namespace/]model[:tag]`.

Two spellings that Ollama takes for the same model must be one model here too, or a rule about one
of them could be walked around with the other. Source: `types/model/name.go` (parts, defaults, all
parts compared without case) and `internal/modelref/modelref.go` (`:cloud`, `-cloud`, `:local`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

HOST: Final = "registry.ollama.ai"
NAMESPACE: Final = "library"
TAG: Final = "latest"
MAX_NAME: Final = 600

_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}", re.ASCII)
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}", re.ASCII)
_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Name:
    """A whole name with its defaults filled in."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def short(self) -> str:
        """The form Ollama's lists show: defaults left out, the tag always there."""
        if self.host.lower() != HOST:
            return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"
        if self.namespace.lower() != NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"

    @property
    def key(self) -> str:
        """What all spellings of one model share."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}".lower()


def parse_name(text: str) -> Name | None:
    """Return the whole name; None when it is no valid name."""
    if len(text) > MAX_NAME:
        return None
    rest, host, namespace, tag = text, HOST, NAMESPACE, TAG
    if rest.rfind(":") > rest.rfind("/"):
        rest, _, tag = rest.rpartition(":")
    parts = rest.rsplit("/", 2)
    model = parts[-1]
    if len(parts) > 1:
        namespace = parts[-2]
    if len(parts) > 2:
        host = parts[0].partition("://")[2] or parts[0]
    checks = ((_HOST, host), (_NAMESPACE, namespace), (_PART, model), (_PART, tag))
    if any(pattern.fullmatch(part) is None for pattern, part in checks):
        return None
    return Name(host, namespace, model, tag)


def key_of(text: str) -> str:
    """Return what all spellings of one model share; of an invalid name, itself without case."""
    name = parse_name(text)
    return text.casefold() if name is None else name.key


def without_latest(text: str) -> str:
    """Return the name without a trailing `:latest`, in any case."""
    return text[: -len(":latest")] if text.lower().endswith(":latest") else text


def has_tag(text: str) -> bool:
    """Whether a name says a tag."""
    return text.rfind(":") > text.rfind("/")


def is_cloud(text: str) -> bool:
    """Whether the tag of a name sends the prompt to Ollama's cloud."""
    name = parse_name(text)
    return name is not None and f"-{name.tag}".lower().endswith("-cloud")


def matches(pattern: str, text: str, *, case: bool = False) -> bool:
    """Whether a text fits a pattern in which `*` stands for anything; linear in the text."""
    if not case:
        pattern, text = pattern.casefold(), text.casefold()
    first, *others = pattern.split("*")
    if not others:
        return pattern == text
    last = others.pop()
    end = len(text) - len(last)
    if not text.startswith(first) or not text.endswith(last) or end < len(first):
        return False
    position = len(first)
    for part in others:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True
