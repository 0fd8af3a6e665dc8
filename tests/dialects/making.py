"""What the tests of the OpenAI dialects are made of."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import orjson
import pytest

from gateway.core.catalog import Model
from gateway.core.chat import Call, Envelope, Request
from gateway.core.events import Batch, Event
from gateway.dialects import base
from gateway.dialects.base import Dialect, Reading
from gateway.errors import InvalidRequest
from gateway.policy import media
from gateway.schemas.settings import RuntimeSettings

SEED = "0123456789abcdef01234567"
CREATED = 1_754_000_000
HELLO = ({"role": "user", "content": "Hello"},)
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()


def reading(**settings: Any) -> Reading:
    """Give what parsing needs besides the body."""

    def nothing(wanted: str) -> Any:
        raise InvalidRequest(f"nothing is stored under {wanted}")

    return Reading(RuntimeSettings(**settings), nothing, nothing)


def envelope(call: Call, **fields: Any) -> Envelope:
    """Give an envelope with a known seed and clock."""
    return Envelope(SEED, CREATED, call, "req_1", **fields)


def batches(*groups: Sequence[Event], choice: int = 0) -> list[Batch]:
    """Give batches of one choice."""
    return [(choice, tuple(group)) for group in groups]


def streamed(dialect: Dialect, found: Iterable[Batch], around: Envelope) -> list[bytes]:
    """Give the pieces of a streamed answer."""
    groups = chain([[]], ([batch] for batch in found))  # the opening leaves by itself
    return list(base.frames(dialect.writer(around), groups))


def frames(pieces: Iterable[bytes]) -> list[Any]:
    """Cut a stream into its frames: JSON, "[DONE]", or a comment as it stands."""
    text = b"".join(pieces)
    assert text.endswith(b"\n\n") or not text
    found: list[Any] = []
    for frame in text.split(b"\n\n")[:-1]:
        assert b"\n" not in frame
        if frame.startswith(b": "):
            found.append(frame.decode())
            continue
        assert frame.startswith(b"data: ")
        data = frame.removeprefix(b"data: ")
        found.append("[DONE]" if data == b"[DONE]" else orjson.loads(data))
    return found


def settled(call: Call) -> Request:
    """Return the request as a model that can see and hear gets it; the user's newest turn may be
    refused."""
    able = Model(1, "m", "m", capabilities=frozenset({"completion", "vision", "audio"}))
    return media.settle(call.request, able, RuntimeSettings())[0]


def refusal(body: Mapping[str, Any], dialect: Dialect, **settings: Any) -> tuple[str, str]:
    """Give the code and the param of the refusal of a body."""
    with pytest.raises(InvalidRequest) as caught:
        settled(dialect.parse(body, reading(**settings)))
    assert caught.value.message
    return caught.value.code, caught.value.param or ""
