"""Roles of models: agents ask for `claude-opus-4-1`, and the key says which model that is.

A name asks for a role when the role stands in it as a word: `claude-3-5-haiku-20241022`, `opus`.
What is the name of a model, or an alias without `*`, asks for no role. A key's model that is gone,
or that the key may not use any more, is passed over as if the key had none for this role.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from gateway.core.catalog import Model, Resolved
from gateway.errors import InvalidFields, Message, ModelNotFound
from gateway.policy import access, names, routing
from gateway.policy.routing import Index
from gateway.schemas.key import Key

ModelRole: TypeAlias = Literal["opus", "sonnet", "haiku", "small_fast", "sub_agent"]
ROLES: tuple[ModelRole, ...] = get_args(ModelRole)
_WORD: Final = re.compile(
    r"(?<![a-z0-9])(opus|sonnet|haiku|small[-_]fast|sub[-_]agent)(?![a-z0-9])", re.IGNORECASE
)
_LONGEST_COMPARED: Final = 80
_MOST_COMPARED: Final = 200
_INSTEAD: Final[Mapping[ModelRole, ModelRole]] = {"small_fast": "haiku", "haiku": "small_fast"}
"""The role whose model answers where a key has none for this one."""


def role_of(name: str) -> ModelRole | None:
    """Return the first role that stands in a name as a word; None where there is none."""
    found = _WORD.search(name[: names.MAX_NAME])
    return cast(ModelRole, found[1].lower().replace("-", "_")) if found else None


def model_of(key: Key, role: ModelRole) -> str:
    """Return the name of the model that a key has for a role, "" where it has none."""
    name: str = getattr(key, _field(role))
    return name


def answered(key: Key) -> tuple[ModelRole, ...]:
    """Return the roles that a key has a model for, be it that of another role."""
    return tuple(
        role
        for role in ROLES
        if model_of(key, role) or (role in _INSTEAD and model_of(key, _INSTEAD[role]))
    )


def resolve(name: str, key: Key, index: Index, fallback: str = "") -> Resolved:
    """Return the model that a caller with this key means by a name; `fallback` is the model for
    names that nobody has.

    Raises InvalidRequest, Forbidden, and ModelNotFound with similar names that the key may use.
    """
    has_role = _WORD.search(name[: names.MAX_NAME])
    found = _of_role(name.strip(), key, index) if has_role else None
    if found is None:
        try:
            found = routing.resolve(name, index, fallback)
        except ModelNotFound as error:
            similar = _similar(name.strip(), key, index)
            raise (routing.not_found(name.strip(), similar) if similar else error) from None
        access.check_model(key, found)
    return found


def ignored(key: Key, index: Index) -> tuple[ModelRole, ...]:
    """Return the roles whose model cannot be called now, or not by this key."""
    return tuple(
        role for role in ROLES if model_of(key, role) and _usable(key, role, index) is None
    )


def settled(key: Key, given: Iterable[ModelRole], models: Iterable[Model]) -> Key:
    """Return a key whose `given` roles name models by their alias or by Ollama's name, which stay
    when a display name changes.

    Raises InvalidFields for a model that does not exist, or that the key may not use.
    """
    index = Index(replace(model, enabled=True, available=True) for model in models)
    changes: dict[str, Any] = {}
    problems: list[tuple[str, Message]] = []
    for role in given:
        found = index.find(model_of(key, role), patterns=False)
        if found is None:
            problem = Message("names a model that does not exist")
        elif not access.may_use(key, found):
            problem = Message("names a model that this key may not use")
        else:
            changes[_field(role)] = found.alias.name if found.alias else found.model.name
            continue
        problems.append((_field(role), problem))
    if problems:
        raise InvalidFields(problems)
    return replace(key, **changes)


def to_settle(before: Key, after: Key, given: Container[str]) -> tuple[ModelRole, ...]:
    """Return the roles whose model is to be settled after a change of the fields in `given`: what
    is sent back as it was, under the same rules, stays, whatever became of its model."""
    rules = ("allow", "deny", "model_ids")
    is_ruled_anew = any(getattr(before, name) != getattr(after, name) for name in rules)
    return tuple(
        role
        for role in ROLES
        if _field(role) in given
        and (name := model_of(after, role))
        and (is_ruled_anew or name != model_of(before, role))
    )


def _similar(name: str, key: Key, index: Index) -> list[str]:
    """Return up to 3 names that a key may call and that look like this one, the closest first."""
    if len(name) > _LONGEST_COMPARED:
        return []
    shown = (model.display_name for model in access.visible(key, index.models))
    spelled = {names.without_latest(one).casefold(): one for one in islice(shown, _MOST_COMPARED)}
    close = difflib.get_close_matches(names.without_latest(name).casefold(), spelled, n=3)
    return [spelled[one] for one in close]


def _of_role(name: str, key: Key, index: Index) -> Resolved | None:
    role = role_of(name)
    if role is None or index.find(name, patterns=False) is not None:
        return None
    for one in (role, _INSTEAD.get(role)):
        found = None if one is None else _usable(key, one, index)
        if found is not None:
            return found
    return None


def _usable(key: Key, role: ModelRole, index: Index) -> Resolved | None:
    name = model_of(key, role)
    found = index.find(name, patterns=False) if name else None
    return found if found is not None and access.may_use(key, found) else None


def _field(role: ModelRole) -> str:
    return f"{role}_model"
