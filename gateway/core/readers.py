"""Reads values that come from outside: each kind once, for bodies, overrides and forms.

booleans    also the words true/false, 1/0, yes/no, on/off
numbers     also as text; a whole float is an integer; never NaN or infinity
"""

from __future__ import annotations

import math
import re
from typing import Final

from gateway.core.chat import Json
from gateway.core.options import EFFORTS, Option
from gateway.errors import Message

MAX_SYSTEM: Final = 200_000
MAX_KEEP_ALIVE_S: Final = 9e9
"""Beyond this Go's durations overflow."""
MAX_STEPS: Final = 16
MIN_STEP: Final = 256
MAX_STEP: Final = 100_000_000
_WORDS: Final = {
    "true": True, "1": True, "yes": True, "on": True,
    "false": False, "0": False, "no": False, "off": False,
}  # fmt: skip
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?")
_WHOLE: Final = re.compile(r"[+-]?\d{1,40}")
_DURATION: Final = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+")


class WrongValue(ValueError):
    """A value that is not possible; the text completes "must be ..."."""


class WrongType(WrongValue):
    """A value of another type; `value` is what came, `at` where in it."""

    def __init__(self, wanted: str, value: Json, at: str = "") -> None:
        super().__init__(wanted)
        self.value = value
        self.at = at


class OutOfRange(WrongValue):
    """A number that is too small or too large."""


def read(value: Json, option: Option) -> Json:
    """Return a value in the type it goes out with. Raises WrongValue."""
    match option.kind:
        case "number":
            return number(value, option.low, option.high)
        case "integer" | "milliseconds":
            return integer(value, option.low, option.high)
        case "flag":
            word = value.strip().lower() if isinstance(value, str) else ""
            return word if word in option.choices else flag(value)
        case "limit":
            return token_limit(value)
        case "stop":
            return texts(value)
        case "steps":
            return steps(value)
        case "think":
            return _think(value)
        case "duration":
            return duration(value)
        case "format":
            if value == "json" or isinstance(value, dict):
                return value
            raise WrongValue(Message('"json" or a JSON schema'))
        case "text":
            if isinstance(value, str) and "\0" not in value and len(value) <= MAX_SYSTEM:
                return value
            raise WrongValue(Message("a text of at most %(count)s characters", count=MAX_SYSTEM))
        case "choice":
            if value in option.choices:
                return value
            raise WrongValue(Message("one of %(words)s", words=", ".join(option.choices)))


def flag(value: Json) -> bool:
    """Return a boolean."""
    known = value if isinstance(value, bool) else flag_of(value) if isinstance(value, str) else None
    if known is None:
        raise WrongType("a boolean", value)
    return known


def flag_of(word: str) -> bool | None:
    """Return the boolean a word stands for; None when it stands for none."""
    return _WORDS.get(word.strip().lower())


def number(value: Json, low: float | None = None, high: float | None = None) -> float:
    """Return a finite number, whole ones as int; `low` and `high` are inclusive."""
    found = value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        found = int(value) if _WHOLE.fullmatch(value.strip()) else float(value)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise WrongType("a number", value)
    if isinstance(found, float) and not math.isfinite(found):
        raise WrongValue("a finite number")
    if low is not None and found < low:
        raise OutOfRange(Message("at least %(low)s", low=f"{low:g}"))
    if high is not None and found > high:
        raise OutOfRange(f"at most {high:g}")
    return found


def integer(value: Json, low: float | None = None, high: float | None = None) -> int:
    """Return a whole number of at most 64 bits."""
    found = number(value)
    if found != int(found):
        raise WrongType("an integer", value)
    if not -(2**63) <= found < 2**63:
        raise OutOfRange("a number of at most 64 bits")
    return int(number(int(found), low, high))


def token_limit(value: Json) -> int:
    """Return a number of tokens: at least 1, or -1 and -2 for no limit; 0 is refused (D22)."""
    found = integer(value)
    if found < 1 and found not in (-1, -2):
        raise OutOfRange(Message("at least 1, or -1 for no limit"))
    return found


def texts(value: Json) -> list[str]:
    """Return the texts of a string or a list; empty ones are dropped."""
    if isinstance(value, str):
        return [value] if value else []
    if not isinstance(value, list | tuple):
        raise WrongType("a string or a list of strings", value)
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise WrongType("a string", item, f"[{index}]")
    return [text for text in value if text]


def steps(value: Json) -> list[int]:
    """Return ascending numbers of tokens, from a list or a text with commas."""
    found = [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if isinstance(found, int | float):
        found = [found]
    if not isinstance(found, list | tuple) or len(found) > MAX_STEPS:
        raise WrongType(Message("whole numbers of tokens, ascending"), value)
    sizes = [integer(part, MIN_STEP, MAX_STEP) for part in found]
    if sizes != sorted(set(sizes)):
        raise WrongValue(Message("whole numbers of tokens, ascending"))
    return sizes


def duration(value: Json) -> float | str:
    """Return seconds, or a duration as Go writes it."""
    if isinstance(value, str) and _DURATION.fullmatch(value.strip()):
        return value.strip()
    try:
        found = number(value, -MAX_KEEP_ALIVE_S, MAX_KEEP_ALIVE_S)
    except WrongValue:
        raise WrongValue("seconds, or a duration such as '5m'") from None
    return int(found) if found == int(found) else found


def _think(value: Json) -> Json:
    word = value.strip().lower() if isinstance(value, str) else ""
    known = value if isinstance(value, bool) else flag_of(word)
    if known is not None:
        return known
    if word == "minimal":
        return word  # what it means depends on the model
    if word in EFFORTS:
        return EFFORTS[word]
    raise WrongValue(Message("true, false, low, medium, high or max"))
