"""Tools on offer and which of them must be called (docs/contract/tools.md).

Tools that only their vendor can run, and the second of a name, are left out and named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.chat import Json, Tool, ToolChoice
from gateway.dialects.shared.reading import Fields, as_fields, invalid, label, missing
from gateway.dialects.shared.tools import function_tool, read_tool

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
    """Read `tools` and `tool_choice`, or the older `functions` and `function_call`.

    The newer form wins. Raises InvalidRequest.
    """
    if not root.items("tools") and root.items("functions"):
        tools, ignored = _kept(_functions(root, max_tools))
        return Offer(tools, _legacy_choice(root, tools), ignored, legacy=True)
    tools, ignored = _kept(_tools(root, max_tools))
    tools, choice = read_choice(root.get("tool_choice"), "tool_choice", tools)
    return Offer(tools, choice, ignored)


def read_choice(
    value: Json, param: str, tools: tuple[Tool, ...]
) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Return the tools that may be called, and which must be. Raises InvalidRequest.

    Without any tool `auto` and `none` mean nothing and everything else cannot be kept.
    """
    if value is None:
        return tools, ToolChoice()
    if isinstance(value, str):
        mode = _MODES.get(value)
        if mode is None:
            raise invalid(f"{label(value)!r} is no tool choice.", param)
        return tools, _checked(ToolChoice(mode), param, tools)
    choice = as_fields(value, param)
    match choice.required_text("type"):
        case "function" | "custom" | "tool" as kind:
            named = choice.fields(kind) or choice
            name = named.required_text("name")
            _check_known(name, named.path("name"), tools)
            return tools, ToolChoice("required", (name,))
        case "allowed_tools":
            allowed = choice.fields("allowed_tools") or choice
            return _allowed(allowed, param, tools)
        case kind if kind in _MODES:
            return tools, _checked(ToolChoice(_MODES[kind]), param, tools)
        case kind:
            raise invalid(
                f"A tool choice of type {label(kind)!r} is not known here.", choice.path("type")
            )


def _allowed(
    allowed: Fields, param: str, tools: tuple[Tool, ...]
) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Keep the named tools only; `mode` says whether one must be called."""
    mode = allowed.word("mode", ("auto", "required")) or "auto"
    names = set()
    for entry in allowed.objects("tools"):
        named = entry.fields("function") or entry.fields("custom") or entry
        name = named.required_text("name")
        _check_known(name, named.path("name"), tools)
        names.add(name)
    if not names:
        raise missing(allowed.path("tools"))
    kept = tuple(tool for tool in tools if tool.name in names)
    return kept, _checked(ToolChoice(_MODES[mode]), param, kept)


def _checked(choice: ToolChoice, param: str, tools: tuple[Tool, ...]) -> ToolChoice:
    if choice.mode == "required" and not tools:
        raise invalid("A tool call is demanded, but no tool is offered.", param)
    return choice


def _check_known(name: str, param: str, tools: tuple[Tool, ...]) -> None:
    if not any(tool.name == name or tool.client_name == name for tool in tools):
        raise invalid(f"No tool {label(name)!r} is offered in this request.", param)


def _tools(root: Fields, max_tools: int) -> Iterator[tuple[Tool | None, str]]:
    """Yield each tool with the path to name if it is left out."""
    _check_count(len(root.items("tools")), "tools", max_tools)
    for fields in root.objects("tools"):
        kind = fields.text("type") or "function"
        tool = read_tool(fields) if kind in {"function", "custom"} else None
        yield tool, f"{fields.where}:{label(tool.name if tool else kind)}"


def _functions(root: Fields, max_tools: int) -> Iterator[tuple[Tool | None, str]]:
    _check_count(len(root.items("functions")), "functions", max_tools)
    for fields in root.objects("functions"):
        tool = function_tool(fields, "parameters")
        yield tool, f"{fields.where}:{label(tool.name)}"


def _kept(found: Iterable[tuple[Tool | None, str]]) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    """Keep the first tool of a name; give the others' paths."""
    tools: dict[str, Tool] = {}
    ignored: list[str] = []
    for tool, path in found:
        if tool is None or tool.name in tools:
            ignored.append(path)
        else:
            tools[tool.name] = tool
    return tuple(tools.values()), tuple(ignored)


def _check_count(count: int, param: str, most: int) -> None:
    if count > most:
        raise invalid(f"At most {most} {param} are allowed.", param)


def _legacy_choice(root: Fields, tools: tuple[Tool, ...]) -> ToolChoice:
    """Read `function_call`: `none`, `auto`, or an object that names one function."""
    value = root.get("function_call")
    if value is None or isinstance(value, str):
        return read_choice(value, "function_call", tools)[1]
    named = as_fields(value, "function_call")
    name = named.required_text("name")
    _check_known(name, named.path("name"), tools)
    return ToolChoice("required", (name,))
