"""Tools on offer and which of them must be called (docs/contract/tools.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.chat import Json, Tool, ToolChoice
from gateway.dialects.shared.reading import Fields, as_fields, check_count, invalid, label, missing
from gateway.dialects.shared.tools import function_tool, read_tool

CALLABLE = (None, "function", "custom")
"""Types of tools that callers run themselves; others run at their vendor."""
_MODES: Mapping[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools of one request, what must be called, and the paths that were ignored.

    `legacy`: they came as `functions`, so a call goes back as `function_call`.
    """

    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = field(default_factory=ToolChoice)
    ignored: tuple[str, ...] = ()
    legacy: bool = False


def read_offer(root: Fields, max_tools: int) -> Offer:
    """Read `tools` and `tool_choice`, or the older `functions`. Raises InvalidRequest."""
    ignored: list[str] = []
    legacy = not root.items("tools") and bool(root.items("functions"))
    listed, chosen = ("functions", "function_call") if legacy else ("tools", "tool_choice")
    check_count(len(root.items(listed)), listed, max_tools)
    tools = kept(_declared(root, legacy), ignored)
    value = root.get(chosen)
    if legacy and isinstance(value, Mapping):
        value = {"type": "function", **value}
    tools, choice = read_choice(value, chosen, tools)
    return Offer(tools, choice, tuple(ignored), legacy)


def read_choice(
    value: Json, param: str, tools: tuple[Tool, ...], *, hosted: bool = False
) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Return the tools that may be called, and which must be. Raises InvalidRequest.

    Without any tool `auto` and `none` mean nothing and everything else cannot be kept. `hosted`
    tells that callers may name tools that run at their vendor and were never on offer.
    """
    if value is None:
        return tools, ToolChoice()
    if isinstance(value, str):
        if value not in _MODES:
            raise invalid(f"{label(value)!r} is no tool choice.", param)
        return tools, _checked(value, param, tools)
    choice = as_fields(value, param)
    match choice.required_text("type"):
        case "function" | "custom" | "tool" as kind:
            tool = _known(choice.fields(kind) or choice, tools)
            return tools, ToolChoice("required", (tool.name,))
        case "allowed_tools":
            return _allowed(choice.fields("allowed_tools") or choice, tools, hosted)
        case kind if kind in _MODES:
            return tools, _checked(kind, param, tools)
        case kind if hosted:
            raise invalid(
                f"Tools of type {label(kind)!r} cannot be called through this gateway.",
                choice.path("type"),
                "unsupported_value",
            )
        case kind:
            raise invalid(
                f"A tool choice of type {label(kind)!r} is not known here.", choice.path("type")
            )


def kept(declared: Iterable[tuple[Tool | None, str]], ignored: list[str]) -> tuple[Tool, ...]:
    """Return the first tool of each name; the paths of all others join `ignored`."""
    tools: dict[str, Tool] = {}
    for tool, path in declared:
        if tool is None or tool.name in tools:
            ignored.append(path)
        else:
            tools[tool.name] = tool
    return tuple(tools.values())


def _declared(root: Fields, legacy: bool) -> Iterator[tuple[Tool | None, str]]:
    """Yield each tool, None for those of other types, with the path to name if it is left out."""
    for fields in root.objects("functions" if legacy else "tools"):
        kind = None if legacy else fields.text("type") or "function"
        tool = None
        if legacy:
            tool = function_tool(fields, "parameters")
        elif kind in CALLABLE:
            tool = read_tool(fields)
        yield tool, f"{fields.where}:{label(tool.name if tool else kind or '')}"


def _allowed(
    allowed: Fields, tools: tuple[Tool, ...], hosted: bool
) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Keep the named tools only; `mode` says whether one must be called."""
    mode = allowed.word("mode", ("auto", "required")) or "auto"
    names = {
        _known(entry.fields("function") or entry.fields("custom") or entry, tools).name
        for entry in allowed.objects("tools")
        if not hosted or entry.text("type") in CALLABLE
    }
    if not names and not hosted:
        raise missing(allowed.path("tools"))
    found = tuple(tool for tool in tools if tool.name in names)
    return found, _checked(mode, allowed.path("tools"), found)


def _checked(mode: str, param: str, tools: tuple[Tool, ...]) -> ToolChoice:
    choice = ToolChoice(_MODES[mode])
    if choice.mode == "required" and not tools:
        raise invalid("A tool call is demanded, but no tool is offered.", param)
    return choice


def _known(named: Fields, tools: tuple[Tool, ...]) -> Tool:
    name = named.required_text("name")
    namespace = named.text("namespace")
    for tool in tools:
        if namespace is None and name in (tool.name, tool.client_name):
            return tool
        if namespace is not None and (tool.namespace, tool.client_name) == (namespace, name):
            return tool
    raise invalid(f"No tool {label(name)!r} is offered in this request.", named.path("name"))
