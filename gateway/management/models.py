"""Changes what admins decide about models: one place for console, command line and REST.

Every change is checked, stored, marked for the other workers and written to the audit log in one
transaction. What happens to a model's files on a server is `management.model_jobs`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(eq=False)
class Models:
    """Manages names, parameters and fallbacks of models."""

    store: Store
    known: Catalog
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def enable(self, model_ids: Iterable[int], enabled: bool, actor: Actor) -> None:
        """Enable or disable models. Raises NotFound."""
        word = "model.enable" if enabled else "model.disable"
        ids = list(dict.fromkeys(model_ids))
        self._change(ids, word, actor, lambda s, one: catalog.set_enabled(s, [one], enabled))

    def rename(self, model_id: int, name: str, actor: Actor) -> Model:
        """Set a model's name for clients. Raises NotFound, InvalidRequest."""
        wanted = read_name(name, "display_name")

        def change(session: Session, model_id: int) -> None:
            catalog.set_display_name(session, model_id, wanted)

        return self._change([model_id], "model.rename", actor, change)[0]

    def set_aliases(self, model_id: int, aliases: Sequence[Alias], actor: Actor) -> Model:
        """Store all further names and patterns of a model. Raises NotFound, InvalidRequest."""
        if len(aliases) > _MAX_ALIASES:
            raise InvalidRequest(f"A model has at most {_MAX_ALIASES} names.", param="aliases")
        checked = [
            Alias(read_name(one.name, "aliases", pattern=True), rules.validate(one.override))
            for one in aliases
        ]

        def change(session: Session, model_id: int) -> None:
            catalog.set_aliases(session, model_id, checked, actor_name=actor.name, now=self.now())

        return self._change([model_id], "model.names", actor, change)[0]

    def set_override(
        self, model_id: int, override: Mapping[str, Json], actor: Actor, note: str = ""
    ) -> Model:
        """Store parameters as a new version. Raises NotFound, InvalidOverride."""
        checked = rules.validate(override)

        def change(session: Session, model_id: int) -> None:
            name, words, now = actor.name, note.strip()[:200], self.now()
            catalog.set_override(session, model_id, checked, actor_name=name, now=now, note=words)

        return self._change([model_id], "model.parameters", actor, change)[0]

    def set_fallbacks(self, model_id: int, fallbacks: Sequence[int], actor: Actor) -> Model:
        """Store the fallbacks of a model, in order. Raises NotFound, InvalidRequest."""

        def change(session: Session, model_id: int) -> None:
            catalog.set_fallbacks(session, model_id, fallbacks)

        return self._change([model_id], "model.fallbacks", actor, change)[0]

    def set_notes(self, model_id: int, notes: str, actor: Actor) -> None:
        """Store an admin's notes on a model. Raises NotFound, InvalidRequest."""
        text = notes.replace("\0", "").strip()
        if len(text) > NOTES_LIMIT:
            raise InvalidRequest(f"Notes have at most {NOTES_LIMIT} characters.", param="notes")
        self._change(
            [model_id], "model.notes", actor, lambda s, one: catalog.set_notes(s, one, text)
        )

    def forget(self, model_id: int, actor: Actor) -> None:
        """Remove a model no server lists, and its settings. Raises NotFound, InvalidRequest."""

        def change(session: Session) -> None:
            before = catalog.get(session, model_id)
            if before.available:
                raise InvalidRequest("A server still has this model.", param="model_id")
            old = facts(session, before)
            catalog.delete(session, model_id)
            self._record(session, actor, "model.forget", before, old, None)

        self._write(change)

    def _change(
        self,
        model_ids: Sequence[int],
        word: str,
        actor: Actor,
        apply: Callable[[Session, int], None],
    ) -> list[Model]:
        """Change models together, and record of each what is different then."""

        def change(session: Session) -> list[Model]:
            changed = []
            for model_id in model_ids:
                before = catalog.get(session, model_id)
                old = {**facts(session, before), "fallbacks": list(before.fallbacks)}
                apply(session, model_id)
                session.flush()
                after = catalog.get(session, model_id)
                new = {**facts(session, after), "fallbacks": list(after.fallbacks)}
                changed.append(after)
                self._record(session, actor, word, before, old, new)
            return changed

        return self._write(change)

    def _write(self, change: Callable[[Session], T]) -> T:
        result = self.store.write(change)
        self.known.reload()
        return result

    def _record(
        self, session: Session, actor: Actor, word: str, model: Model, old: Json, new: Json
    ) -> None:
        now, name = self.now(), model.display_name
        audit.record(session, actor, word, "model", model.id, name, now=now, before=old, after=new)
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


def facts(session: Session, model: Model) -> dict[str, Json]:
    """Return what admins decided about a model, for the audit log and exports."""
    return {
        "name": model.name,
        "display_name": model.display_name,
        "enabled": model.enabled,
        "override": dict(model.override),
        "names": {alias.name: dict(alias.override) for alias in model.aliases},
        "notes": catalog.notes(session, model.id),
    }
