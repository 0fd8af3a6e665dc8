"""Readers of the values in a configuration document; each says where it stumbled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from gateway.core.catalog import Alias
from gateway.core.chat import Json
from gateway.core.periods import YEARS, in_utc, parse_instant
from gateway.errors import InvalidRequest
from gateway.management.models import read_name
from gateway.policy.overrides import rules

PRODUCT = "ollama2openai"
_SECTIONS = ("settings", "servers", "models", "keys")
_HEAD = frozenset({"product", "version", "exported_at"})


def checked(document: Json) -> Mapping[str, Json]:
    """Return a document whose outside is right. Raises InvalidRequest."""
    whole = mapping(document, "the document")
    refuse_unknown(whole, {*_SECTIONS, *_HEAD})
    if whole.get("product", PRODUCT) != PRODUCT:
        raise InvalidRequest("The document is of another product.", param="product")
    if whole.get("version", 1) != 1:
        raise InvalidRequest("The document has a version this gateway cannot read.")
    if not any(section in whole for section in _SECTIONS):
        raise InvalidRequest(f"The document has none of {', '.join(_SECTIONS)}.")
    return whole


def at(where: str, read: Callable[[Any], Any], value: Any) -> Any:
    """Call `read`, and say in its error where in the document that was."""
    try:
        return read(value)
    except InvalidRequest as error:
        path = f"{where}.{error.param}" if error.param else where
        raise InvalidRequest(f"{path}: {error.message}", param=path) from error


def mapping(value: Json, where: str) -> Mapping[str, Json]:
    """Return a mapping with text names. Raises InvalidRequest."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidRequest(f"{where}: must be a mapping of names to values.", param=where)
    return value


def entries(value: Json, where: str) -> list[Json]:
    """Return a list; nothing is an empty one. Raises InvalidRequest."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRequest(f"{where}: must be a list.", param=where)
    return value


def refuse_unknown(raw: Mapping[str, Json], known: set[str] | frozenset[str]) -> None:
    """Raise InvalidRequest for a name nobody reads: it may be a typing error."""
    for name in raw:
        if name not in known:
            raise InvalidRequest(f"'{name[:64]}' is not known here.", param=name[:64])


def flag(value: Json, name: str) -> bool:
    """Return true or false. Raises InvalidRequest."""
    if not isinstance(value, bool):
        raise InvalidRequest(f"'{name}' must be true or false.", param=name)
    return value


def read_aliases(names: Mapping[str, Json]) -> list[Alias]:
    """Return further names of a model with their overrides. Raises InvalidRequest."""
    return [
        Alias(read_name(name, "names", pattern=True), rules.validate(override or {}))
        for name, override in names.items()
    ]


def read_digest(raw: Mapping[str, Json]) -> bytes | None:
    """Return a key's digest, or None where there is none. Raises InvalidRequest."""
    text = raw.get("digest")
    if text is None:
        return None
    try:
        digest = bytes.fromhex(text if isinstance(text, str) else "")
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise InvalidRequest("'digest' must be 64 hexadecimal digits.", param="digest")
    return digest


def read_instant(raw: Mapping[str, Json], name: str, kept: datetime | None) -> datetime | None:
    """Return a time in UTC; `kept` where the field is absent. Raises InvalidRequest."""
    if name not in raw:
        return kept
    value = raw[name]
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = parse_instant(value)
    if not isinstance(value, datetime) or value.year not in YEARS:
        raise InvalidRequest(f"'{name}' must be a time such as 2030-01-31T12:00:00Z.", param=name)
    return in_utc(value)
