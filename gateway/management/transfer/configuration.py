"""The configuration as one document: taken out, compared, and brought in as a whole or not at all.

A document holds settings, servers, models, keys and targets of alerts as plain values (YAML or
JSON), each with the fields of its schema. `plan` says what importing it would change; `apply` does
it in one transaction. Things are recognised by what they are called, never by id: servers and
targets by name, models by Ollama's name, keys by digest, or by prefix and end. What a document does
not mention stays as it is.

Secrets of servers and targets are never in it, so that a target which is new waits, switched off,
for its address. Digests of keys are, if asked for: with them, keys go on working on another
machine, and whoever has the document still has no key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.core.admin import SYSTEM, Actor
from gateway.core.chat import Json
from gateway.errors import InvalidFields, InvalidRequest, Message
from gateway.management import alert_targets as alert_changes
from gateway.management import keys as key_changes
from gateway.management import models as model_changes
from gateway.management import servers as server_changes
from gateway.management.settings import usable
from gateway.policy.names import parse_name
from gateway.runtime.database import Store
from gateway.schemas import convert, types
from gateway.schemas.alert import AlertTarget
from gateway.schemas.key import Key
from gateway.schemas.model import ModelFields
from gateway.schemas.server import Server
from gateway.schemas.settings import DEFAULTS, RuntimeSettings
from gateway.store import alert_targets, audit, catalog, keys, servers, settings
from gateway.store.coordination import versions
from gateway.store.mapping import plain, value_of
from gateway.store.tables import ApiKeyRow

PRODUCT = "ollama2openai"
_SECTIONS = ("settings", "servers", "models", "keys", "alerts")
_HEAD = frozenset({"product", "version", "exported_at"})
_SECRETS = frozenset({"has_auth_header", "has_url", "has_token"})
_NOT_EXPORTED = frozenset({"id", "model_ids", "rotated_from", "lineage_id"}) | _SECRETS

_TOPICS: Mapping[str, tuple[versions.Topic, ...]] = {
    "server": ("servers", "models"),
    "key": ("keys",),
    "alert": ("alerts",),
}
_Noun: TypeAlias = Server | Key | AlertTarget

_NOT_SHOWN = _NOT_EXPORTED | {"prefix", "last4", "legacy", "created_at", "last_used_at"}
_DEFAULTS: Mapping[str, Mapping[str, Json]] = {
    "server": plain(Server(0, "", "")),
    "model": plain(ModelFields(0, "")),
    "key": plain(Key(0, "")),
    "alert": plain(alert_changes.NEW),
}


def _digest(value: str | None) -> bytes | None:
    try:
        digest = None if value is None else bytes.fromhex(value)
    except ValueError:
        digest = b""
    if digest is not None and len(digest) != 32:
        raise types.Problem(Message("must be 64 hexadecimal digits"))
    return digest


@dataclass(frozen=True, slots=True)
class KeyOrigin:
    """What a document says of a key beside the fields of its schema."""

    digest: str | None = types.field(..., "", check=_digest)
    prefix: str = types.field(..., "", max_length=64)
    last4: str = types.field(..., "", max_length=4)
    created_at: Any = types.field(..., "", check=types.instant)
    revoked_at: Any = types.field(..., "", check=types.instant)
    last_used_at: Any = types.field(..., "", check=types.instant)
    legacy: bool = types.field(..., "")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing an import would do: `word` is add or change, `place` is where the document says it
    (`settings`, `keys[0]`)."""

    kind: str
    name: str
    word: str
    before: Mapping[str, Json]
    after: Mapping[str, Json]
    place: str = ""

    def fields(self) -> list[tuple[str, Json, Json]]:
        """Return the fields that change with both values; of something new, what differs from a
        default."""
        before = self.before
        if self.word == "add":
            before = {**_DEFAULTS[self.kind], "name": self.after["name"]}
        return [
            (name, before.get(name), value)
            for name, value in self.after.items()
            if name not in _NOT_SHOWN and before.get(name) != value
        ]

    def __str__(self) -> str:
        if self.word == "add":
            return f"+ {self.kind} {self.name}"
        fields = [f"    {name}: {old!r} -> {new!r}" for name, old, new in self.fields()]
        return "\n".join([f"~ {self.kind} {self.name}", *fields])


@dataclass(eq=False)
class ConfigTransfer:
    """Exports and imports the configuration."""

    store: Store
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def export(self, *, digests: bool = False) -> dict[str, Json]:
        """Return the configuration as a document."""
        return self.store.read(_document, digests, self.now())

    def plan(self, document: Json) -> list[Change]:
        """Return what importing would change. Raises InvalidRequest naming all that is wrong."""

        def rehearse(session: Session) -> list[Change]:
            changes = _Import(session, self.now(), SYSTEM).run(document)
            session.rollback()
            return changes

        return self.store.write(rehearse)

    def apply(
        self, document: Json, actor: Actor, only: Collection[str] | None = None
    ) -> list[Change]:
        """Import a document, or `only` some places of it (`keys[0]`, `settings.max_images`), all of
        it or nothing. Raises InvalidRequest as `plan` does."""
        return self.store.write(lambda s: _Import(s, self.now(), actor, only).run(document))


