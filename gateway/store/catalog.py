"""Models in the store: what servers list, what admins decided, and every override there ever was.

A model is one row by Ollama's canonical name, whatever servers hold it. Refreshing never touches
what an admin set, and a model that vanishes keeps it for the day it comes back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import select, union_all, update
from sqlalchemy.orm import Session

from gateway.core.catalog import Alias, Listed, Model, OverrideVersion
from gateway.core.chat import Json
from gateway.errors import InvalidRequest, Message
from gateway.schemas.model import ModelFields
from gateway.store import names
from gateway.store.mapping import fill, row_of, value_of, values
from gateway.store.tables import (
    ModelAliasRow,
    ModelRow,
    ModelServerRow,
    OverrideVersionRow,
    ServerRow,
)

_LATEST = ":latest"
_LISTED = ("digest", "size_bytes", "modified_at", "family", "parameter_size", "quantization")


def all_models(session: Session, model_id: int | None = None) -> list[Model]:
    """Return every model by display name, with its aliases and the enabled servers that list it; or
    the one model with this id."""
    models = select(ModelRow).order_by(ModelRow.display_key)
    named = select(ModelAliasRow).order_by(ModelAliasRow.id)
    listed = (
        select(ModelServerRow.model_id, ModelServerRow.server_id, ModelServerRow.pinned)
        .join(ServerRow)
        .where(ServerRow.enabled)
        .order_by(ModelServerRow.server_id)
    )
    if model_id is not None:
        models = models.where(ModelRow.id == model_id)
        named = named.where(ModelAliasRow.model_id == model_id)
        listed = listed.where(ModelServerRow.model_id == model_id)
    aliases: dict[int, list[Alias]] = defaultdict(list)
    for alias in session.scalars(named):
        aliases[alias.model_id].append(Alias(alias.name, alias.override))
    holders: dict[int, list[Any]] = defaultdict(list)
    for holder in session.execute(listed):
        holders[holder.model_id].append(holder)
    return [
        value_of(
            row,
            Model,
            aliases=tuple(aliases[row.id]),
            available=bool(holders[row.id]),
            server_ids=tuple(one.server_id for one in holders[row.id]),
            pinned_on=tuple(one.server_id for one in holders[row.id] if one.pinned),
            weights=(row.details or {}).get("weights", ""),
        )
        for row in session.scalars(models)
    ]


def get(session: Session, model_id: int) -> Model:
    """Return a model. Raises NotFound."""
    row_of(session, ModelRow, model_id, "model")
    return all_models(session, model_id)[0]


def details(session: Session, model_id: int) -> Mapping[str, Json]:
    """Return what /api/show told last; empty while nothing was asked. Raises NotFound."""
    return row_of(session, ModelRow, model_id, "model").details or {}


def record_listing(
    session: Session, server_id: int, listing: Sequence[Listed], now: datetime, *, enable_new: bool
) -> bool:
    """Store what a server lists now; give whether that changed anything.

    New models get their name without `:latest` as display name, and are enabled as `enable_new`
    says (remote ones never).
    """
    rows = {row.name_key: row for row in session.scalars(select(ModelRow))}
    listed_here = select(ModelServerRow).filter_by(server_id=server_id)
    held = {row.model_id: row for row in session.scalars(listed_here)}
    changed = False
    for listed in listing:
        row = rows.get(listed.name.lower())
        if row is None:
            row = _new_model(session, listed, now, enable_new)
            rows[row.name_key] = row
            changed = True
        changed |= _take_over(row, listed)
        if held.pop(row.id, None) is None:
            session.add(ModelServerRow(model_id=row.id, server_id=server_id))
            changed = True
    for gone in held.values():
        session.delete(gone)
        changed = True
    session.flush()
    _note_missing(session, now)
    return changed


def ensure(session: Session, name: str, now: datetime) -> tuple[int, bool]:
    """Return the id of the model with this canonical name, and whether it had to be made: an import
    may speak of a model that no server has shown yet."""
    row = session.scalar(select(ModelRow).where(ModelRow.name_key == name.lower()))
    if row is not None:
        return row.id, False
    made = _new_model(session, Listed(name), now, enable_new=True)
    made.missing_since = now
    session.flush()
    return made.id, True


def lacking_details(session: Session) -> list[tuple[int, str, str]]:
    """Return (id, name, digest) of models whose details are missing or of another digest."""
    query = select(ModelRow.id, ModelRow.name, ModelRow.digest).where(
        ModelRow.missing_since.is_(None),
        (ModelRow.details.is_(None)) | (ModelRow.details_digest != ModelRow.digest),
    )
    return [(row.id, row.name, row.digest) for row in session.execute(query)]


def save_details(
    session: Session,
    model_id: int,
    digest: str,
    *,
    capabilities: frozenset[str] | None,
    context_tokens: int | None,
    details: Mapping[str, Json],
) -> None:
    """Store what /api/show told about a model. One removed meanwhile is passed over."""
    row = session.get(ModelRow, model_id)
    if row is None:
        return
    row.capabilities = None if capabilities is None else sorted(capabilities)
    row.context_tokens = context_tokens
    row.details = dict(details)
    row.details_digest = digest


def set_pinned(session: Session, name: str, server_ids: Sequence[int], pinned: bool) -> None:
    """Mark a model, by canonical name, as one that stays in the memory of servers, or not.

    One that the server does not list any more is passed over.
    """
    model_id = select(ModelRow.id).where(ModelRow.name_key == name.lower()).scalar_subquery()
    session.execute(
        update(ModelServerRow)
        .where(ModelServerRow.model_id == model_id, ModelServerRow.server_id.in_(server_ids))
        .values(pinned=pinned)
    )


def fields(session: Session, model_id: int) -> ModelFields:
    """Return what admins decided about a model. Raises NotFound."""
    row = row_of(session, ModelRow, model_id, "model")
    query = select(ModelAliasRow).filter_by(model_id=model_id).order_by(ModelAliasRow.id)
    aliases = {one.name: one.override for one in session.scalars(query)}
    return value_of(row, ModelFields, aliases=aliases)


def save_fields(
    session: Session,
    before: ModelFields,
    after: ModelFields,
    *,
    actor_name: str,
    now: datetime,
    note: str = "",
) -> None:
    """Store what admins decided; a changed override is kept as a version with its `note`.

    Raises NotFound, and InvalidRequest for a name that is taken and a fallback that cannot be.
    """
    row = row_of(session, ModelRow, after.id, "model")
    if after.display_name != before.display_name:
        _check_free(session, after.display_name, after.id, "display_name")
    for other in after.fallbacks:
        if other == after.id or session.get(ModelRow, other) is None:
            raise InvalidRequest(Message("A fallback must be another model."), param="fallbacks")
    row.display_key = after.display_name.lower()
    fill(session, row, after)
    version = partial(OverrideVersionRow, model_id=after.id, actor_name=actor_name[:256], at=now)
    if after.override != before.override:
        session.add(version(override=dict(after.override), note=note[:256]))
    if after.aliases != before.aliases:
        _save_aliases(session, after, version)


def _save_aliases(
    session: Session, model: ModelFields, version: Callable[..., OverrideVersionRow]
) -> None:
    query = select(ModelAliasRow).filter_by(model_id=model.id)
    before = {row.name_key: row for row in session.scalars(query)}
    for name, override in model.aliases.items():
        _check_free(session, name, model.id, "aliases", own_aliases=False)
        row = before.pop(name.lower(), None)
        if row is None:
            row = ModelAliasRow(model_id=model.id, name_key=name.lower(), override={})
            session.add(row)
        row.name = name
        if row.override != dict(override):
            row.override = dict(override)
            session.add(version(alias=name, override=dict(override)))
    for row in before.values():
        session.delete(row)


def versions(session: Session, model_id: int, alias: str | None = None) -> list[OverrideVersion]:
    """Return the overrides a model had, newest first; of one alias if named."""
    query = select(OverrideVersionRow).where(OverrideVersionRow.model_id == model_id)
    if alias is not None:
        query = query.where(OverrideVersionRow.alias == alias)
    return values(session, query.order_by(OverrideVersionRow.id.desc()), OverrideVersion)


def delete(session: Session, model_id: int) -> None:
    """Forget a model and all that was set for it. Raises NotFound."""
    row = row_of(session, ModelRow, model_id, "model")
    names.keep(session, "model", model_id, row.display_name)
    session.execute(sql_delete(ModelRow).where(ModelRow.id == model_id))


def _check_free(
    session: Session, name: str, model_id: int, param: str, *, own_aliases: bool = True
) -> None:
    """Raise InvalidRequest for a name that is taken; `own_aliases` by this model counts, too."""
    key = name.lower()
    named = select(ModelRow.display_name).where(
        ModelRow.id != model_id, (ModelRow.name_key == key) | (ModelRow.display_key == key)
    )
    aliased = select(ModelRow.display_name).join(ModelAliasRow)
    aliased = aliased.where(ModelAliasRow.name_key == key)
    if not own_aliases:
        aliased = aliased.where(ModelRow.id != model_id)
    taken = session.scalars(union_all(named, aliased)).first()
    if taken is not None:
        problem = Message("The name '%(name)s' already means '%(model)s'.", name=name, model=taken)
        raise InvalidRequest(problem, param=param)


def _new_model(session: Session, listed: Listed, now: datetime, enable_new: bool) -> ModelRow:
    display = listed.name.removesuffix(_LATEST)
    try:
        _check_free(session, display, 0, "display_name")
    except InvalidRequest:
        display = listed.name
    row = ModelRow(
        name=listed.name,
        name_key=listed.name.lower(),
        display_name=display,
        display_key=display.lower(),
        enabled=enable_new and not listed.remote,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row


def _take_over(row: ModelRow, listed: Listed) -> bool:
    """Copy what the listing says to the row; give whether routing could care."""
    new = {name: getattr(listed, name) for name in _LISTED} | {"remote": listed.remote}
    changes = {name: value for name, value in new.items() if getattr(row, name) != value}
    for name, value in changes.items():
        setattr(row, name, value)
    return bool(changes)


def _note_missing(session: Session, now: datetime) -> None:
    held = set(session.scalars(select(ModelServerRow.model_id).distinct()))
    for row in session.scalars(select(ModelRow)):
        if row.id in held:
            row.missing_since = None
        elif row.missing_since is None:
            row.missing_since = now
