"""The tools of a Responses request (docs/contract/responses.md).

Hosted tools are left out with notice: coding agents send some of them with every request and work
without (D29). Those of a `namespace` become `<namespace>__<name>` for the model and are split
again on the way back (D32); `Tool.client_name` and `Tool.namespace` hold the way back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

from gateway.core.chat import Json, Tool, ToolChoice
from gateway.dialects.shared.reading import Fields, as_fields, invalid, label
from gateway.dialects.shared.tools import read_tool

LONGEST_NAME = 64
_CALLABLE = (None, "function", "custom")
_MODES: Mapping[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools in use, how they are echoed, and what was left out."""

    tools: tuple[Tool, ...] = ()
    echoed: tuple[Json, ...] = ()
    ignored: tuple[str, ...] = ()


def flat_name(namespace: str, name: str) -> str:
    """Return the name of a namespaced tool as the model sees it, at most 64 characters."""
    flat = f"{namespace}__{name}" if namespace else name
    if not namespace or len(flat) <= LONGEST_NAME:
        return flat
    return f"{flat[: LONGEST_NAME - 9]}_{sha256(flat.encode()).hexdigest()[:8]}"


def read_tools(declared: Sequence[Fields], max_tools: int) -> Offer:
    """Read tool declarations, each with its path. Raises InvalidRequest."""
    tools: dict[str, Tool] = {}
    echoed: list[Json] = []
    ignored: list[str] = []
    for declaration in declared:
        before = len(tools)
        for tool, member in _read_declaration(declaration, ignored):
            if tool.name in tools:
                ignored.append(f"{member.where}:{label(tool.name)}")
            else:
                tools[tool.name] = tool
        if len(tools) > max_tools:
            raise invalid(f"At most {max_tools} tools are allowed.", "tools")
        if len(tools) > before:
            echoed.append(_flat(declaration))
    return Offer(tuple(tools.values()), tuple(echoed), tuple(ignored))


def _read_declaration(declaration: Fields, ignored: list[str]) -> list[tuple[Tool, Fields]]:
    if declaration.text("type") == "namespace":
        namespace = declaration.required_text("name")
        found = []
        for member in declaration.objects("tools"):
            for tool, _ in _read_declaration(member, ignored):
                name = flat_name(namespace, tool.name)
                moved = replace(tool, name=name, client_name=tool.name, namespace=namespace)
                found.append((moved, member))
        return found
    kind = declaration.text("type")
    if kind not in _CALLABLE:
        # Hosted at the vendor, or of a kind that is no function call.
        ignored.append(f"{declaration.where}:{label(kind)}")
        return []
    return [(read_tool(declaration), declaration)]


def _flat(declaration: Fields) -> Json:
    """Return a declaration in the flat form that SDKs expect in the answer."""
    kind = declaration.get("type") or "function"
    nested = declaration.get(kind)
    if isinstance(nested, Mapping):
        return {"type": kind, **nested}
    return {**declaration.raw, "type": kind}


def read_choice(root: Fields, tools: Sequence[Tool]) -> tuple[Sequence[Tool], ToolChoice]:
    """Return the tools that may be called, and which must be, by `tool_choice`.

    Raises InvalidRequest, also when it names a hosted tool.
    """
    value = root.get("tool_choice")
    param = root.path("tool_choice")
    if value is None:
        return tools, ToolChoice()
    if isinstance(value, str):
        mode = _MODES.get(value)
        if mode is None:
            raise invalid(f"{label(value)!r} is no tool choice.", param)
        return tools, _checked(ToolChoice(mode), param, tools)
    choice = as_fields(value, param)
    match choice.required_text("type"):
        case "function" | "custom" as kind:
            named = choice.fields(kind) or choice
            return tools, ToolChoice("required", (_known(named, tools).name,))
        case "allowed_tools":
            return _read_allowed(choice.fields("allowed_tools") or choice, tools)
        case kind if kind in _MODES:
            return tools, _checked(ToolChoice(_MODES[kind]), param, tools)
        case kind:
            raise invalid(
                f"Tools of type {label(kind)!r} cannot be called through this gateway.",
                choice.path("type"),
                "unsupported_value",
            )


def _read_allowed(allowed: Fields, tools: Sequence[Tool]) -> tuple[Sequence[Tool], ToolChoice]:
    """Keep to the named tools; hosted ones among them were never on offer."""
    mode = allowed.word("mode", ("auto", "required")) or "auto"
    named = [
        _known(_inner(entry), tools).name
        for entry in allowed.objects("tools")
        if entry.text("type") in _CALLABLE
    ]
    kept = [tool for tool in tools if tool.name in named]
    return kept, _checked(ToolChoice(_MODES[mode]), allowed.path("tools"), kept)


def _inner(entry: Fields) -> Fields:
    return entry.fields("function") or entry.fields("custom") or entry


def _known(named: Fields, tools: Sequence[Tool]) -> Tool:
    name = named.required_text("name")
    namespace = named.text("namespace")
    for tool in tools:
        if namespace is not None:
            matches = (tool.namespace, tool.client_name) == (namespace, name)
        else:
            matches = name in {tool.name, tool.client_name}
        if matches:
            return tool
    raise invalid(f"No tool {label(name)!r} is offered in this request.", named.path("name"))


def _checked(choice: ToolChoice, param: str, tools: Sequence[Tool]) -> ToolChoice:
    if choice.mode == "required" and not tools:
        raise invalid("A tool call is demanded, but no tool is offered.", param)
    return choice
