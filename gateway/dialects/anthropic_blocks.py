"""The blocks a Messages conversation is made of, one at a time (api-mapping 4.2)."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from gateway.core.chat import Json, Media, ToolCall
from gateway.dialects.attachments import read_file
from gateway.dialects.content import PARTS, Content, Reader, read_arguments
from gateway.dialects.reading import Fields, invalid, label, missing
from gateway.errors import InvalidRequest

OMITTED_PDF = "[PDF document omitted by the gateway]"
OMITTED_DOCUMENT = "[document omitted by the gateway]"
_SEALED = ("encrypted_content", "encrypted_index", "encrypted_stdout", "cache_control")


def is_result(kind: str) -> bool:
    """Tell whether a block answers a call, ours or one made on the vendor's side."""
    return kind.endswith("tool_result")


def read_call(block: Fields) -> ToolCall:
    """Give a call the model made earlier."""
    return ToolCall(
        block.text("id") or "", block.required_text("name"), read_arguments(block.get("input"))
    )


def read_result(block: Fields, kind: str, ignored: list[str]) -> tuple[str, tuple[Media, ...]]:
    """Give what a call came to: its text and its images.

    A 400 over something in a result would make an agent's session unusable, so what cannot be
    read is named in `ignored`. Raises InvalidRequest for broken images only.
    """
    value = block.get("content")
    found = Content()
    if isinstance(value, str):
        found.add_text(value)
    elif kind not in {"tool_result", "mcp_tool_result"}:
        found.add_text(_vendor_result(value))
    elif value is not None:
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            _read_result_part(item, f"{block.path('content')}[{index}]", found, ignored)
    text = "\n".join(found.texts)
    return (f"Error: {text}" if block.flag("is_error") else text), tuple(found.media)


def _read_result_part(item: Json, where: str, found: Content, ignored: list[str]) -> None:
    part = Fields(item, where) if isinstance(item, Mapping) else Fields({}, where)
    kind = part.get("type")
    if kind == "tool_reference":
        found.add_text(str(part.get("tool_name") or part.get("name") or ""))
    elif kind == "document":
        try:
            _document(part, found)
        except InvalidRequest:
            found.add_text(OMITTED_PDF if _is_pdf(part) else OMITTED_DOCUMENT)
            ignored.append(f"{where}:document")
    elif isinstance(kind, str) and kind in BLOCKS:
        BLOCKS[kind](part, found)
    else:
        found.add_text(item if isinstance(item, str) else _json_text(item))


def _vendor_result(value: Json) -> str:
    """Give the result of a tool that ran at the vendor as short text: title and address a hit."""
    if isinstance(value, list):
        return "\n".join(filter(None, map(_vendor_result, value)))
    if not isinstance(value, Mapping):
        return "" if value is None else _json_text(value)
    if value.get("error_code") is not None:
        return f"Error: {value['error_code']}"
    if isinstance(value.get("url"), str):
        document = value.get("content")
        source = document.get("source") if isinstance(document, Mapping) else None
        title = value.get("title") or (
            document.get("title") if isinstance(document, Mapping) else None
        )
        lines = [f"{title}: {value['url']}" if isinstance(title, str) else value["url"]]
        if isinstance(source, Mapping) and source.get("type") == "text":
            lines.append(str(source.get("data") or ""))
        return "\n".join(lines)
    output = [value.get(name) for name in ("stdout", "stderr")]
    if any(isinstance(text, str) for text in output):
        return "\n".join(text for text in output if isinstance(text, str) and text)
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
    source = block.fields("source")
    if source is None:
        raise missing(block.path("source"))
    head = " ".join(filter(None, (block.text("title"), block.text("context"))))
    match source.required_text("type"):
        case "text":
            found.add_text("\n".join(filter(None, (head, source.text("data")))))
        case "content":
            found.add_text(head)
            _document_blocks(source, found)
        case "base64":
            kind = (source.text("media_type") or "").lower()
            url = f"data:{kind};base64,{source.required_text('data')}"
            read = read_file(url, head, source.path("data"))
            if isinstance(read, str):
                found.add_text(read)
            else:
                found.media.append(read)
        case "url" | "file":
            raise invalid(
                "Documents are read only where their text is sent along.",
                source.path("type"),
                "unsupported_value",
            )
        case kind:
            raise invalid(
                f"A source of type {label(kind)!r} is not known here.", source.path("type")
            )


def _document_blocks(source: Fields, found: Content) -> None:
    content = source.get("content")
    if isinstance(content, str):
        found.add_text(content)
        return
    for part in source.objects("content"):
        kind = part.required_text("type")
        if kind not in {"text", "image"}:
            raise invalid(f"A document holds no {label(kind)!r}.", part.path("type"))
        BLOCKS[kind](part, found)


def _is_pdf(block: Fields) -> bool:
    """Tell whether a document that cannot be read is a PDF: by name, or because only those come
    by reference."""
    source = block.get("source")
    if not isinstance(source, Mapping):
        return False
    return source.get("type") in ("url", "file") or source.get("media_type") == "application/pdf"


BLOCKS: Mapping[str, Reader] = {
    "text": _text,
    "image": PARTS["image"],
    "input_image": PARTS["input_image"],
    "image_url": PARTS["image_url"],
    "document": _document,
    "search_result": _search_result,
}
"""The blocks that stand for text and pictures."""
