"""Careful reading of what a client sent: every look at a body goes through here.

    null            equals absent
    booleans        also the words true/false, 1/0, yes/no, on/off
    numbers         also as text; a whole float is an integer; never NaN or infinity
    anything else   is refused with `invalid_type`, out of range with `invalid_value`

Every refusal names the field by its dotted path, `messages[2].content`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.core.chat import Json
from gateway.errors import InvalidRequest

MAX_STOPS = 256
INT64 = 2**63
_WORDS = {
    "true": True, "1": True, "yes": True, "on": True,
    "false": False, "0": False, "no": False, "off": False,
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?")
_WHOLE = re.compile(r"[+-]?\d{1,40}")
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
        return None if value is None else as_flag(value, self.path(name))

    def number(
        self, name: str, low: float | None = None, high: float | None = None
    ) -> float | None:
        """Return a number within `low` and `high`, both inclusive."""
        value = self.raw.get(name)
        return None if value is None else as_number(value, self.path(name), low, high)

    def integer(self, name: str, low: float | None = None, high: float | None = None) -> int | None:
        """Return a whole number within `low` and `high`, both inclusive."""
        value = self.raw.get(name)
        return None if value is None else as_integer(value, self.path(name), low, high)

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


def as_flag(value: Json, param: str) -> bool:
    """Return a boolean, or raise InvalidRequest."""
    if isinstance(value, bool):
        return value
    known = flag_of(value) if isinstance(value, str) else None
    if known is not None:
        return known
    raise wrong_type(param, "a boolean", value)


def flag_of(word: str) -> bool | None:
    """Return the boolean a word stands for; None when it stands for none."""
    return _WORDS.get(word.strip().lower())


def as_number(
    value: Json, param: str, low: float | None = None, high: float | None = None
) -> float:
    """Return a finite number, whole ones as int, or raise InvalidRequest."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = int(value) if _WHOLE.fullmatch(value.strip()) else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(param, "a number", value)
    if isinstance(value, float) and not math.isfinite(value):
        raise invalid(f"{param!r} must be a finite number.", param)
    _check_range(value, param, low, high)
    return value


def as_integer(value: Json, param: str, low: float | None = None, high: float | None = None) -> int:
    """Return a whole number of at most 64 bits, or raise InvalidRequest."""
    number = as_number(value, param)
    if number != int(number):
        raise wrong_type(param, "an integer", value)
    number = int(number)
    if not -INT64 <= number < INT64:
        raise invalid(f"{param!r} does not fit into 64 bits.", param)
    _check_range(number, param, low, high)
    return number


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


def as_limit(value: Json, param: str) -> int:
    """Return a number of tokens: at least 1, or -1 and -2 for no limit.

    0 is refused: what it does upstream depends on the code path (D22).
    """
    number = as_integer(value, param)
    if number < 1 and number not in (-1, -2):
        raise invalid(f"{param!r} must be at least 1, or -1 for no limit.", param)
    return number


def as_stops(value: Json, param: str) -> tuple[str, ...]:
    """Return stop strings from a string or a list; empty ones are dropped."""
    if isinstance(value, str):
        return (value,) if value else ()
    if not isinstance(value, list | tuple):
        raise wrong_type(param, "a string or a list of strings", value)
    stops = tuple(as_text(item, f"{param}[{index}]") for index, item in enumerate(value))
    if len(stops) > MAX_STOPS:
        raise invalid(f"{param!r} may hold at most {MAX_STOPS} strings.", param)
    return tuple(stop for stop in stops if stop)


def read_model(root: Fields) -> str:
    """Return the client's own spelling of the model, untrimmed."""
    model = root.text("model")
    if model is None or not model.strip():
        raise missing("model")
    return model


def read_end_user(root: Fields) -> str:
    """Return whom the caller says it acts for, for the log: 64 printable characters at most."""
    for name in ("safety_identifier", "user"):
        value = root.get(name)
        if isinstance(value, str) and value:
            return "".join(c for c in value[:64] if c.isprintable())
    return ""


def label(text: str) -> str:
    """Return a name fit for a list in a header: visible ASCII, no comma, at most 64 characters."""
    return _LABEL.sub("_", text[:64])


def depth(value: Json, most: int) -> int:
    """Return how deep lists and objects nest, without recursion; stops counting beyond `most`."""
    deep, level = 0, [value]
    while level and deep <= most:
        below: list[Json] = []
        for item in level:
            if isinstance(item, Mapping):
                below.extend(item.values())
            elif isinstance(item, list | tuple):
                below.extend(item)
        deep += any(isinstance(item, Mapping | list | tuple) for item in level)
        level = below
    return deep


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


def _check_range(value: float, param: str, low: float | None, high: float | None) -> None:
    if low is not None and value < low:
        raise invalid(f"{param!r} must be at least {low:g}.", param)
    if high is not None and value > high:
        raise invalid(f"{param!r} must be at most {high:g}.", param)


def _kind(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case Mapping():
            return "an object"
        case _:
            return "a list"
