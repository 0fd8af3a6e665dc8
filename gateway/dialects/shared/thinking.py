"""What a body says about thinking: whether, how hard, and whether the caller wants to see it.

Every vendor and every server has a name of its own for it (docs/contract/thinking.md). Seeing is
apart from doing: hidden thinking happens and is counted all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.core import readers
from gateway.core.chat import Json, Think
from gateway.core.options import EFFORTS
from gateway.core.readers import flag_of
from gateway.dialects.shared.reading import Fields, as_fields, as_text, checked, wrong_type

_TEMPLATE_SWITCHES = ("enable_thinking", "thinking")
TEMPLATE_WORDS = (*_TEMPLATE_SWITCHES, "reasoning_effort")
"""What is understood of `chat_template_kwargs`."""
_MANNERS = frozenset({"summary", "generate_summary", "context", "mode"})
"""Words of `reasoning` that say how to show or carry thinking, not whether to think: coding agents
send a summary's form with every call, and an override that switches thinking off must hold."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """What was said about thinking; `effort` is the caller's word where there was one."""

    think: Think
    effort: str = ""


def read_thinking(fields: Fields) -> Thinking | None:
    """Return what one object says about thinking: the first of `_THINKERS` that says something."""
    for name, reader in _THINKERS:
        value = fields.get(name)
        found = None if value is None else reader(value, fields.path(name))
        if found is not None:
            return found
    return None


def read_effort(value: Json, param: str) -> Thinking | None:
    """Read an effort word; an empty one says nothing, an unknown one that thinking is wanted.

    `minimal` is `false` here; on gpt-oss, which cannot be switched off, policy makes it `low`
    (D10).
    """
    word = as_text(value, param).strip().lower()
    return Thinking(EFFORTS.get(word, True), word) if word else None


def read_think(value: Json, param: str) -> Thinking | None:
    """Read Ollama's own `think`: a boolean, a level, or an effort word."""
    if isinstance(value, bool):
        return Thinking(value)
    if not isinstance(value, str):
        raise wrong_type(param, "a boolean or a level", value)
    flag = flag_of(value)
    return read_effort(value, param) if flag is None else Thinking(flag)


def read_hiding(fields: Fields) -> bool | None:
    """Return whether thinking shall be kept from the caller; None: nothing was said (D12)."""
    reasoning = fields.fields("reasoning")
    said = None if reasoning is None else reasoning.flag("exclude")
    if said is not None:
        return said
    included = fields.flag("include_reasoning")
    if included is not None:
        return not included
    said = fields.flag("exclude_reasoning")
    return fields.flag("hide_reasoning") if said is None else said


def _read_template_switch(value: Json, param: str) -> Thinking | None:
    words = as_fields(value, param)
    for name in _TEMPLATE_SWITCHES:
        said = words.flag(name)
        if said is not None:
            return Thinking(said)
    return None


def _read_template_effort(value: Json, param: str) -> Thinking | None:
    effort = as_fields(value, param).get("reasoning_effort")
    return None if effort is None else read_effort(effort, f"{param}.reasoning_effort")


def _read_thinking_field(value: Json, param: str) -> Thinking | None:
    """Read `thinking`: as `think`, or an object with a `type`, of which one word means none."""
    if not isinstance(value, Mapping):
        return read_think(value, param)
    return Thinking(Fields(value, param).text("type") != "disabled")


def _read_reasoning(value: Json, param: str) -> Thinking | None:
    """Read `reasoning`; its presence alone asks for thinking, unless it only tells manners."""
    reasoning = as_fields(value, param)
    enabled = reasoning.flag("enabled")
    if enabled is False:
        return Thinking(False)
    effort = reasoning.get("effort")
    found = None if effort is None else read_effort(effort, reasoning.path("effort"))
    if found is not None:
        return found
    budget = reasoning.integer("max_tokens")
    if enabled or budget is not None:
        return Thinking(enabled or budget != 0)
    said = {name for name, entry in reasoning.raw.items() if entry is not None}
    return Thinking(True) if said - _MANNERS or not reasoning.raw else None


_THINKERS: tuple[tuple[str, Callable[[Json, str], Thinking | None]], ...] = (
    ("think", read_think),
    ("enable_thinking", lambda value, param: Thinking(checked(readers.flag, value, param))),
    ("chat_template_kwargs", _read_template_switch),
    ("thinking", _read_thinking_field),
    ("reasoning_effort", read_effort),
    ("chat_template_kwargs", _read_template_effort),
    ("reasoning", _read_reasoning),
)
THINKING_NAMES = frozenset(
    {*(name for name, _ in _THINKERS), "include_reasoning", "exclude_reasoning", "hide_reasoning"}
)
"""Every name that says something about thinking or about seeing it."""
