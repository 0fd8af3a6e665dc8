"""What chat templates refuse: Go templates that do not parse, and turns in an order they forbid.

The rules are those of real templates: *system_first* wants a system turn first or not at all
(Qwen 3.5 and later), *alternate* wants user and assistant turns in turn, calls and their results
left out (Mistral), *needs_user* wants a user turn, also after old turns were dropped (Qwen 3.5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fake_ollama.calls import Call
from fake_ollama.models import FakeModel, TemplateRule
from fake_ollama.refusals import Refused, nested

_PLAIN: Mapping[TemplateRule, str] = {
    "system_first": "system message must be at the beginning",
    "needs_user": "no user query found in messages",
}
"""The words of Ollama's own renderers."""

_JINJA: Mapping[TemplateRule, str] = {
    "system_first": "System message must be at the beginning.",
    "alternate": "After the optional system message, conversation roles must alternate user and "
    "assistant roles except for tool calls and results.",
    "needs_user": "No user query found in messages.",
}
_ACTION = re.compile(r"\{\{-?\s*(?P<word>\w*)[^}]*(?P<end>\}{0,2})")

Turns = Sequence[Mapping[str, Any]]


def check_template(text: str) -> None:
    """Refuse a Go template that does not parse."""
    for action in _ACTION.finditer(text):
        if action["end"] == "}":
            raise Refused(500, f'template: :1: unexpected "}}" in {action["word"] or "command"}')
        if not action["end"]:
            raise Refused(500, "template: :1: unclosed action")


def check_turns(call: Call, model: FakeModel) -> None:
    """Refuse turns in an order that the model's template forbids."""
    if call.raw:
        return
    for rule in model.template_rules:
        if not _is_kept(rule, call.messages):
            raise _broken(rule, native=call.is_native(model))


def _is_kept(rule: TemplateRule, turns: Turns) -> bool:
    roles = [turn["role"] for turn in turns]
    match rule:
        case "system_first":
            return "system" not in roles[1:]
        case "alternate":
            return _alternate(turns)
        case "needs_user":
            return "user" in roles


def _alternate(turns: Turns) -> bool:
    counted = [
        turn["role"]
        for turn in turns
        if turn["role"] == "user" or (turn["role"] == "assistant" and not turn.get("tool_calls"))
    ]
    wanted = ("user", "assistant") * len(counted)
    return tuple(counted) == wanted[: len(counted)]


def _broken(rule: TemplateRule, *, native: bool) -> Refused:
    if not native and rule in _PLAIN:
        return Refused(500, _PLAIN[rule], charset=False)
    return nested(500, f"Error: Jinja Exception: {_JINJA[rule]}", "server_error")
