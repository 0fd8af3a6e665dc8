"""Careful reading of what a client sent: every look at a body goes through here.

    null            equals absent
    booleans        also words, numbers also as text (`core/readers.py`)
    anything else   is refused with `invalid_type`, out of range with `invalid_value`

Every refusal names the field by its dotted path, `messages[2].content`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.core import readers
from gateway.core.chat import Json
from gateway.core.readers import WrongType, WrongValue
from gateway.errors import InvalidRequest

T = TypeVar("T")
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (type(None), "null"),
    (bool, "a boolean"),
    (str, "a string"),
    ((int, float), "a number"),
    (Mapping, "an object"),
)
_LABEL = re.compile(r"[^\x21-\x2b\x2d-\x7e]+")


@dataclass(frozen=True, slots=True)
class Fields:
    """One JSON object of a body, and where it stands in it ("" is the root)."""

    raw: Mapping[str, Json]
    where: str = ""

    def path(self, name: str) -> str:
        """Return the dotted path of a field."""
        return f"{self.where}.{name}" if self.where else name

    def get(self, name: str) -> Json:
        """Return the raw value; None when absent or null."""
        return self.raw.get(name)

    def text(self, name: str) -> str | None:
        """Return a string."""
        value = self.raw.get(name)
        return None if value is None else as_text(value, self.path(name))

    def required_text(self, name: str) -> str:
        """Return a string that must be there and not be empty."""
        value = self.text(name)
        if not value:
            raise missing(self.path(name))
        return value

    def flag(self, name: str) -> bool | None:
        """Return a boolean."""
        value = self.raw.get(name)
        return None if value is None else checked(readers.flag, value, self.path(name))

    def number(
        self, name: str, low: float | None = None, high: float | None = None
    ) -> float | None:
        """Return a number within `low` and `high`, both inclusive."""
        value = self.raw.get(name)
        return None if value is None else checked(readers.number, value, self.path(name), low, high)

    def integer(self, name: str, low: float | None = None, high: float | None = None) -> int | None:
        """Return a whole number within `low` and `high`, both inclusive."""
        value = self.raw.get(name)
        return (
            None if value is None else checked(readers.integer, value, self.path(name), low, high)
        )

    def word(self, name: str, allowed: Collection[str]) -> str | None:
        """Return one of the `allowed` words."""
        value = self.text(name)
        if value is not None and value not in allowed:
            raise invalid(
                f"{self.path(name)!r} must be one of {', '.join(sorted(allowed))}.",
                self.path(name),
            )
        return value

    def fields(self, name: str) -> Fields | None:
        """Return an object, ready to be read."""
        value = self.raw.get(name)
        return None if value is None else as_fields(value, self.path(name))

    def required_fields(self, name: str) -> Fields:
        """Return an object that must be there."""
        found = self.fields(name)
        if found is None:
            raise missing(self.path(name))
        return found

    def items(self, name: str) -> Sequence[Json]:
        """Return a list; empty when absent."""
        value = self.raw.get(name)
        return () if value is None else as_list(value, self.path(name))

    def objects(self, name: str) -> Iterator[Fields]:
        """Yield the objects of a list, each with its path; empty when absent."""
        for index, item in enumerate(self.items(name)):
            yield as_fields(item, f"{self.path(name)}[{index}]")


def as_text(value: Json, param: str) -> str:
    """Return a string, or raise InvalidRequest."""
    if isinstance(value, str):
        return value
    raise wrong_type(param, "a string", value)


def checked(reader: Callable[..., T], value: Json, param: str, *bounds: Json) -> T:
    """Return what a reader of `core.readers` makes of a value, or raise InvalidRequest."""
    try:
        return reader(value, *bounds)
    except WrongType as error:
        raise wrong_type(param + error.at, str(error), error.value) from None
    except WrongValue as error:
        raise invalid(f"{param!r} must be {error}.", param) from None


def as_fields(value: Json, param: str) -> Fields:
    """Return an object ready to be read, or raise InvalidRequest."""
    if isinstance(value, Mapping):
        return Fields(value, param)
    raise wrong_type(param, "an object", value)


def as_list(value: Json, param: str) -> Sequence[Json]:
    """Return a list, or raise InvalidRequest."""
    if isinstance(value, list | tuple):
        return value
    raise wrong_type(param, "a list", value)


def read_model(root: Fields) -> str:
    """Return the client's own spelling of the model, untrimmed."""
    model = root.text("model")
    if model is None or not model.strip():
        raise missing("model")
    return model


def read_end_user(root: Fields) -> str:
    """Return whom the caller says it acts for, for the log: 64 printable characters at most."""
    for name in ("safety_identifier", "user"):
        if found := printable(root.get(name)):
            return found
    return ""


def printable(value: Json) -> str:
    """Return the first 64 characters of a text, for the log."""
    return "".join(c for c in value[:64] if c.isprintable()) if isinstance(value, str) else ""


def label(text: str) -> str:
    """Return a name fit for a list in a header: visible ASCII, no comma, at most 64 characters."""
    return _LABEL.sub("_", text[:64])


def depth(value: Json, most: int) -> int:
    """Return how deep lists and objects nest, without recursion; stops counting beyond `most`."""
    deep, level = 0, [value] if isinstance(value, dict | list) else []
    while level and deep <= most:
        deep += 1
        below: list[Json] = []
        for item in level:
            children = item.values() if isinstance(item, dict) else item
            below.extend(child for child in children if isinstance(child, (dict, list)))
        level = below
    return deep


def check_count(count: int, param: str, most: int, what: str = "") -> None:
    """Raise InvalidRequest when there are more than `most`; `what` they are, if not `param`."""
    if count > most:
        raise invalid(f"At most {most} {what or param} are allowed.", param)


def missing(param: str) -> InvalidRequest:
    """Return the error for a required field that is absent or empty."""
    return InvalidRequest(
        f"Missing required parameter: {param!r}.", param=param, code="missing_required_parameter"
    )


def invalid(message: str, param: str, code: str = "invalid_value") -> InvalidRequest:
    """Return the error for a value that is not possible."""
    return InvalidRequest(message, param=param, code=code)


def unsupported(param: str, why: str) -> InvalidRequest:
    """Return the error for a field this gateway cannot honour."""
    return InvalidRequest(
        f"{param!r} is not supported: {why}", param=param, code="unsupported_parameter"
    )


def wrong_type(param: str, wanted: str, value: Json) -> InvalidRequest:
    """Return the error for a value of the wrong type."""
    return InvalidRequest(
        f"{param!r} must be {wanted}, not {_kind(value)}.", param=param, code="invalid_type"
    )


def _kind(value: Json) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "a list")
