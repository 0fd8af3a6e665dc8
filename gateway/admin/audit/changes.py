"""What changed of an object, as people read it: the field's title, the old and the new value."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from gateway.admin.audit.words import sentence
from gateway.core.admin import AuditEntry
from gateway.core.chat import Json
from gateway.schemas import convert
from gateway.schemas.account import AccountChange, AccountFields
from gateway.schemas.alert import AlertTarget
from gateway.schemas.key import Key
from gateway.schemas.model import ModelFields
from gateway.schemas.server import Server
from gateway.schemas.settings import RuntimeSettings
from gateway.web.context import services
from gateway.web.words import _, _l

LONGEST: Final = 200
_SCHEMAS: Final[Mapping[str, tuple[type, ...]]] = {
    "admin": (AccountFields, AccountChange),
    "alert": (AlertTarget,),
    "key": (Key,),
    "model": (ModelFields,),
    "server": (Server,),
    "settings": (RuntimeSettings,),
}
_OWN: Final = frozenset(
    {"id", "epoch", "created_at", "password_changed_at", "has_password_hash", "has_totp_secret",
     "totp_enabled", "preferences", "last_login_at", "last_login_ip", "attempts", "lineage_id",
     "rotated_from", "last_used_at", "prefix", "last4"}
)  # fmt: skip
"""What an object is kept with, and nobody set."""
_TITLES: Final = {
    "addresses": _l("Addresses"),
    "issuer": _l("OpenID provider"),
    "reasons": _l("Reasons"),
    "subject": _l("Subject at the provider"),
    "server_id": _l("Server"),
    "revoked_at": _l("Revoked"),
    "has_auth_header": _l("Authorization header"),
    "has_token": _l("Token or password"),
    "has_url": _l("Address"),
    "must_change_password": _l("Must choose a password"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one field; None where it was not there."""

    title: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """An entry with its words."""

    entry: AuditEntry
    sentence: str
    changes: list[Change]


def rows(entries: Iterable[AuditEntry]) -> list[Row]:
    """Return entries with their sentences and changes, in the visitor's language."""
    return [Row(entry, sentence(entry), changes_of(entry)) for entry in entries]


def changes_of(entry: AuditEntry, only: Container[str] = ()) -> list[Change]:
    """Return what an entry says that changed, by the titles of the fields; if `only` is not empty,
    of the fields with these names."""
    old = entry.before if isinstance(entry.before, Mapping) else {}
    new = entry.after if isinstance(entry.after, Mapping) else {}
    names = [name for name in {**old, **new} if name not in _OWN and (not only or name in only)]
    found = [
        Change(
            title_of(entry.object_kind, name),
            value_of(name, old[name]) if name in old else None,
            value_of(name, new[name]) if name in new else None,
        )
        for name in names
    ]
    return sorted(found, key=lambda change: change.title)


def title_of(kind: str, name: str) -> str:
    """Return what the console calls a field of this kind of object."""
    if name in _TITLES:
        return str(_TITLES[name])
    for schema in _SCHEMAS.get(kind, ()):
        fields = convert.fields_of(schema)
        if name in fields:
            return _(convert.meta_of(fields[name]).title or name)
    return name.replace("_", " ")


def value_of(name: str, value: Json) -> str:
    """Return a value in words, at most LONGEST characters."""
    if value in (None, "", [], {}):
        return _("none")
    match value:
        case bool():
            return _("yes") if value else _("no")
        case list() if not any(isinstance(one, Mapping) for one in value):
            text = ", ".join(_name_of(name, one) for one in value)
        case Mapping() | list():
            text = orjson.dumps(value).decode()
        case _:
            text = _name_of(name, value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _name_of(field: str, value: Json) -> str:
    """Return the name of a model or server where a field holds ids of them."""
    catalog = services().catalog
    named: dict[int, str] = {}
    if field in {"model_ids", "fallbacks"}:
        named = {model.id: model.display_name for model in catalog.models()}
    elif field == "server_id":
        named = {server.id: server.name for server in catalog.servers()}
    return named.get(value, str(value)) if isinstance(value, int) else str(value)
