"""Brings in the data of the Node product of the same name: its `data/*.json`.

    config.json     ollamaUrl, allowUnverifiedOptions
    api_keys.json   list of {name, key, allowedModels, created, lastUsed}: keys go on working
    models.json     list of {originalName, displayName, enabled, parameterOverrides}
    overrides.json  model name to parameters, where the model itself has none
    logs.json       list of {timestamp, apiKeyId, apiKeyName, model, promptTokens, ...}

Keys are stored as digests; the plain ones stay in the old files, which should then be deleted.
Everything is read and checked before anything is written. What cannot be taken over is said.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.core.admin import Actor
from gateway.core.chat import Json
from gateway.core.periods import parse_instant
from gateway.core.secrets import digest, shown_end, shown_prefix
from gateway.core.usage import Admission, Settlement
from gateway.errors import InvalidRequest
from gateway.management.transfer.configuration import Change, ConfigTransfer
from gateway.ollama import server_url
from gateway.policy.names import parse_name
from gateway.policy.overrides import rules
from gateway.runtime.database import Store
from gateway.store.tables import ApiKeyRow, ModelRow, RequestLogRow
from gateway.store.usage import records
from gateway.store.usage.records import Entry

FILES = ("config.json", "api_keys.json", "models.json", "overrides.json", "logs.json")
_MOST_BYTES = 512 << 20
_BATCH = 500
_ENDPOINTS = ("chat", "completions", "embeddings", "messages")


@dataclass(slots=True)
class Found:
    """What the old files hold, in our terms; `notes` tell what was left out."""

    document: dict[str, Json]
    calls: list[tuple[str, Admission, Settlement]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    changes: Sequence[Change]
    calls: int
    notes: Sequence[str]


@dataclass(eq=False)
class NodeImport:
    """Imports from a folder, after saying what it would do."""

    store: Store
    transfer: ConfigTransfer
    worker: str = "import"

    def plan(self, folder: Path) -> Imported:
        """Return what would change. Raises InvalidRequest naming file and place."""
        found = read(folder)
        known = sum(
            self.store.read(_count_known, found.calls[start : start + _BATCH])
            for start in range(0, len(found.calls), _BATCH)
        )
        changes = self.transfer.plan(found.document)
        return Imported(changes, len(found.calls) - known, found.notes)

    def apply(self, folder: Path, actor: Actor, only: Collection[str] | None = None) -> Imported:
        """Import the configuration, all of it or nothing, then the history; or `only` some places
        of it (the history is `calls`). Doing it again changes nothing. Raises InvalidRequest."""
        found = read(folder)
        changes = self.transfer.apply(found.document, actor, only)
        new = 0
        if only is not None and "calls" not in only:
            return Imported(changes, new, found.notes)
        for start in range(0, len(found.calls), _BATCH):
            new += self.store.write(self._write_calls, found.calls[start : start + _BATCH])
        return Imported(changes, new, found.notes)

    def _write_calls(
        self, session: Session, calls: Sequence[tuple[str, Admission, Settlement]]
    ) -> int:
        """Store calls; give how many were not there yet."""
        known = _count_known(session, calls)
        ids = {
            row.digest.hex(): row.id
            for row in session.execute(select(ApiKeyRow.digest, ApiKeyRow.id))
        }
        models = {
            name: row.id
            for row in session.execute(select(ModelRow.id, ModelRow.name_key, ModelRow.display_key))
            for name in (row.name_key, row.display_key)
        }
        entries = []
        for key_digest, admission, settlement in calls:
            placed = replace(
                admission,
                key_id=ids.get(key_digest),
                model_id=models.get(admission.model.lower()),
                worker=self.worker,
            )
            entries.append(Entry(placed, settlement))
        records.write(session, entries, worker=self.worker, now=datetime.now(UTC), again=True)
        return len(calls) - known


def _count_known(session: Session, calls: Sequence[tuple[str, Admission, Settlement]]) -> int:
    """Return how many of the calls are stored already."""
    ids = [admission.request_id for _, admission, _ in calls]
    query = select(func.count()).where(RequestLogRow.request_id.in_(ids))
    return session.scalar(query) or 0


def read(folder: Path) -> Found:
    """Read the old files. Raises InvalidRequest when none is there, or one is broken."""
    raw = {name: _load(folder / name) for name in FILES}
    if all(value is None for value in raw.values()):
        raise InvalidRequest(f"{folder} has none of {', '.join(FILES)}.")
    found = Found({"product": "ollama2openai", "version": 1})
    if raw["config.json"] is not None:
        _config(_mapping(raw["config.json"], "config.json"), found)
    _models(raw["models.json"], raw["overrides.json"], found)
    digests = _keys(raw["api_keys.json"], found)
    for number, entry in enumerate(_list(raw["logs.json"], "logs.json")):
        _call(_mapping(entry, f"logs.json[{number}]"), number, digests, found)
    return found


def _load(path: Path) -> Json:
    if not path.is_file():
        return None
    if path.stat().st_size > _MOST_BYTES:
        raise InvalidRequest(f"{path.name} is too large to be imported.", param=path.name)
    try:
        return json.loads(path.read_text("utf-8-sig"))
    except json.JSONDecodeError as exc:
        raise InvalidRequest(
            f"{path.name}, line {exc.lineno}: is not JSON ({exc.msg}).", param=path.name
        ) from exc
    except (OSError, ValueError, RecursionError) as exc:
        raise InvalidRequest(f"{path.name} cannot be read.", param=path.name) from exc


def _config(raw: Mapping[str, Json], found: Found) -> None:
    url = raw.get("ollamaUrl")
    if url is not None:
        where = "config.json: ollamaUrl"
        try:
            address = server_url.normalise(_text(url, where))
        except InvalidRequest as exc:
            raise InvalidRequest(f"{where}: {exc.message}", param=where) from exc
        name = urlsplit(address).hostname or "ollama"
        found.document["servers"] = [{"name": name, "url": address}]
    unverified = raw.get("allowUnverifiedOptions")
    if unverified is not None:
        if not isinstance(unverified, bool):
            raise _wrong("config.json: allowUnverifiedOptions", "true or false")
        found.document["settings"] = {"allow_unverified_options": unverified}
    if raw.get("adminPasswordHash"):
        found.notes.append(
            "The old admin password is not taken over: it is kept here in another form. Log in"
            " with the account of this installation."
        )


def _models(raw: Json, overrides: Json, found: Found) -> None:
    models: dict[str, dict[str, Json]] = {}
    shown: dict[str, str] = {}
    for number, value in enumerate(_list(raw, "models.json")):
        where = f"models.json[{number}]"
        entry = _mapping(value, where)
        original = _text(entry.get("originalName") or entry.get("id"), f"{where}.originalName")
        parsed = parse_name(original)
        if parsed is None:
            found.notes.append(f"{where}: {original!r} is no name Ollama could have; left out.")
            continue
        model: dict[str, Json] = {"name": parsed.short}
        display = entry.get("displayName")
        if isinstance(display, str) and display.strip():
            model["display_name"] = display.strip()
            shown[display.strip()] = parsed.short
        if isinstance(entry.get("enabled"), bool):
            model["enabled"] = entry["enabled"]
        if entry.get("parameterOverrides"):
            model["override"] = _override(entry["parameterOverrides"], where, found)
        models[parsed.short] = model
    table = {} if overrides is None else _mapping(overrides, "overrides.json")
    for name, override in table.items():
        parsed = parse_name(name)
        target = shown.get(name) or (parsed.short if parsed else None)
        if target is None:
            found.notes.append(f"overrides.json: {name!r} means no model; left out.")
            continue
        model = models.setdefault(target, {"name": target})
        if not model.get("override"):
            model["override"] = _override(override, f"overrides.json: {name}", found)
    if models:
        found.document["models"] = list(models.values())


def _override(value: Json, where: str, found: Found) -> dict[str, Json]:
    """Take over the parameters our rules accept, one by one, and say which they do not."""
    good: dict[str, Json] = {}
    for name, inner in _mapping(value, f"{where}: parameters").items():
        try:
            good |= rules.validate({name: inner})
        except InvalidRequest as error:
            found.notes.append(f"{where}: the parameter was left out: {error.message}")
    return good


def _keys(raw: Json, found: Found) -> dict[str, tuple[str, str]]:
    """Return, by old id, the digest and name of each key."""
    keys: list[dict[str, Json]] = []
    known: dict[str, tuple[str, str]] = {}
    for number, value in enumerate(_list(raw, "api_keys.json")):
        where = f"api_keys.json[{number}]"
        entry = _mapping(value, where)
        secret = _text(entry.get("key"), f"{where}.key").strip()
        if not 8 <= len(secret) <= 200 or not secret.isascii() or not secret.isprintable():
            raise _wrong(f"{where}.key", "a key of 8 to 200 printable characters")
        name = " ".join(str(entry.get("name") or f"imported {number + 1}").split())[:200]
        allowed = entry.get("allowedModels", ["*"])
        if not isinstance(allowed, list) or not all(isinstance(m, str) for m in allowed):
            raise _wrong(f"{where}.allowedModels", "a list of model names")
        hashed = digest(secret).hex()
        key: dict[str, Json] = {
            "name": name,
            "digest": hashed,
            "prefix": shown_prefix(secret),
            "last4": shown_end(secret),
            "legacy": True,
            "allow": [model.strip() for model in allowed if model.strip()],
            "notes": "Imported from the Node product.",
        }
        for ours, theirs in (("created_at", "created"), ("last_used_at", "lastUsed")):
            at = _instant(entry.get(theirs))
            if at is not None:
                key[ours] = at
        keys.append(key)
        known[str(entry.get("id"))] = (hashed, name)
    if keys:
        found.document["keys"] = keys
    return known


def _call(
    raw: Mapping[str, Json], number: int, digests: Mapping[str, tuple[str, str]], found: Found
) -> None:
    at = _instant(raw.get("timestamp"))
    if at is None:
        found.notes.append(f"logs.json[{number}] has no time; left out.")
        return
    key_digest, name = digests.get(str(raw.get("apiKeyId")), ("", ""))
    model = str(raw.get("model") or "")[:256]
    identity = f"{raw.get('id')} {at.isoformat()} {number} {model}"
    request_id = "node_" + hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:32]
    path = str(raw.get("endpoint") or "")
    failed = raw.get("status") != "success"
    admission = Admission(
        request_id=request_id,
        created_at=at,
        key_id=None,
        key_name=str(raw.get("apiKeyName") or name)[:256],
        endpoint=next((word for word in _ENDPOINTS if word in path), "chat"),
        model_id=None,
        model=model,
        requested_model=model,
        streamed=False,
        client_ip=str(raw.get("ip") or "")[:64],
        client_app=str(raw.get("userAgent") or "").partition("/")[0][:64],
    )
    settlement = Settlement(
        request_id=request_id,
        status=500 if failed else 200,
        finish="error" if failed else "stop",
        error_code="imported" if failed else "",
        prompt_tokens=_count(raw.get("promptTokens")),
        completion_tokens=_count(raw.get("completionTokens")),
        duration_ms=float(_count(raw.get("responseTime"))),
    )
    found.calls.append((key_digest, admission, settlement))


def _count(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        return 0
    return int(value)


def _instant(value: Json) -> datetime | None:
    return parse_instant(value) if isinstance(value, str) else None


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(where, "a text")
    return value


def _list(value: Json, where: str) -> list[Json]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong(where, "a list")
    return value


def _mapping(value: Json, where: str) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        raise _wrong(where, "an object")
    return value


def _wrong(where: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{where} must be {what}.", param=where)