def _document(session: Session, digests: bool, now: datetime) -> dict[str, Json]:
    found = session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.id)).all()
    models = [catalog.fields(session, one.id) for one in catalog.all_models(session)]
    names = {one.id: one.name for one in models}
    stored = usable(settings.load(session))
    return {
        "product": PRODUCT,
        "version": 1,
        "exported_at": now.isoformat(),
        "settings": {name: value for name, value in stored.items() if value != DEFAULTS[name]},
        "servers": [_exported(one) for one in servers.all_servers(session)],
        "models": [
            _exported(one)
            | {"fallbacks": [names[other] for other in one.fallbacks if other in names]}
            for one in models
        ],
        "keys": [
            _exported(value_of(row, Key)) | ({"digest": row.digest.hex()} if digests else {})
            for row in found
        ],
        "alerts": [_exported(one) for one in alert_targets.all_targets(session)],
    }


def _exported(value: object) -> dict[str, Json]:
    return {name: inner for name, inner in plain(value).items() if name not in _NOT_EXPORTED}


@dataclass(eq=False)
class _Import:
    """One import in one transaction."""

    session: Session
    now: datetime
    actor: Actor
    only: Collection[str] | None = None
    _place: str = ""
    _changes: dict[str, Change] = field(default_factory=dict)
    _problems: list[str] = field(default_factory=list)

    def run(self, document: Json) -> list[Change]:
        """Import section by section; return what changed."""
        whole = _checked(document)
        if "settings" in whole:
            self._each("settings", self._settings, self._chosen_settings(whole["settings"]))
        for section, read in (
            ("servers", self._server),
            ("models", self._model),
            ("models", self._fallbacks),
            ("keys", self._key),
            ("alerts", self._alert),
        ):
            listed = whole.get(section)
            if not isinstance(listed, list | None):
                raise InvalidRequest(f"{section}: must be a list.", param=section)
            for number, entry in enumerate(listed or []):
                place = f"{section}[{number}]"
                if self.only is None or place in self.only:
                    self._each(place, read, entry)
        if self._problems:
            first = self._problems[0].partition(": ")[0]
            raise InvalidRequest("\n".join(dict.fromkeys(self._problems)), param=first)
        return list(self._changes.values())

    def _chosen_settings(self, entry: Json) -> Json:
        if self.only is None or not isinstance(entry, Mapping):
            return entry
        return {name: entry[name] for name in entry if f"settings.{name}" in self.only}

    def _each(self, where: str, read: Callable[[Mapping[str, Json]], None], entry: Json) -> None:
        """Import one entry; what is wrong with it is noted, and the next one looked at."""
        self._place = where
        try:
            read(_mapping(entry))
        except InvalidFields as error:
            self._problems += [f"{where}.{name}: {text}" for name, text in error.sentences()]
        except InvalidRequest as error:
            path = f"{where}.{error.param}" if error.param else where
            self._problems.append(f"{path}: {error.message}")

    def _settings(self, raw: Mapping[str, Json]) -> None:
        before = RuntimeSettings(**usable(settings.load(self.session)))
        after = replace(before, **convert.read(raw, RuntimeSettings))
        if after == before:
            return
        changed = {
            name: value for name, value in asdict(after).items() if value != getattr(before, name)
        }
        settings.save(self.session, changed)
        old = {name: getattr(before, name) for name in changed}
        now = self.now
        audit.record(
            self.session, self.actor, "settings.import", "settings", "", "",
            now=now, before=old, after=changed,
        )  # fmt: skip
        versions.bump(self.session, "settings")
        self._add("settings", "settings", "change", old, changed)

    def _server(self, raw: Mapping[str, Json]) -> None:
        named = {one.name.lower(): one for one in servers.all_servers(self.session)}
        before = named.get(str(raw.get("name", "")).lower())
        fields = {name: value for name, value in raw.items() if name != "has_auth_header"}
        server = server_changes.changed(before or Server(0, "", ""), fields)
        if not server.name or not server.url:
            raise InvalidRequest("a server needs a name and a url")
        if before is None:
            self._note("server.import", None, servers.insert(self.session, server, self.now))
        elif server != before:
            self._note("server.import", before, servers.save(self.session, server))

    def _model(self, raw: Mapping[str, Json]) -> None:
        model_id, is_new = catalog.ensure(self.session, _canonical(raw.get("name")), self.now)
        given = {name: raw[name] for name in raw if name not in {"name", "fallbacks"}}
        changes = model_changes.checked(given)
        self._save_model(model_id, changes, is_new)

    def _fallbacks(self, raw: Mapping[str, Json]) -> None:
        """Set fallbacks once every model of the document is there."""
        if "fallbacks" not in raw:
            return
        if not isinstance(raw["fallbacks"], list):
            raise InvalidRequest("must be a list", param="fallbacks")
        model_id, _ = catalog.ensure(self.session, _canonical(raw.get("name")), self.now)
        others = []
        for name in raw["fallbacks"]:
            other, is_new = catalog.ensure(self.session, _canonical(name), self.now)
            if is_new:
                raise InvalidRequest(f"there is no model '{name}'", param="fallbacks")
            others.append(other)
        self._save_model(model_id, {"fallbacks": tuple(others)}, False)

    def _save_model(self, model_id: int, changes: Mapping[str, Any], is_new: bool) -> None:
        before, after = model_changes.save(
            self.session, model_id, changes, self.actor, "model.import", self.now, "import"
        )
        if is_new or after != before:
            old, new = self._with_names(before), self._with_names(after)
            word = "add" if is_new else "change"
            self._add("model", after.display_name, word, {} if is_new else old, new)

    def _with_names(self, model: ModelFields) -> dict[str, Json]:
        """Return the fields of a model with the names of its fallbacks, not their ids."""
        names = [catalog.fields(self.session, other).name for other in model.fallbacks]
        return plain(model) | {"fallbacks": names}

    def _key(self, raw: Mapping[str, Json]) -> None:
        own = convert.fields_of(KeyOrigin)
        origin = convert.read({name: raw[name] for name in raw if name in own}, KeyOrigin)
        before = self._known_key(raw, origin)
        base = before or Key(id=0, name="", prefix="", created_at=self.now)
        ends = raw.get("expires_at", base.expires_at)
        if isinstance(ends, str | datetime):  # a key that has expired stays so
            base = replace(base, expires_at=convert.read({"expires_at": ends}, Key)["expires_at"])
        fields = {name: raw[name] for name in raw if name not in own}
        key = key_changes.changed(base, fields, self.now)
        key = key_changes.with_roles(self.session, base, key, fields)
        if "revoked_at" in origin:
            key = replace(key, revoked_at=origin["revoked_at"])
        if before is not None:
            if key != before:
                self._note("key.import", before, keys.save(self.session, key))
            return
        digest = origin.pop("digest", None)
        if digest is None:
            raise InvalidRequest(
                "this key is not known here and has no digest: export it with digests, or issue"
                " a new one",
                param="digest",
            )
        known = {name: value for name, value in origin.items() if value is not None}
        stored = keys.insert(self.session, replace(key, **known), digest)
        self._note("key.import", None, stored)

    def _known_key(self, raw: Mapping[str, Json], origin: Mapping[str, Any]) -> Key | None:
        if origin.get("digest") is not None:
            return keys.find_by_digest(self.session, origin["digest"])
        query = select(ApiKeyRow).where(
            ApiKeyRow.prefix == origin.get("prefix", ""), ApiKeyRow.last4 == origin.get("last4", "")
        )
        rows = self.session.scalars(query).all()
        if len(rows) > 1:
            rows = [row for row in rows if row.name == raw.get("name")]
        return value_of(rows[0], Key) if len(rows) == 1 else None

    def _alert(self, raw: Mapping[str, Json]) -> None:
        before = alert_targets.find_named(self.session, str(raw.get("name", "")))
        fields = dict(raw)
        if not (fields.get("url") or (before is not None and before.url)):
            fields["enabled"] = False
        target = alert_changes.changed(before or alert_changes.NEW, fields)
        if before is None:
            stored = alert_targets.insert(self.session, target, self.now)
            self._note("alert.import", None, stored)
        elif target != before:
            self._note("alert.import", before, alert_targets.save(self.session, target))

    def _note(
        self,
        action: Literal["key.import", "server.import", "alert.import"],
        before: _Noun | None,
        after: _Noun,
    ) -> None:
        kind = action.partition(".")[0]
        old = {} if before is None else plain(before)
        word = "add" if before is None else "change"
        self._add(kind, after.name, word, old, plain(after))
        audit.change(
            self.session, self.actor, action, before, after, now=self.now, topics=_TOPICS[kind]
        )

    def _add(
        self, kind: str, name: str, word: str, before: Mapping[str, Json], after: Mapping[str, Json]
    ) -> None:
        """Note a change; a model that comes in two steps (its fallbacks last) is one."""
        if first := self._changes.get(self._place):
            word, before = first.word, first.before
        self._changes[self._place] = Change(kind, name, word, before, after, self._place)


def _checked(document: Json) -> Mapping[str, Json]:
    """Return a document whose outside is right. Raises InvalidRequest."""
    whole = _mapping(document)
    for name in whole:
        if name not in {*_SECTIONS, *_HEAD}:
            raise InvalidRequest(f"'{name[:64]}' is not known here.", param=name[:64])
    if whole.get("product", PRODUCT) != PRODUCT:
        raise InvalidRequest("The document is of another product.", param="product")
    if whole.get("version", 1) != 1:
        raise InvalidRequest("The document has a version this gateway cannot read.")
    if not any(section in whole for section in _SECTIONS):
        raise InvalidRequest(f"The document has none of {', '.join(_SECTIONS)}.")
    return whole


def _mapping(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidRequest("must be a mapping of names to values")
    return value


def _canonical(name: Json) -> str:
    parsed = parse_name(name) if isinstance(name, str) else None
    if parsed is None:
        raise InvalidRequest("is not a name Ollama could have", param="name")
    return parsed.short
