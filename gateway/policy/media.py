"""Images, sounds and files inside a request: what they are, and how many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.core.chat import ChatRequest, Media, Message, Request
from gateway.errors import InvalidRequest


def all_media(request: Request) -> tuple[Media, ...]:
    """Give every image, sound and file of a request in order."""
    if isinstance(request, ChatRequest):
        found: list[Media] = []
        for message in request.messages:
            if message.media:
                found += message.media
        return tuple(found)
    return request.media


def check(request: Request, most: int, most_mb: int) -> None:
    """Raise InvalidRequest when a request holds more than `most` images or sounds, or one larger
    than `most_mb`. Those still to be fetched are measured then."""
    found = all_media(request)
    if len(found) > most:
        raise InvalidRequest(
            f"The request holds {len(found)} images; at most {most} are allowed.",
            param=found[most].param,
        )
    for item in found:
        if len(item.data) * 3 // 4 > most_mb << 20:
            raise InvalidRequest(
                f"The {item.kind} is larger than {most_mb} MB.",
                param=item.param,
                code="image_too_large" if item.kind == "image" else "invalid_value",
            )


def fill(request: Request, load: Callable[[Media], str]) -> Request:
    """Give the request with the data of every medium that is still a URL, as `load` gives it.

    What `load` gives for a file is text and joins the text of its message.
    """
    if not any(item.url for item in all_media(request)):
        return request
    if isinstance(request, ChatRequest):
        return replace(request, messages=tuple(_message(m, load) for m in request.messages))
    return replace(request, media=_filled(request.media, load))


def _message(message: Message, load: Callable[[Media], str]) -> Message:
    if not any(item.url for item in message.media):
        return message
    files = [(item.at, load(item)) for item in message.media if item.kind == "file"]
    rest = tuple(item for item in message.media if item.kind != "file")
    content = _with_files(message.content, files)
    return replace(message, content=content, media=_filled(rest, load))


def _with_files(content: str, files: Sequence[tuple[int, str]]) -> str:
    """Put files where they stood among the texts, which are joined by newlines."""
    for at, text in reversed(files):
        after = content[at + 1 :] if at else content
        content = "\n".join(filter(None, (content[:at], text, after)))
    return content


def _filled(items: tuple[Media, ...], load: Callable[[Media], str]) -> tuple[Media, ...]:
    return tuple(replace(item, data=load(item), url="") if item.url else item for item in items)
