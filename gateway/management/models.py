"""Changes what admins decide about models: one place for console, command line and REST.

Every change is checked, stored, announced to the other workers and written to the audit log in one
transaction. What happens to a model's files on a server is `management.model_jobs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from gateway.core.admin import Actor, AuditAction
from gateway.core.catalog import Model
from gateway.core.chat import Json
from gateway.errors import InvalidRequest, Message
from gateway.policy.overrides import rules
from gateway.runtime.database import Store
from gateway.scheduling.catalog import Catalog
from gateway.schemas import convert
from gateway.schemas.model import ModelFields
from gateway.store import audit, catalog
from gateway.store.mapping import row_of
from gateway.store.tables import ModelRow

T = TypeVar("T")


@dataclass(eq=False)
class Models:
    """Manages names, parameters and fallbacks of models."""

    store: Store
    known: Catalog
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def update(self, model_id: int, raw: Mapping[str, Json], actor: Actor, note: str = "") -> Model:
        """Change fields of a model, all or none; `note` is kept with changed parameters.

        Raises NotFound, InvalidRequest.
        """
        return self._change([model_id], raw, "model.update", actor, note)[0]

    def enable(self, model_ids: Iterable[int], enabled: bool, actor: Actor) -> None:
        """Enable or disable models together. Raises NotFound."""
        word: AuditAction = "model.enable" if enabled else "model.disable"
        self._change(dict.fromkeys(model_ids), {"enabled": enabled}, word, actor)

    def forget(self, model_id: int, actor: Actor) -> None:
        """Remove a model no server lists, and its settings. Raises NotFound, InvalidRequest."""

        def change(session: Session) -> None:
            if catalog.get(session, model_id).available:
                raise InvalidRequest(Message("A server still has this model."), param="model_id")
            before = catalog.fields(session, model_id)
            catalog.delete(session, model_id)
            _record(session, actor, "model.forget", before, None, self.now())

        self._write(change)

    def _change(
        self,
        model_ids: Iterable[int],
        raw: Mapping[str, Json],
        word: AuditAction,
        actor: Actor,
        note: str = "",
    ) -> list[Model]:
        changes = checked(raw)

        def change(session: Session) -> list[Model]:
            for model_id in model_ids:
                save(session, model_id, changes, actor, word, self.now(), note)
            return [catalog.get(session, model_id) for model_id in model_ids]

        return self._write(change)

    def _write(self, change: Callable[[Session], T]) -> T:
        result = self.store.write(change)
        self.known.reload()
        return result


def checked(raw: Mapping[str, Json]) -> dict[str, Any]:
    """Return plain values as the fields of a model. Raises InvalidRequest."""
    fields = convert.read(raw, ModelFields)
    if "override" in fields:
        fields["override"] = rules.validate(fields["override"])
    if "aliases" in fields:
        fields["aliases"] = {
            name: rules.validate(override) for name, override in fields["aliases"].items()
        }
    return fields


def save(
    session: Session,
    model_id: int,
    changes: Mapping[str, Any],
    actor: Actor,
    word: AuditAction,
    now: datetime,
    note: str = "",
) -> tuple[ModelFields, ModelFields]:
    """Store checked fields of a model; return what they were and what they are.

    Raises NotFound, InvalidRequest.
    """
    before = catalog.fields(session, model_id)
    after = replace(before, **changes)
    if after != before:
        _check_steps(session, model_id, after)
        catalog.save_fields(session, before, after, actor_name=actor.name, now=now, note=note)
        _record(session, actor, word, before, after, now)
    return before, after


def _check_steps(session: Session, model_id: int, wanted: ModelFields) -> None:
    """Raise InvalidOverride for a window beyond what the model was trained for."""
    most = row_of(session, ModelRow, model_id, "model").context_tokens
    steps: Any = wanted.override.get("context_steps")
    if most and steps and steps[-1] > most:
        beyond = Message("must not be beyond the %(count)s tokens the model knows", count=most)
        raise rules.InvalidOverride((rules.Problem(0, "context_steps", beyond),))


def _record(
    session: Session,
    actor: Actor,
    word: AuditAction,
    before: ModelFields,
    after: ModelFields | None,
    now: datetime,
) -> None:
    audit.change(session, actor, word, before, after, now=now, topics=("models",))
