"""Reads the body of an API call: bounded in size and depth, decoded, parsed, never trusted.

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
from gateway.errors import InvalidRequest, TooLarge, UnsupportedEncoding

MAX_DEPTH = 128
_PIECE = 64 * 1024
_CLOSE = {"Connection": "close"}


class Stream(Protocol):
    """The part of `wsgi.input` that is used."""

    def read(self, size: int = ..., /) -> bytes: ...


def read_json(
    stream: Stream,
    *,
    content_length: int | None,
    encoding: str,
    limit_bytes: int,
) -> Json:
    """Return the JSON object of a request.

    Raises InvalidRequest (`invalid_json`), TooLarge, UnsupportedEncoding, and what `stream` does:
    RequestTimeout, ClientGone.
    """
    if content_length is not None and content_length > limit_bytes:
        raise _too_large(limit_bytes)
    raw = _read(stream, content_length, limit_bytes)
    if encoding:
        raw = _decode(raw, encoding, limit_bytes)
    return parse_object(raw)


def parse_object(raw: bytes) -> Json:
    """Parse one JSON object of sane depth."""
    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
    if not raw.strip():
        raise InvalidRequest("The request body is empty; send a JSON object.", code="invalid_json")
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
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise InvalidRequest(
            f"The request body is nested more than {MAX_DEPTH} levels deep.", code="invalid_json"
        )
    return value


def _read(stream: Stream, length: int | None, limit: int) -> bytes:
    """Read all of the body, at most `limit` bytes."""
    pieces: list[bytes] = []
    size = 0
    while size != length and (piece := stream.read(min(_PIECE, limit + 1 - size))):
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
    if length is not None and size < length:
        raise InvalidRequest(
            "The request body ended before its Content-Length.", code="invalid_json"
        )
    return b"".join(pieces)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The request body is larger than {limit // (1024 * 1024)} MB.",
        headers=_CLOSE,
    )


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


def _depth(value: Json) -> int:
    """How deep lists and objects nest, without recursion."""
    depth, level = 0, [value]
    while level and depth <= MAX_DEPTH:
        depth += 1
        below: list[Json] = []
        for item in level:
            children = item.values() if isinstance(item, dict) else item
            below.extend(child for child in children if isinstance(child, (dict, list)))
        level = below
    return depth
