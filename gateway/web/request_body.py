"""Reads the body of an API call: bounded in size, values and depth, decoded, parsed, never trusted.

The size limit counts decoded bytes. The stream is read to one byte beyond the limit by ourselves,
because Werkzeug cuts a chunked body at `MAX_CONTENT_LENGTH` without a word. How long a body may
take is the server's to bound (`server/body.py`), for every route alike.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

import orjson
import zstandard

from gateway.core.chat import Json
from gateway.dialects.shared.reading import depth
from gateway.errors import InvalidRequest, TooLarge, UnsupportedEncoding
from gateway.runtime.tasks import LARGE_BYTES, Run, pause, run_here, run_in_turn

MAX_DEPTH = 128
MAX_VALUES = 250_000
"""Beyond the window of any model: in a text each of the marks below is most of a token too."""
LARGE_VALUES = 5_000
"""What holds more is read as a body of more than LARGE_BYTES is."""
_PIECE = 64 * 1024
_MARKS = (b"{", b"[", b",", b"\\u002", b"\\u005", b"\\u007")
"""What stands before each JSON value but the first of all, also where a text holds JSON."""
_CLOSE = {"Connection": "close"}


class Stream(Protocol):
    """The part of `wsgi.input` that is used."""

    def read(self, size: int = ..., /) -> bytes: ...


def read_json(
    stream: Stream, *, content_length: int | None, encoding: str, limit_bytes: int
) -> tuple[Json, Run]:
    """Return the JSON object of a request, and how what reads all of it is to be run.

    Raises InvalidRequest (`invalid_json`), TooLarge, UnsupportedEncoding, and what `stream` does:
    RequestTimeout, ClientGone.
    """
    if content_length is not None and content_length > limit_bytes:
        raise _too_large(limit_bytes)
    raw = _read(stream, content_length, limit_bytes)
    is_small = len(raw) <= LARGE_BYTES and not encoding and _count_values(raw) <= LARGE_VALUES
    # References in a schema multiply: a small body may be long work as well.
    if is_small and b"$ref" not in raw and b"\\u00" not in raw:
        return parse_object(raw), run_here
    return run_in_turn(_parse, raw, encoding, limit_bytes), run_in_turn


def _parse(raw: bytes, encoding: str, limit_bytes: int) -> Json:
    return parse_object(_decode(raw, encoding, limit_bytes) if encoding else raw)


def parse_object(raw: bytes) -> Json:
    """Parse one JSON object of sane depth and number of values. Raises InvalidRequest."""
    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
    if not raw.strip():
        raise InvalidRequest("The request body is empty; send a JSON object.", code="invalid_json")
    has_depth = _count_values(raw) > MAX_DEPTH
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            f"The request body is not valid JSON: {error.msg} (line {error.lineno}, "
            f"column {error.colno}).",
            code="invalid_json",
        ) from error
    if not isinstance(value, dict):
        raise InvalidRequest("The request body must be a JSON object.", code="invalid_json")
    if has_depth and depth(value, MAX_DEPTH) > MAX_DEPTH:
        raise InvalidRequest(
            f"The request body is nested more than {MAX_DEPTH} levels deep.", code="invalid_json"
        )
    return value


def _count_values(raw: bytes) -> int:
    """Return how many values there may be. Raises InvalidRequest as soon as they are too many."""
    count = 0
    for at in range(0, len(raw), _PIECE):
        for mark in _MARKS:
            count += raw.count(mark, at, at + _PIECE)
        if count > MAX_VALUES:
            raise InvalidRequest(
                f"The request body holds more than {MAX_VALUES:,} JSON values, for which commas "
                "and opening brackets are counted, in texts too.",
                code="invalid_json",
            )
    return count


def _read(stream: Stream, length: int | None, limit: int) -> bytes:
    """Read all of the body, at most `limit` bytes."""
    pieces: list[bytes] = []
    size = 0
    while size != length and (piece := stream.read(min(_PIECE, limit + 1 - size))):
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
        if size > LARGE_BYTES:  # what a near client sends is always there: nothing else waits
            pause()
    if length is not None and size < length:
        raise InvalidRequest(
            "The request body ended before its Content-Length.", code="invalid_json"
        )
    return b"".join(pieces)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The request body is larger than {limit // (1024 * 1024)} MB.", headers=_CLOSE)


def _inflate(wbits: int) -> Callable[[bytes, int], bytes]:
    def decode(raw: bytes, limit: int) -> bytes:
        worker = zlib.decompressobj(wbits)
        plain = worker.decompress(raw, limit + 1)
        if len(plain) <= limit and not worker.eof:
            raise zlib.error("incomplete")
        return plain

    return decode


def _deflate(raw: bytes, limit: int) -> bytes:
    """RFC 9110 says zlib; some clients send raw deflate."""
    try:
        return _inflate(15)(raw, limit)
    except zlib.error:
        return _inflate(-15)(raw, limit)


def _zstd(raw: bytes, limit: int) -> bytes:
    with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(raw) as reader:
        return reader.read(limit + 1)


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _inflate(31),
    "x-gzip": _inflate(31),
    "deflate": _deflate,
    "zstd": _zstd,
}


def _decode(raw: bytes, encoding: str, limit: int) -> bytes:
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return raw
    decoder = _DECODERS.get(encoding)
    if decoder is None:
        raise UnsupportedEncoding(
            f"Content-Encoding {encoding[:40]!r} is not supported; use gzip, deflate or zstd."
        )
    try:
        plain = decoder(raw, limit)
    except (zlib.error, zstandard.ZstdError) as error:
        raise InvalidRequest(
            f"The request body is not valid {encoding}.", code="invalid_json"
        ) from error
    if len(plain) > limit:
        raise _too_large(limit)
    return plain
