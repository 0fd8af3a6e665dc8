"""What comes from outside is checked by its schema: every field, every kind of wrong value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin

import pytest

from gateway.errors import InvalidFields
from gateway.schemas import convert
from gateway.schemas.account import AccountChange, AccountFields, TokenFields
from gateway.schemas.key import Budget, Key
from gateway.schemas.model import ModelFields
from gateway.schemas.server import Server
from gateway.schemas.settings import RuntimeSettings

SCHEMAS = (Key, Server, ModelFields, AccountFields, AccountChange, TokenFields, RuntimeSettings)


def wrong_values(kind: Any) -> Iterator[Any]:
    """Yield values that no field of this kind takes."""
    base, meta = get_args(kind)[0], convert.meta_of(kind)
    if base is int:
        yield from (meta.ge - 1, meta.le + 1, "7", 1.5, True, None, [1])
    elif base is bool:
        yield from ("true", 1, 0, None, [])
    elif base is str:
        yield from ("x" * (meta.max_length + 1), 7, None, ["a"], {})
    elif get_origin(base) is Literal:
        yield from ("no such word", 7, None, "")
    elif get_origin(base) is tuple:
        yield from ("a", 7, {"a": 1}, [None], [{}], list(range(meta.max_length + 1)))
    else:
        yield from (7.5, ["a"])


EACH = [
    (schema, name, value)
    for schema in SCHEMAS
    for name, kind in convert.fields_of(schema).items()
    for value in wrong_values(kind)
]


@pytest.mark.parametrize(("schema", "name", "value"), EACH)
def test_a_wrong_value_is_refused_with_the_name_of_its_field(
    schema: type, name: str, value: Any
) -> None:
    with pytest.raises(InvalidFields) as caught:
        convert.read({name: value}, schema)

    assert caught.value.param is not None
    assert caught.value.param.startswith(name)
    assert f"'{caught.value.param}'" in caught.value.message


@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_unknown_name_is_refused(schema: type) -> None:
    with pytest.raises(InvalidFields, match="'colour' is not known here"):
        convert.read({"colour": "red"}, schema)


def test_what_the_gateway_sets_itself_cannot_be_said() -> None:
    for name in ("id", "prefix", "revoked_at", "lineage_id"):
        with pytest.raises(InvalidFields, match=f"'{name}' is not known here"):
            convert.read({name: 1}, Key)


@pytest.mark.parametrize("schema", [Key, Server, RuntimeSettings])
def test_every_default_is_a_value_that_may_be_said(schema: type) -> None:
    known = convert.fields_of(schema)
    defaults = {
        one.name: one.default
        for one in fields(schema)
        if one.name in known and isinstance(one.default, bool | int | str | tuple)
    }

    assert convert.read(defaults, schema) == defaults


def test_every_problem_is_told() -> None:
    with pytest.raises(InvalidFields) as caught:
        convert.read({"weight": 0, "slots": -1, "name": "box"}, Server)

    assert caught.value.message == (
        "'weight' must be a whole number from 1 to 100. "
        "'slots' must be a whole number from 0 to 1024."
    )
    assert [name for name, _ in caught.value.problems] == ["weight", "slots"]


PLACES = [
    ({"budgets": [{"metric": "tokens", "period": "day"}]}, "budgets[0]",
     "must be an object with metric, period, limit"),
    ({"budgets": [{"metric": "tokens", "period": "day", "limit": 0}]}, "budgets[0].limit",
     "must be a whole number from 1 to 9007199254740991"),
    ({"budgets": [{"metric": "joules", "period": "day", "limit": 1}]}, "budgets[0].metric",
     "must be one of requests, tokens"),
    ({"cidrs": ["10.0.0.1", "nowhere"]}, "cidrs[1]",
     "must be an address or network such as 192.168.0.0/24"),
    ({"allow": ["a", "b\nc"]}, "allow[1]", "must be one line without control characters"),
    ({"model_ids": [1, -1]}, "model_ids[1]", "must be a whole number from 0 to 9007199254740991"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "place", "problem"), PLACES, ids=[case[1] for case in PLACES])
def test_the_place_inside_a_value_is_named(raw: dict[str, Any], place: str, problem: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        convert.read(raw, Key)

    assert caught.value.problems == [(place, problem)]


def test_good_values_come_out_as_they_are_stored() -> None:
    raw = {
        "name": "  app ", "cidrs": ["192.168.1.7", "192.168.1.7/32"], "tags": ["a", "", "a"],
        "expires_at": "2030-01-31", "budgets": [{"metric": "tokens", "period": "day", "limit": 5}],
    }  # fmt: skip
    found = convert.read(raw, Key)

    assert (found["name"], found["cidrs"], found["tags"]) == ("app", ("192.168.1.7/32",), ("a",))
    assert found["expires_at"].isoformat() == "2030-01-31T00:00:00+00:00"
    assert found["budgets"] == (Budget("tokens", "day", 5),)
