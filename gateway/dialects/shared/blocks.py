"""The blocks a Messages conversation is made of, one at a time (docs/contract/messages.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import orjson

from gateway.core.chat import Json, Message, ToolCall
from gateway.dialects.shared.attachments import NO_PDF, read_file
from gateway.dialects.shared.content import (
    MAX_PARTS,
    PARTS,
    Content,
    Reader,
    call_name,
    read_arguments,
    read_part,
    unknown_source,
)
from gateway.dialects.shared.reading import Fields, check_count, invalid, label

_SEALED = ("encrypted_content", "encrypted_index", "encrypted_stdout", "cache_control")


def read_call(block: Fields) -> ToolCall:
    """Return a call the model made earlier."""
    return ToolCall(block.text("id") or "", call_name(block), read_arguments(block, "input"))


def read_result(block: Fields, kind: str, name: str) -> Message:
    """Return what a call came to as a turn of the tool `name`: its text and its images."""
    value = block.get("content")
    found = Content()
    if isinstance(value, str):
        found.add_text(value)
    elif kind not in {"tool_result", "mcp_tool_result"}:
        found.add_text(_vendor_result(value))
    elif value is not None:
        parts = value if isinstance(value, list) else [value]
        check_count(len(parts), block.path("content"), MAX_PARTS, "parts")
        for index, item in enumerate(parts):
            _read_result_part(item, f"{block.path('content')}[{index}]", found)
    call_id = block.text("tool_use_id") or ""
    turn = found.message("tool", tool_call_id=call_id, tool_name=name)
    return replace(turn, content=f"Error: {turn.content}") if block.flag("is_error") else turn


def _read_result_part(item: Json, where: str, found: Content) -> None:
    kind = item.get("type") if isinstance(item, Mapping) else None
    if kind == "tool_reference":
        found.add_text(str(item.get("tool_name") or item.get("name") or ""))
    elif isinstance(kind, str) and kind in BLOCKS:
        read_part(item, where, found, BLOCKS)
    else:
        found.add_text(item if isinstance(item, str) else _json_text(item))


def _vendor_result(value: Json) -> str:
    """Return the result of a tool that ran at the vendor as short text: title and address a hit."""
    if isinstance(value, list):
        return "\n".join(filter(None, map(_vendor_result, value)))
    if not isinstance(value, Mapping):
        return "" if value is None else _json_text(value)
    if value.get("error_code") is not None:
        return f"Error: {value['error_code']}"
    if isinstance(value.get("url"), str):
        content = value.get("content")
        document = content if isinstance(content, Mapping) else {}
        source = document.get("source")
        title = value.get("title") or document.get("title")
        lines = [f"{title}: {value['url']}" if isinstance(title, str) else value["url"]]
        if isinstance(source, Mapping) and source.get("type") == "text":
            lines.append(str(source.get("data") or ""))
        return "\n".join(lines)
    output = [value[name] for name in ("stdout", "stderr") if isinstance(value.get(name), str)]
    if output:
        return "\n".join(filter(None, output))
    return _json_text(value)


def _json_text(value: Json) -> str:
    if isinstance(value, Mapping):
        value = {name: part for name, part in value.items() if name not in _SEALED}
    return orjson.dumps(value).decode()


def _text(block: Fields, found: Content) -> None:
    found.add_text(block.text("text") or "")


def _search_result(block: Fields, found: Content) -> None:
    lines = [block.text("title") or "", block.text("source") or ""]
    lines += [part.text("text") or "" for part in block.objects("content")]
    found.add_text("\n".join(filter(None, lines)))


def _document(block: Fields, found: Content) -> None:
    source = block.required_fields("source")
    head = " ".join(filter(None, (block.text("title"), block.text("context"))))
    match source.required_text("type"):
        case "text":
            found.add_text("\n".join(filter(None, (head, source.text("data")))))
        case "content":
            found.add_text(head)
            content = source.get("content")
            if isinstance(content, str):
                found.add_text(content)
                return
            for part in source.objects("content"):
                part_kind = part.required_text("type")
                if part_kind not in {"text", "image"}:
                    raise invalid(f"A document holds no {label(part_kind)!r}.", part.path("type"))
                BLOCKS[part_kind](part, found)
        case "base64":
            kind = (source.text("media_type") or "").lower()
            url = f"data:{kind};base64,{source.required_text('data')}"
            found.add_file(read_file(url, head, source.path("data")))
        case "url" | "file":
            raise invalid(
                f"{NO_PDF}; send their text along.",
                source.path("type"),
                "unsupported_value",
            )
        case kind:
            raise unknown_source(kind, source)


BLOCKS: Mapping[str, Reader] = {
    "text": _text,
    "image": PARTS["image"],
    "input_image": PARTS["input_image"],
    "image_url": PARTS["image_url"],
    "document": _document,
    "search_result": _search_result,
}
"""The blocks that stand for text and pictures."""
