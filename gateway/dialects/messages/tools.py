"""The tools of a Messages request (docs/contract/messages.md).

name and input_schema             offered
bash_*, text_editor_*, memory_*   offered with the parameters their vendor published: the
                                  caller runs them itself and leaves the schema unsaid
computer_*, browser_toolset_*     refused: no local model knows how to use them
any other type                    left out with notice (D29)
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core.chat import Json, Tool
from gateway.dialects.shared.reading import Fields, check_count, invalid, label
from gateway.dialects.shared.schema_refs import Schema
from gateway.dialects.shared.tool_choice import kept
from gateway.dialects.shared.tools import function_tool, read_tool

_REFUSED = ("computer_", "browser_toolset_")
_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "integer"}


def _parameters(commands: tuple[str, ...], required: list[str], **more: Json) -> Schema:
    command = {"type": "string", "enum": list(commands)} if commands else dict(_TEXT)
    return {
        "type": "object",
        "properties": {"command": command, **more},
        "required": required,
    }


_EDITING: Mapping[str, Json] = {
    "path": {**_TEXT, "description": "Absolute path of the file or directory."},
    "file_text": {**_TEXT, "description": "Content of the file to create."},
    "old_str": {**_TEXT, "description": "Text to replace; it must occur exactly once."},
    "new_str": {**_TEXT, "description": "Replacement, or the text to insert."},
    "insert_line": {**_NUMBER, "description": "Line after which to insert; 0 is the beginning."},
    "insert_text": {**_TEXT, "description": "Text to insert."},
    "view_range": {
        "type": "array",
        "items": _NUMBER,
        "description": "First and last line to show, counted from 1; -1 is the end.",
    },
}
_EMULATED: Mapping[str, tuple[str, Schema]] = {
    "bash_": (
        "Run a command in a shell that keeps its state between calls.",
        _parameters(
            (),
            [],
            restart={"type": "boolean", "description": "Start the shell anew instead."},
        ),
    ),
    "text_editor_": (
        "View, create and edit text files.",
        _parameters(("view", "create", "str_replace", "insert"), ["command", "path"], **_EDITING),
    ),
    "memory_": (
        "Keep notes in files below /memories that outlast this conversation.",
        _parameters(
            ("view", "create", "str_replace", "insert", "delete", "rename"),
            ["command"],
            **_EDITING,
            old_path={**_TEXT, "description": "Path of what is renamed."},
            new_path={**_TEXT, "description": "Its new path."},
        ),
    ),
}


def read_tools(root: Fields, max_tools: int, ignored: list[str]) -> tuple[Tool, ...]:
    """Read `tools`; what is left out is named in `ignored`. Raises InvalidRequest."""
    check_count(len(root.items("tools")), "tools", max_tools)
    declared = [(_read(fields), fields) for fields in root.objects("tools")]
    return kept(
        (
            (tool, f"{fields.where}:{label(tool.name if tool else fields.raw['type'])}")
            for tool, fields in declared
        ),
        ignored,
    )


def _read(declaration: Fields) -> Tool | None:
    kind = declaration.text("type") or "function"
    if kind == "custom":
        # Here that is the ordinary kind, with a schema; elsewhere it takes free text.
        return function_tool(declaration, "input_schema")
    if kind == "function":
        return read_tool(declaration)
    if kind.startswith(_REFUSED):
        raise invalid(
            f"Tools of type {label(kind)!r} cannot be used through this gateway.",
            declaration.path("type"),
            "unsupported_value",
        )
    for prefix, (description, parameters) in _EMULATED.items():
        if kind.startswith(prefix):
            return Tool(declaration.required_text("name"), description, parameters)
    return None
