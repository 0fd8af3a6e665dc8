"""The configuration as one document: taken out, compared, and brought in as a whole or not at all.

A document holds settings, servers, models and keys as plain values (YAML or JSON). `plan` says
what importing it would change; `apply` does it in one transaction. Things are recognised by what
they are called, never by id: servers by name, models by Ollama's name, keys by digest, or by
prefix and end. What a document does not mention stays as it is.

Secrets of servers are never in it. Digests of keys are, if asked for: with them, keys go on working
on another machine, and whoever has the document still has no key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.core.admin import Actor
from gateway.core.behaviour import Behaviour
from gateway.core.catalog import Server
from gateway.core.chat import Json
from gateway.core.keys import Key
from gateway.dialects import SCOPES
from gateway.errors import InvalidRequest
from gateway.management import servers as server_rules
from gateway.management.config_values import (
    PRODUCT,
    at,
    checked,
    entries,
    flag,
    mapping,
    read_aliases,
    read_digest,
    read_instant,
    refuse_unknown,
)
from gateway.management.models import facts, read_name
from gateway.management.settings import usable
from gateway.policy import key_rules
from gateway.policy.names import parse_name
from gateway.policy.overrides import rules, settings_rules
from gateway.runtime.database import Store
from gateway.runtime.versions import Revisions
from gateway.store import audit, catalog, keys, servers, settings
from gateway.store.coordination import versions
from gateway.store.tables import ApiKeyRow

_MODEL_FIELDS = frozenset(
    {"name", "display_name", "enabled", "override", "names", "notes", "fallbacks"}
)
_SERVER_SKIPPED = frozenset({"id", "has_auth_header"})
_KEY_OWN = frozenset({"digest", "prefix", "last4", "revoked_at", "created_at", "legacy"})
_KEY_SKIPPED = frozenset({"id", "model_ids", "rotated_from", "lineage_id", "last_used_at"})


@dataclass(frozen=True, slots=True)
class Change:
    """One thing an import would do: `word` is add, change or keep."""

    kind: str
    name: str
    word: str
    before: Mapping[str, Json]
    after: Mapping[str, Json]

    def __str__(self) -> str:
        if self.word == "add":
            return f"+ {self.kind} {self.name}"
        fields = [
            f"    {field}: {self.before.get(field)!r} -> {value!r}"
            for field, value in self.after.items()
            if self.before.get(field) != value
        ]
        return "\n".join([f"~ {self.kind} {self.name}", *fields])


@dataclass(eq=False)
class Portable:
    """Exports and imports the configuration."""

    store: Store
    marks: Revisions
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def export(self, *, digests: bool = False) -> dict[str, Json]:
        """Return the configuration as a document."""
        return self.store.read(_document, digests, self.now())

    def plan(self, document: Json) -> list[Change]:
        """Return what importing would change. Raises InvalidRequest naming what is wrong."""

        def dry(session: Session) -> list[Change]:
            changes = _Import(session, self.now(), None).run(document)
            session.rollback()
            return changes

        return self.store.write(dry)

    def apply(self, document: Json, actor: Actor) -> list[Change]:
        """Import a document, all of it or nothing. Raises InvalidRequest."""

        def change(session: Session) -> list[Change]:
            return _Import(session, self.now(), actor).run(document)

        changes = self.store.write(change)
        self.marks.look()
        return changes


def _document(session: Session, digests: bool, now: datetime) -> dict[str, Json]:
    stored = {row.id: row for row in session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.id))}
    exported = []
    for row in stored.values():
        plain = {
            name: value
            for name, value in keys.as_json(keys.to_key(row)).items()
            if name not in _KEY_SKIPPED
        }
        exported.append(plain | ({"digest": row.digest.hex()} if digests else {}))
    behaviour = Behaviour(**usable(settings.load(session)))
    return {
        "product": PRODUCT,
        "version": 1,
        "exported_at": now.isoformat(),
        "settings": {
            name: value
            for name, value in asdict(behaviour).items()
            if value != settings_rules.DEFAULTS[name]
        },
        "servers": [
            {k: v for k, v in servers.as_json(server).items() if k not in _SERVER_SKIPPED}
            for server in servers.all_servers(session)
        ],
        "models": _models(session),
        "keys": exported,
    }


def _models(session: Session) -> list[dict[str, Json]]:
    found = catalog.all_models(session)
    names = {model.id: model.name for model in found}
    return [
        {
            **facts(session, model),
            "fallbacks": [names[other] for other in model.fallbacks if other in names],
        }
        for model in found
    ]


def _canonical(name: Json) -> str:
    parsed = parse_name(name) if isinstance(name, str) else None
    if parsed is None:
        raise InvalidRequest("'name' is not a name Ollama could have", param="name")
    return parsed.short


@dataclass(eq=False)
class _Import:
    """One import in one transaction; without an actor it is a rehearsal and writes no audit."""

    session: Session
    now: datetime
    actor: Actor | None
    _changes: list[Change] = field(default_factory=list)

    def run(self, document: Json) -> list[Change]:
        """Import section by section; give what changed."""
        whole = checked(document)
        if "settings" in whole:
            self._settings(mapping(whole["settings"], "settings"))
        for section, read in (
            ("servers", self._server),
            ("models", self._model),
            ("models", self._fallbacks),
            ("keys", self._key),
        ):
            for number, entry in enumerate(entries(whole.get(section), section)):
                where = f"{section}[{number}]"
                at(where, read, mapping(entry, where))
        return self._changes

    def _settings(self, raw: Mapping[str, Json]) -> None:
        wanted = at("settings", settings_rules.check, raw)
        before = asdict(Behaviour(**usable(settings.load(self.session))))
        changed = {name: value for name, value in wanted.items() if before[name] != value}
        if not changed:
            return
        name = self.actor.name if self.actor else ""
        settings.save(self.session, changed, name, self.now)
        old = {name: before[name] for name in changed}
        self._note("settings", "settings", "", old, changed)

    def _server(self, raw: Mapping[str, Json]) -> None:
        fields = {name: value for name, value in raw.items() if name not in _SERVER_SKIPPED}
        known = {server.name.lower(): server for server in servers.all_servers(self.session)}
        before = known.get(str(fields.get("name", "")).lower())
        server = server_rules.read(fields, before or Server(0, "", ""))
        if not server.name or not server.url:
            raise InvalidRequest("a server needs a name and a url")
        if before is None:
            stored = servers.insert(self.session, server, self.now)
            self._note("servers", "server", stored.id, None, servers.as_json(stored))
        elif server != before:
            stored = servers.save(self.session, server)
            old = servers.as_json(before)
            self._note("servers", "server", stored.id, old, servers.as_json(stored))

    def _model(self, raw: Mapping[str, Json]) -> None:
        refuse_unknown(raw, _MODEL_FIELDS)
        session = self.session
        model_id, is_new = catalog.ensure(session, _canonical(raw.get("name")), self.now)
        before = facts(session, catalog.get(session, model_id))
        author = self.actor.name if self.actor else ""
        if "display_name" in raw:
            display = read_name(str(raw["display_name"]), "display_name")
            if display != before["display_name"]:
                catalog.set_display_name(session, model_id, display)
        if "enabled" in raw:
            catalog.set_enabled(session, [model_id], flag(raw["enabled"], "enabled"))
        if "override" in raw:
            override = rules.validate(raw["override"] or {})
            catalog.set_override(
                session, model_id, override, actor_name=author, now=self.now, note="import"
            )
        if "names" in raw:
            aliases = read_aliases(mapping(raw["names"] or {}, "names"))
            catalog.set_aliases(session, model_id, aliases, actor_name=author, now=self.now)
        if "notes" in raw:
            catalog.set_notes(session, model_id, str(raw["notes"] or "")[: key_rules.NOTES_LIMIT])
        session.flush()
        after = facts(session, catalog.get(session, model_id))
        if is_new or after != before:
            self._note("models", "model", model_id, None if is_new else before, after)

    def _fallbacks(self, raw: Mapping[str, Json]) -> None:
        """Set fallbacks once every model of the document is there."""
        if "fallbacks" not in raw:
            return
        session = self.session
        model_id, _ = catalog.ensure(session, _canonical(raw["name"]), self.now)
        wanted = []
        for other in entries(raw["fallbacks"], "fallbacks"):
            other_id, is_new = catalog.ensure(session, _canonical(other), self.now)
            if is_new:
                raise InvalidRequest(f"there is no model '{other}'", param="fallbacks")
            wanted.append(other_id)
        before = catalog.get(session, model_id)
        if list(before.fallbacks) == wanted:
            return
        catalog.set_fallbacks(session, model_id, wanted)
        name = before.display_name
        old = {"name": name, "fallbacks": list(before.fallbacks)}
        self._note("models", "model", model_id, old, {"name": name, "fallbacks": wanted})

    def _key(self, raw: Mapping[str, Json]) -> None:
        fields = {
            name: value
            for name, value in raw.items()
            if name not in _KEY_SKIPPED | _KEY_OWN | {"expires_at"}
        }
        before = self._known_key(raw)
        base = before or key_rules.blank(self.now)
        key = key_rules.read(fields, base, self.now, SCOPES)
        key = replace(
            key,
            default_params=rules.validate(key.default_params, force=False),
            forced_params=rules.validate(key.forced_params, force=False),
            expires_at=read_instant(raw, "expires_at", key.expires_at),
            revoked_at=read_instant(raw, "revoked_at", key.revoked_at),
        )
        if before is not None:
            if key != before:
                stored = keys.save(self.session, key)
                old = keys.as_json(before)
                self._note("keys", "key", stored.id, old, keys.as_json(stored))
            return
        digest = read_digest(raw)
        if digest is None:
            raise InvalidRequest(
                "this key is not known here and has no digest: export it with digests, or issue"
                " a new one",
                param="digest",
            )
        key = replace(
            key,
            prefix=str(raw.get("prefix", ""))[:64],
            last4=str(raw.get("last4", ""))[:4],
            legacy=bool(raw.get("legacy", False)),
            created_at=read_instant(raw, "created_at", self.now),
            last_used_at=read_instant(raw, "last_used_at", None),
        )
        author = self.actor.name if self.actor else ""
        stored = keys.insert(self.session, key, digest, author)
        self._note("keys", "key", stored.id, None, keys.as_json(stored))

    def _known_key(self, raw: Mapping[str, Json]) -> Key | None:
        digest = read_digest(raw)
        if digest is not None:
            return keys.find_by_digest(self.session, digest)
        query = select(ApiKeyRow).where(
            ApiKeyRow.prefix == str(raw.get("prefix", "")),
            ApiKeyRow.last4 == str(raw.get("last4", "")),
        )
        rows = self.session.scalars(query).all()
        if len(rows) > 1:
            rows = [row for row in rows if row.name == raw.get("name")]
        return keys.to_key(rows[0]) if len(rows) == 1 else None

    def _note(
        self,
        topic: versions.Topic,
        kind: str,
        object_id: object,
        old: Mapping[str, Json] | None,
        new: Mapping[str, Json],
    ) -> None:
        name = str(new.get("display_name") or new.get("name") or "")
        word = "add" if old is None else "change"
        self._changes.append(Change(kind, name, word, old or {}, new))
        session, actor, now, action = self.session, self.actor, self.now, f"{kind}.import"
        if actor is None:
            return
        audit.record(session, actor, action, kind, object_id, name, now=now, before=old, after=new)
        versions.bump(session, topic, now)
