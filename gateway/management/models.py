"""Changes what admins decide about models: one place for console, command line and REST.

Every change is checked, stored, marked for the other workers and written to the audit log in one
transaction. What happens to a model's files on a server is `management.model_jobs`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar

from sqlalchemy.orm import Session

from gateway.core.admin import Actor
from gateway.core.catalog import Alias, Model
from gateway.core.chat import Json
from gateway.errors import InvalidRequest
from gateway.policy.overrides import rules
from gateway.runtime.database import Store
from gateway.scheduling.catalog import Catalog
from gateway.store import audit, catalog
from gateway.store.coordination import versions

T = TypeVar("T")

NAME_LIMIT: Final = 200
NOTES_LIMIT: Final = 10_000
_MAX_ALIASES: Final = 100


class Models:
    """Manages names, parameters and fallbacks of models."""

    def __init__(
        self,
        store: Store,
        known: Catalog,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._catalog = known
        self._now = now

    def enable(self, model_ids: Iterable[int], enabled: bool, actor: Actor) -> None:
        """Let models be called, or not. Raises NotFound."""
        ids = list(dict.fromkeys(model_ids))
        word = "model.enable" if enabled else "model.disable"

        def change(session: Session) -> None:
            for model_id in ids:
                before = catalog.get(session, model_id)
                catalog.set_enabled(session, [model_id], enabled)
                old, new = {"enabled": before.enabled}, {"enabled": enabled}
                self._record(session, actor, word, before, old, new)

        self._write(change)

    def rename(self, model_id: int, name: str, actor: Actor) -> Model:
        """Give a model another name for clients. Raises NotFound, InvalidRequest."""
        wanted = read_name(name, "display_name")

        def change(session: Session) -> Model:
            before = catalog.get(session, model_id)
            catalog.set_display_name(session, model_id, wanted)
            old, new = {"display_name": before.display_name}, {"display_name": wanted}
            self._record(session, actor, "model.rename", before, old, new)
            return catalog.get(session, model_id)

        return self._write(change)

    def set_aliases(self, model_id: int, aliases: Sequence[Alias], actor: Actor) -> Model:
        """Store all further names and patterns of a model. Raises NotFound, InvalidRequest."""
        if len(aliases) > _MAX_ALIASES:
            raise InvalidRequest(f"A model has at most {_MAX_ALIASES} names.", param="aliases")
        checked = [
            Alias(
                read_name(alias.name, "aliases", pattern=True),
                rules.validate(alias.override),
            )
            for alias in aliases
        ]

        def change(session: Session) -> Model:
            before = catalog.get(session, model_id)
            catalog.set_aliases(session, model_id, checked, actor_name=actor.name, now=self._now())
            old, new = _aliases(before.aliases), _aliases(checked)
            self._record(session, actor, "model.names", before, old, new)
            return catalog.get(session, model_id)

        return self._write(change)

    def set_override(
        self, model_id: int, override: Mapping[str, Json], actor: Actor, note: str = ""
    ) -> Model:
        """Store a model's parameters and keep them as a version. Raises NotFound,
        InvalidOverride."""
        checked = rules.validate(override)

        def change(session: Session) -> Model:
            before = catalog.get(session, model_id)
            catalog.set_override(
                session,
                model_id,
                checked,
                actor_name=actor.name,
                now=self._now(),
                note=note.strip()[:200],
            )
            old, new = {"override": dict(before.override)}, {"override": dict(checked)}
            self._record(session, actor, "model.parameters", before, old, new)
            return catalog.get(session, model_id)

        return self._write(change)

    def set_fallbacks(self, model_id: int, fallbacks: Sequence[int], actor: Actor) -> Model:
        """Store which models answer when this one cannot, in order. Raises NotFound,
        InvalidRequest."""

        def change(session: Session) -> Model:
            before = catalog.get(session, model_id)
            catalog.set_fallbacks(session, model_id, fallbacks)
            old, new = {"fallbacks": list(before.fallbacks)}, {"fallbacks": list(fallbacks)}
            self._record(session, actor, "model.fallbacks", before, old, new)
            return catalog.get(session, model_id)

        return self._write(change)

    def set_notes(self, model_id: int, notes: str, actor: Actor) -> None:
        """Store an admin's notes on a model. Raises NotFound, InvalidRequest."""
        text = notes.replace("\0", "").strip()
        if len(text) > NOTES_LIMIT:
            raise InvalidRequest(f"Notes have at most {NOTES_LIMIT} characters.", param="notes")

        def change(session: Session) -> None:
            before = catalog.get(session, model_id)
            old = {"notes": catalog.notes(session, model_id)}
            catalog.set_notes(session, model_id, text)
            self._record(session, actor, "model.notes", before, old, {"notes": text})

        self._write(change)

    def forget(self, model_id: int, actor: Actor) -> None:
        """Remove a model no server lists, with everything set for it. Raises NotFound,
        InvalidRequest."""

        def change(session: Session) -> None:
            before = catalog.get(session, model_id)
            if before.available:
                raise InvalidRequest("A server still has this model.", param="model_id")
            catalog.delete(session, model_id)
            self._record(session, actor, "model.forget", before, _facts(before), None)

        self._write(change)

    def _write(self, change: Callable[[Session], T]) -> T:
        result = self._store.write(change)
        self._catalog.drop()
        self._catalog.follow()
        return result

    def _record(
        self,
        session: Session,
        actor: Actor,
        word: str,
        model: Model,
        before: Json,
        after: Json,
    ) -> None:
        now = self._now()
        audit.record(
            session,
            actor,
            word,
            "model",
            model.id,
            model.display_name,
            now=now,
            before=before,
            after=after,
        )
        versions.bump(session, "models", now)


def read_name(text: str, param: str, *, pattern: bool = False) -> str:
    """Return a name as clients may use it. Raises InvalidRequest."""
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise InvalidRequest("A name must not be empty.", param=param)
    if len(name) > NAME_LIMIT:
        raise InvalidRequest(f"A name has at most {NAME_LIMIT} characters.", param=param)
    if any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in name):
        raise InvalidRequest("A name is one line without control characters.", param=param)
    if "*" in name and not pattern:
        raise InvalidRequest("A name must not hold *: that is for patterns.", param=param)
    return name


def _aliases(aliases: Sequence[Alias]) -> dict[str, Json]:
    return {"names": {alias.name: dict(alias.override) for alias in aliases}}


def _facts(model: Model) -> dict[str, Json]:
    return {
        "name": model.name,
        "display_name": model.display_name,
        "override": dict(model.override),
        **_aliases(model.aliases),
    }
