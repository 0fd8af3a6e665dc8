"""Frames of server-sent events as OpenAI's endpoints send them: `data:` lines and comments.

Never an `id:` or `retry:` line: after one, openai-python fails on every comment.
"""

from __future__ import annotations

import orjson

from gateway.core.chat import Json
from gateway.core.events import Ping

MEDIA_TYPE = "text/event-stream; charset=utf-8"
DATA = b"data: "
END = b"\n\n"
DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"


def quote(text: str) -> bytes:
    """Return text as a JSON string; half a surrogate pair, which no encoding holds, as U+FFFD."""
    try:
        return orjson.dumps(text)
    except TypeError:
        sound = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return orjson.dumps(sound)


def frame(body: Json) -> bytes:
    """Return one event."""
    return b"%b%b%b" % (DATA, orjson.dumps(body), END)


def comment(ping: Ping) -> bytes:
    """Return exactly `: keep-alive` (D33), and what else there is to tell as a second comment."""
    told = " ".join(ping.note.split()).removeprefix("keep-alive").lstrip(", ")
    return f": keep-alive\n: {told}\n\n".encode() if told else KEEP_ALIVE
