"""The content of one message: text, pictures, sounds and files, in whatever parts they came.

A message's parts stay together: all its text in one string, all its media in one list. A part that
cannot be read does not end the reading: whether it is refused depends on the turn it stands in, so
it is kept as `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from gateway.core.chat import Json, Media, Message, Role, ToolCall, Unreadable
from gateway.dialects.shared.attachments import read_audio, read_file, read_image, read_image_data
from gateway.dialects.shared.reading import (
    Fields,
    as_fields,
    as_text,
    check_count,
    depth,
    invalid,
    label,
    missing,
    wrong_type,
)
from gateway.errors import InvalidRequest

MAX_PARTS = 10_000
"""Of one message, and calls of one turn."""
MAX_ARGUMENT_CHARS = 1 << 20
MAX_ARGUMENT_DEPTH = 100
UNNAMED = "unnamed_tool"
"""Stands in for the name of a call that was made without one."""
_NOUNS = {
    "text": "text", "input_text": "text", "output_text": "text",
    "image_url": "image", "input_image": "image", "image": "image",
    "input_audio": "audio",
    "file": "document", "input_file": "document", "document": "document",
}  # fmt: skip
_SEALED = "gAAAA"
"""How the vendor's encrypted texts begin, which nobody here can read."""


@dataclass(slots=True)
class Content:
    """The growing content of one message."""

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    media: list[Media] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    length: int = 0
    """Of the texts, each with a line break."""

    def add_text(self, text: str) -> None:
        """Add a piece of text; an empty one adds no gap."""
        if text:
            self.texts.append(text)
            self.length += len(text) + 1

    def add_thought(self, text: Json) -> None:
        """Add a piece of thinking, where it is one."""
        if isinstance(text, str) and text:
            self.thoughts.append(text)

    def add_file(self, file: str | Media) -> None:
        """Add a file, which is text or a picture."""
        if isinstance(file, str):
            self.add_text(file)
        else:
            self.media.append(file)

    def message(
        self,
        role: Role,
        *,
        thinking: str = "",
        tool_calls: Sequence[ToolCall] = (),
        tool_call_id: str = "",
        tool_name: str = "",
    ) -> Message:
        """Return the content as a turn; texts are apart by a line, those of the assistant are
        pieces of one (D54). `thinking` goes before thinking that stands in the content."""
        if role == "assistant":
            text, thinking = "".join(self.texts), thinking or "\n".join(self.thoughts)
        else:
            text = "\n".join(self.texts)
        return Message(
            role,
            text,
            thinking,
            tuple(self.media),
            tuple(tool_calls),
            tool_call_id,
            tool_name,
            tuple(self.unreadable),
        )


Reader = Callable[[Fields, Content], None]
"""Reads one part into the content. Raises InvalidRequest with the part's path."""


def read_content(value: Json, param: str, parts: Mapping[str, Reader] | None = None) -> Content:
    """Return the content of a message: a string, or parts read by type. Raises InvalidRequest."""
    content = Content()
    if isinstance(value, str):
        content.add_text(value)
        return content
    if not isinstance(value, list | tuple):
        raise wrong_type(param, "a string or a list of parts", value)
    check_count(len(value), param, MAX_PARTS, "parts")
    for index, item in enumerate(value):
        if isinstance(item, str):
            content.add_text(item)
        else:
            read_part(item, f"{param}[{index}]", content, PARTS if parts is None else parts)
    return content


def read_part(item: Json, where: str, content: Content, readers: Mapping[str, Reader]) -> None:
    """Add one part to the content, as `Unreadable` where it cannot be read."""
    kind = ""
    try:
        part = as_fields(item, where)
        kind = part.required_text("type")
        reader = readers.get(kind)
        if reader is None:
            raise invalid(f"Content of type {label(kind)!r} is not known here.", part.path("type"))
        reader(part, content)
    except InvalidRequest as error:
        path = f"{where}:{label(kind)}" if kind else where
        noun = _NOUNS.get(kind, f"content of type {label(kind)!r}")
        if noun == "document" and "PDF" in error.message:
            noun = "PDF document"
        note = f"[{noun} omitted by the gateway]"
        content.unreadable.append(Unreadable(error, note, path))


def call_name(fields: Fields) -> str:
    """Return the name of a call made earlier; models make some without, and agents repeat them."""
    name = fields.get("name")
    return (name.strip() if isinstance(name, str) else "") or UNNAMED


