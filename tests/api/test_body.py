"""Reading request bodies: sizes, encodings, depth, slow and broken senders."""

from __future__ import annotations

import gzip
import io
import zlib

import pytest
import zstandard

from gateway.errors import GatewayError, InvalidRequest, TooLarge
from gateway.web.request_body import MAX_DEPTH, parse_object, read_json

LIMIT = 1 << 20
BODY = b'{"model":"qwen3:8b"}'


def _read(raw: bytes, encoding: str = "", length: int | None = None, limit: int = LIMIT) -> object:
    return read_json(io.BytesIO(raw), content_length=length, encoding=encoding, limit_bytes=limit)


def _raw_deflate(raw: bytes) -> bytes:
    worker = zlib.compressobj(wbits=-15)
    return worker.compress(raw) + worker.flush()


ENCODINGS = [
    ("", lambda raw: raw),
    ("identity", lambda raw: raw),
    ("gzip", gzip.compress),
    ("GZIP", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", _raw_deflate),
    ("zstd", zstandard.compress),
]


@pytest.mark.parametrize(("encoding", "encode"), ENCODINGS)
def test_a_body_is_decoded_as_its_encoding_says(encoding, encode) -> None:
    assert _read(encode(BODY), encoding) == {"model": "qwen3:8b"}


BROKEN = [
    ("empty", b"", "invalid_json"),
    ("white space", b" \n ", "invalid_json"),
    ("a list", b"[]", "invalid_json"),
    ("a number", b"1", "invalid_json"),
    ("half an object", b'{"model":', "invalid_json"),
    ("NaN", b'{"a":NaN}', "invalid_json"),
    ("lone surrogate", b'{"a":"\\ud800"}', "invalid_json"),
    ("not UTF-8", b'{"a":"\xff"}', "invalid_json"),
    ("deep", b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", "invalid_json"),
    ("very deep", b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "invalid_json"),
]


@pytest.mark.parametrize(("raw", "code"), [case[1:] for case in BROKEN], ids=[c[0] for c in BROKEN])
def test_a_broken_body_is_refused_with_a_reason(raw: bytes, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        _read(raw)

    assert (caught.value.status, caught.value.code) == (400, code)


def test_a_byte_order_mark_is_skipped() -> None:
    assert _read(b"\xef\xbb\xbf" + BODY) == {"model": "qwen3:8b"}


def test_allowed_depth_is_accepted() -> None:
    raw = b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"

    assert "a" in parse_object(raw)


def test_many_brackets_side_by_side_are_not_depth() -> None:
    raw = b'{"a":[' + b",".join([b"[]"] * 500) + b"]}"

    assert len(parse_object(raw)["a"]) == 500


@pytest.mark.parametrize("length", [None, LIMIT + 30])
def test_a_body_over_the_limit_is_413(length: int | None) -> None:
    with pytest.raises(TooLarge):
        _read(b'{"a":"' + b"x" * LIMIT + b'"}', length=length)


@pytest.mark.parametrize("encode", [gzip.compress, zstandard.compress])
def test_the_limit_counts_decoded_bytes(encode) -> None:
    encoding = "gzip" if encode is gzip.compress else "zstd"

    with pytest.raises(TooLarge):
        _read(encode(b'{"a":"' + b"x" * (20 * LIMIT) + b'"}'), encoding)


@pytest.mark.parametrize("encoding", ["br", "compress", "gzip, gzip"])
def test_an_unknown_encoding_is_415(encoding: str) -> None:
    with pytest.raises(GatewayError) as caught:
        _read(BODY, encoding)

    assert caught.value.status == 415


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_body_that_is_not_what_its_encoding_says_is_400(encoding: str) -> None:
    with pytest.raises(InvalidRequest):
        _read(BODY, encoding)


def test_a_body_shorter_than_promised_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        _read(BODY, length=len(BODY) + 5)
