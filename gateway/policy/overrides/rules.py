"""Checks an override when it is saved: every problem at once, with its line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

import orjson

from gateway.core.chat import Json
from gateway.core.options import KEYS, OPTIONS, SPELLINGS, Option
from gateway.core.readers import OutOfRange, WrongValue, read
from gateway.errors import InvalidRequest, Message
from gateway.policy.overrides.json_positions import Lines, Path, read_lines

MAX_TEXT: Final = 262_144
_MAX_PROBLEMS: Final = 50
_WANTED: Final = {
    "number": Message("a number"),
    "integer": Message("a whole number"),
    "milliseconds": Message("a whole number"),
    "limit": Message("a whole number"),
    "stop": Message("a text or a list of texts"),
    "steps": Message("whole numbers of tokens, ascending, such as 8192, 32768"),
    "duration": Message("seconds, or a duration such as 5m"),
}
"""What a value of each kind must be, for people."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong where; `line` counts from 1, and is 0 when there is no text with lines."""

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.path}: {self.message}" if self.path else f"{where}{self.message}"


class InvalidOverride(InvalidRequest):
    """An override cannot be saved; `problems` says everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems[:5]))
        self.problems = problems


def validate_text(text: str, *, force: bool = True) -> Mapping[str, Json]:
    """Return the override an admin typed. Raises InvalidOverride with lines of problems."""
    if not text.strip():
        return {}
    if len(text) > MAX_TEXT:
        raise InvalidOverride(
            (Problem(0, "", Message("may have at most %(count)s characters", count=MAX_TEXT)),)
        )
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidOverride(
            (Problem(error.lineno, "", Message("is not JSON: %(problem)s", problem=error.msg)),)
        ) from error
    return validate(value, force=force, lines=read_lines(text))


def validate(raw: Json, *, force: bool = True, lines: Lines | None = None) -> Mapping[str, Json]:
    """Return an override with typed values and keys in our spelling. Raises InvalidOverride."""
    check = _Check(lines)
    override = check.override(raw, (), force)
    if lines is not None:
        for path in lines.twice:
            check.problem(path, Message("stands here twice"))
    if check.problems:
        found = sorted(check.problems[:_MAX_PROBLEMS], key=lambda problem: problem.line)
        raise InvalidOverride(tuple(found))
    return override


def check_value(option: Option, value: Json) -> Json:
    """Return a value in the type it goes out with; the text of the WrongValue it raises is for
    people."""
    if option.kind == "flag" and type(value) is int:
        value = str(value)
    try:
        return read(value, option)
    except OutOfRange as error:
        if option.high is None:
            raise
        wanted = Message("from %(low)s to %(high)s", low=f"{option.low:g}", high=f"{option.high:g}")
        raise WrongValue(wanted) from error
    except WrongValue as error:
        if option.kind == "flag":
            wanted = Message("true or false")
            if option.choices:
                wanted = Message("true, false or %(words)s", words=", ".join(option.choices))
            raise WrongValue(wanted) from error
        raise WrongValue(_WANTED.get(option.kind, error.args[0])) from error


class _Check:
    """Collects problems on the way through an override."""

    def __init__(self, lines: Lines | None) -> None:
        self._lines = lines
        self.problems: list[Problem] = []

    def problem(self, path: Path, message: Message) -> None:
        """Note a problem."""
        line = 0 if self._lines is None else self._lines.nearest(path)
        self.problems.append(Problem(line, ".".join(str(step)[:80] for step in path), message))

    def override(self, raw: Json, path: Path, force: bool) -> dict[str, Json]:
        """Return the keys that are right; note the others."""
        if not isinstance(raw, Mapping):
            self.problem(path, Message("must be an object"))
            return {}
        checked: dict[str, Json] = {}
        for written, value in raw.items():
            below = (*path, written)
            name = SPELLINGS.get(written, written)
            if value is None:
                continue
            if name in checked:
                self.problem(
                    below, Message("says the same as another spelling of '%(name)s'", name=name)
                )
            elif name == "options":
                checked[name] = self._options(value, below)
            elif name == "force" and force:
                checked[name] = self.override(value, below, False)
            elif name == "force":
                self.problem(below, Message("has no place here"))
            elif name in KEYS:
                self._one(KEYS[name], value, below, checked)
            else:
                self.problem(below, _unknown(name))
        return checked

    def _one(self, option: Option, value: Json, path: Path, checked: dict[str, Json]) -> None:
        try:
            checked[option.name] = check_value(option, value)
        except WrongValue as error:
            self.problem(path, Message("must be %(what)s", what=error.args[0]))

    def _options(self, raw: Json, path: Path) -> dict[str, Json]:
        """Options nobody knows may stand here: a newer Ollama may know them (D46)."""
        if not isinstance(raw, Mapping):
            self.problem(path, Message("must be an object"))
            return {}
        checked: dict[str, Json] = {}
        for name, value in raw.items():
            below = (*path, name)
            if value is None:
                continue
            if name in OPTIONS:
                self._one(OPTIONS[name], value, below, checked)
            elif name in KEYS:
                self.problem(below, Message("belongs one level up, beside 'options'"))
            else:
                checked[name] = value
        return checked


def _unknown(name: str) -> Message:
    near = get_close_matches(name, (*KEYS, "options", "force"), n=1)
    if near:
        return Message("unknown parameter; did you mean '%(name)s'?", name=near[0])
    return Message("unknown parameter; an option of a newer Ollama belongs into 'options'")
