"""Checks values of override keys, and brings them into the types Ollama wants (F4)."""

from __future__ import annotations

import math
import re
from typing import Final

from gateway.core.chat import Json
from gateway.core.options import EFFORTS
from gateway.policy.overrides.options import KEYS, KeyRule

MAX_KEEP_ALIVE_S: Final = 9e9
"""Beyond this Go's durations overflow."""
_DURATION: Final = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
MAX_SYSTEM: Final = 200_000


class WrongValue(ValueError):
    """A value a key cannot have; the text completes "must be ..."."""


def check_value(rule: KeyRule, value: Json) -> Json:
    """Return the value in the type it goes out with. Raises WrongValue."""
    return _CHECKS[rule.kind](rule, value)


def check_option(name: str, value: Json) -> Json:
    """Return an entry of `options` in Ollama's type; one nobody knows as it is. Raises
    WrongValue."""
    rule = KEYS.get(name)
    return value if rule is None or not rule.is_option else check_value(rule, value)


def _number(rule: KeyRule, value: Json) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WrongValue("a number")
    return _in_range(rule, value)


def _integer(rule: KeyRule, value: Json) -> int:
    try:
        number = _number(KeyRule(rule.name, "number", rule.group, ""), value)
    except WrongValue:
        raise WrongValue("a whole number") from None
    if number != int(number):
        raise WrongValue("a whole number")
    if abs(number) >= 2**63:
        raise WrongValue("a number of at most 64 bits")
    return int(_in_range(rule, int(number)))


def _in_range(rule: KeyRule, value: float) -> float:
    if rule.low is not None and rule.high is not None and not rule.low <= value <= rule.high:
        raise WrongValue(f"from {rule.low:g} to {rule.high:g}")
    if rule.low is not None and value < rule.low:
        raise WrongValue(f"at least {rule.low:g}")
    return value


def _limit(rule: KeyRule, value: Json) -> int:
    number = _integer(rule, value)
    if number == 0 or number < -2:
        raise WrongValue("at least 1, or -1 for no limit")  # 0 means different things (D22)
    return number


def _flag(rule: KeyRule, value: Json) -> Json:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    if word in rule.choices:
        return word
    raise WrongValue(" or ".join(("true", "false", *rule.choices)))


def _stop(rule: KeyRule, value: Json) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise WrongValue("a text or a list of texts")
    return [text for text in texts if text]


def _think(rule: KeyRule, value: Json) -> Json:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    if word == "minimal":
        return word  # what it means depends on the model
    if word in EFFORTS:
        return EFFORTS[word]
    raise WrongValue("true, false, low, medium, high or max")


def _duration(rule: KeyRule, value: Json) -> float | str:
    if isinstance(value, str):
        text = value.strip()
        if _DURATION.fullmatch(text):
            return text
        if _NUMBER.fullmatch(text):
            value = float(text)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or abs(value) > MAX_KEEP_ALIVE_S
    ):
        raise WrongValue("seconds, or a duration such as 5m")
    return int(value) if value == int(value) else value


def _format(rule: KeyRule, value: Json) -> Json:
    if value == "json" or isinstance(value, dict):
        return value
    raise WrongValue('"json" or a JSON schema')


def _text(rule: KeyRule, value: Json) -> str:
    if not isinstance(value, str) or "\0" in value or len(value) > MAX_SYSTEM:
        raise WrongValue(f"a text of at most {MAX_SYSTEM} characters")
    return value


def _choice(rule: KeyRule, value: Json) -> str:
    if isinstance(value, str) and value in rule.choices:
        return value
    raise WrongValue("one of " + ", ".join(rule.choices))


_CHECKS: Final = {
    "number": _number,
    "integer": _integer,
    "flag": _flag,
    "limit": _limit,
    "stop": _stop,
    "think": _think,
    "duration": _duration,
    "format": _format,
    "milliseconds": _integer,
    "text": _text,
    "choice": _choice,
}