def read_arguments(fields: Fields, name: str) -> Mapping[str, Json]:
    """Return the arguments of an earlier call. Raises InvalidRequest for more than
    `MAX_ARGUMENT_CHARS`."""
    value = fields.get(name)
    if isinstance(value, str) and len(value) > MAX_ARGUMENT_CHARS:
        most = f"at most {MAX_ARGUMENT_CHARS:,} characters"
        raise invalid(f"{fields.path(name)!r} may have {most}.", fields.path(name))
    return as_arguments(value)


def as_arguments(value: Json) -> Mapping[str, Json]:
    """Return the arguments of a call as an object; agents repeat broken ones (D19)."""
    if value is None:
        return {}
    if isinstance(value, str):
        text = value
        if not text.strip():
            return {}
        try:
            value = orjson.loads(text)
        except ValueError:
            return {"raw_arguments": text}
        if depth(value, MAX_ARGUMENT_DEPTH) > MAX_ARGUMENT_DEPTH:
            return {"raw_arguments": text}
    return value if isinstance(value, Mapping) else {"value": value}


def _text_part(part: Fields, content: Content) -> None:
    text = part.text("text")
    if text is None:
        raise missing(part.path("text"))
    content.add_text(text)


def _thinking_part(part: Fields, content: Content) -> None:
    texts = (part.get(name) for name in ("thinking", "reasoning", "text"))
    content.add_thought(next((text for text in texts if isinstance(text, str) and text), ""))


def _encrypted_part(part: Fields, content: Content) -> None:
    """A text that agents hand over to each other; only its vendor would encrypt it."""
    text = part.text("encrypted_content") or ""
    if text.startswith(_SEALED):
        raise invalid("Encrypted content cannot be read here.", part.path("encrypted_content"))
    content.add_text(text)


def _image_url_part(part: Fields, content: Content) -> None:
    """`image_url` is an object with `url`, or the URL itself."""
    where = part.path("image_url")
    value = part.get("image_url")
    if isinstance(value, Mapping):
        value = value.get("url")
    if value is None:
        if part.get("file_id") is not None:
            raise _no_files(part.path("file_id"))
        raise missing(where)
    content.media.append(read_image(as_text(value, where), where))


def _image_source_part(part: Fields, content: Content) -> None:
    """The Messages API's picture."""
    source = part.required_fields("source")
    match source.required_text("type"):
        case "base64":
            where = source.path("data")
            content.media.append(read_image_data(source.required_text("data"), where))
        case "url":
            content.media.append(read_image(source.required_text("url"), source.path("url")))
        case "file":
            raise _no_files(source.path("file_id"))
        case kind:
            raise unknown_source(kind, source)


def unknown_source(kind: str, source: Fields) -> InvalidRequest:
    """Return the error for a source of a type nobody knows."""
    return invalid(f"A source of type {label(kind)!r} is not known here.", source.path("type"))


def _audio_part(part: Fields, content: Content) -> None:
    audio = part.required_fields("input_audio")
    content.media.append(read_audio(audio.required_text("data"), audio.path("data")))


def _file_part(part: Fields, content: Content) -> None:
    """`file` of chat completions holds its fields in an object, `input_file` in itself."""
    file = part.fields("file") or part
    if file.get("file_data") is None:
        if file.get("file_id") is not None:
            raise _no_files(file.path("file_id"))
        raise missing(file.path("file_data"))
    where = file.path("file_data")
    content.add_file(read_file(file.required_text("file_data"), file.text("filename") or "", where))


def _no_files(param: str) -> InvalidRequest:
    return invalid(
        "There is no Files API here; send the content itself.", param, "unsupported_value"
    )


PARTS: Mapping[str, Reader] = {
    "text": _text_part,
    "input_text": _text_part,
    "output_text": _text_part,
    "refusal": lambda part, content: content.add_text(
        part.text("refusal") or part.text("text") or ""
    ),
    "encrypted_content": _encrypted_part,
    "thinking": _thinking_part,
    "reasoning": _thinking_part,
    "reasoning_text": _thinking_part,
    "summary_text": _thinking_part,
    "image_url": _image_url_part,
    "input_image": _image_url_part,
    "image": _image_source_part,
    "input_audio": _audio_part,
    "file": _file_part,
    "input_file": _file_part,
}
"""Every part that stands for text, thinking, pictures, sounds or files."""
