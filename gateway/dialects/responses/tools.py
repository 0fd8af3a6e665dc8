"""The tools of a Responses request (docs/contract/responses.md).

Hosted tools are left out with notice: coding agents send some of them with every request and work
without (D29). Those of a `namespace` become `<namespace>__<name>` for the model and are split
again on the way back (D32); `Tool.client_name` and `Tool.namespace` hold the way back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from gateway.core.chat import Json, Tool
from gateway.dialects.shared.reading import Fields, check_count, label
from gateway.dialects.shared.tool_choice import CALLABLE, kept
from gateway.dialects.shared.tools import read_tool

LONGEST_NAME = 64


def flat_name(namespace: str, name: str) -> str:
    """Return the name of a namespaced tool as the model sees it, at most 64 characters."""
    flat = f"{namespace}__{name}" if namespace else name
    if not namespace or len(flat) <= LONGEST_NAME:
        return flat
    return f"{flat[: LONGEST_NAME - 9]}_{sha256(flat.encode()).hexdigest()[:8]}"


def read_tools(
    declared: Sequence[Fields], max_tools: int, ignored: list[str]
) -> tuple[tuple[Tool, ...], list[Json]]:
    """Return the tools in use and how their declarations are echoed. What is left out is named in
    `ignored`. Raises InvalidRequest."""
    found = [(declaration, [*_read_declaration(declaration)]) for declaration in declared]
    tools = kept((each for _, read in found for each in read), ignored)
    check_count(len(tools), "tools", max_tools)
    used = {id(tool) for tool in tools}
    echoed = [_flat(own) for own, read in found if any(id(tool) in used for tool, _ in read)]
    return tools, echoed


def _read_declaration(declaration: Fields) -> Iterator[tuple[Tool | None, str]]:
    """Yield each tool, None for those of other types, with the path to name if it is left out."""
    kind = declaration.text("type")
    if kind == "namespace":
        namespace = declaration.required_text("name")
        for member in declaration.objects("tools"):
            for tool, path in _read_declaration(member):
                if tool is None:
                    yield None, path
                    continue
                name = flat_name(namespace, tool.name)
                moved = replace(tool, name=name, client_name=tool.name, namespace=namespace)
                yield moved, f"{member.where}:{label(name)}"
    elif kind in CALLABLE:
        found = read_tool(declaration)
        yield found, f"{declaration.where}:{label(found.name)}"
    else:
        yield None, f"{declaration.where}:{label(kind or '')}"


def _flat(declaration: Fields) -> Json:
    """Return a declaration in the flat form that SDKs expect in the answer."""
    kind = declaration.get("type") or "function"
    nested = declaration.get(kind)
    if isinstance(nested, Mapping):
        return {"type": kind, **nested}
    return {**declaration.raw, "type": kind}
