"""What an admin decides about a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from gateway.core.chat import EMPTY, Json
from gateway.errors import Message
from gateway.schemas import types
from gateway.schemas.types import Problem, field

MOST_ALIASES = 100


def _name(value: str) -> str:
    text = types.name(value)
    if "*" in text:
        raise Problem(Message("must not hold *: that is for aliases"))
    return text


def _aliases(found: Mapping[str, Any]) -> dict[str, Any]:
    if len(found) > MOST_ALIASES:
        raise Problem(Message("must hold at most %(limit)s names", limit=MOST_ALIASES))
    read: dict[str, Any] = {}
    for text, override in found.items():
        name = types.limited(types.LINE_LIMIT, types.name)(text)
        if name.lower() in (one.lower() for one in read):
            raise Problem(Message("holds the name '%(name)s' twice", name=name))
        read[name] = override
    return read


@dataclass(frozen=True, slots=True)
class ModelFields:
    """The part of a model that is not Ollama's to say; `name` is Ollama's tag.

    `aliases` are further names and `*` patterns, each with an override of its own. Overrides are in
    Ollama's words (docs/contract/parameters.md).
    """

    id: int
    name: str
    display_name: str = field(
        "",
        "Public name",
        "Shown in /v1/models. Ollama's own tag works as well.",
        check=_name,
        max_length=types.LINE_LIMIT,
    )
    enabled: bool = field(True, "Enabled")
    override: Mapping[str, Json] = field(EMPTY, "Parameters")
    aliases: Mapping[str, Mapping[str, Json]] = field(EMPTY, "Aliases", check=_aliases)
    fallbacks: tuple[Annotated[int, Meta(ge=1, le=types.MOST_BIG_INT)], ...] = field(
        (),
        "Fallback models",
        "They answer when no server can run this model.",
        check=types.unique,
        max_length=types.MOST_ENTRIES,
    )
    notes: str = field("", "Notes", check=types.notes, max_length=types.NOTES_LIMIT)
