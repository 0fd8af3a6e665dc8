"""Reading request bodies: sizes, encodings, depth, slow and broken senders."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pytest
import zstandard

from gateway.errors import InvalidRequest, TooLarge
from gateway.policy import estimate
from gateway.runtime.tasks import Run, run_here, run_in_turn
from gateway.web import request_body
from gateway.web.request_body import (
    LARGE_BYTES,
    LARGE_VALUES,
    MAX_DEPTH,
    MAX_VALUES,
    parse_object,
    read_json,
)

LIMIT = 1 << 20
BODY = b'{"model":"qwen3:8b"}'


def _read(raw: bytes, encoding: str = "", length: int | None = None, limit: int = LIMIT) -> object:
    stream = io.BytesIO(raw)
    return read_json(stream, content_length=length, encoding=encoding, limit_bytes=limit)[0]


def test_allowed_depth_is_accepted() -> None:
    raw = b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"

    assert "a" in parse_object(raw)


def test_many_brackets_side_by_side_are_not_depth() -> None:
    raw = b'{"a":[' + b",".join([b"[]"] * 500) + b"]}"

    assert len(parse_object(raw)["a"]) == 500


MANY: dict[str, Any] = {
    "numbers": b'{"a":[' + b"1," * MAX_VALUES + b"1]}",
    "lists": b'{"a":[' + b"[]," * (MAX_VALUES // 2) + b"1]}",
    "objects": b'{"a":[' + b"{}," * (MAX_VALUES // 2) + b"1]}",
    "members": b'{"a":{' + b'"b":1,' * MAX_VALUES + b'"b":1}}',
    "in a text": b'{"a":"' + b"1," * MAX_VALUES + b'1"}',
    "commas that are escaped": b'{"a":"' + rb"1\u002c" * (MAX_VALUES + 100) + b',"}',
    "brackets that are escaped": b'{"a":"' + rb"\u005B\u007b" * (MAX_VALUES // 2 + 100) + b',"}',
    "at the end": b'{"a":"' + b"x" * (1 << 20) + b'","b":[' + b"1," * MAX_VALUES + b"1]}",
}


@pytest.mark.parametrize("raw", MANY.values(), ids=MANY)
def test_too_many_values_are_refused_before_they_are_parsed(
    monkeypatch: pytest.MonkeyPatch, raw: bytes
) -> None:
    monkeypatch.setattr(request_body.orjson, "loads", None)

    with pytest.raises(InvalidRequest, match="more than 250,000 JSON values"):
        _read(raw, limit=8 * LIMIT)


def test_as_many_values_as_may_be_are_read() -> None:
    assert len(parse_object(b'{"a":[' + b"1," * (MAX_VALUES - 2) + b"1]}")["a"]) == MAX_VALUES - 1


def _honest() -> dict[str, Any]:
    """Return a history of 100,000 tokens that is full of JSON, 128 tools and a picture of 20 MB."""
    told = json.dumps([{"id": n, "name": f"item {n}", "tags": ["a", "b"]} for n in range(40)])
    messages: list[Any] = [{"role": "user", "content": told}] * 160
    properties = {f"p{n}": {"type": "string", "description": "one, two"} for n in range(30)}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    tools = [{"type": "function", "function": {"name": f"f{n}", "parameters": schema}}
             for n in range(128)]  # fmt: skip
    url = {"url": "data:image/png;base64," + "A" * (28 << 20)}
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": url}]}
    return {"model": "m", "messages": [*messages, picture], "tools": tools}


def test_what_agents_send_is_within_the_bounds() -> None:
    body = _honest()

    assert parse_object(json.dumps(body).encode()) == body
    assert sum(sum(estimate.units(turn["content"])) for turn in body["messages"][:-1]) > 100_000


@pytest.mark.parametrize(
    ("raw", "encoding", "expected"),
    [
        (BODY, "", run_here),
        (b'{"a":"' + b"x" * LARGE_BYTES + b'"}', "", run_in_turn),
        (b'{"a":[' + b"1," * LARGE_VALUES + b"1]}", "", run_in_turn),
        (gzip.compress(BODY), "gzip", run_in_turn),
        (b'{"$ref":"#"}', "", run_in_turn),
        (rb'{"\u0024ref":"#"}', "", run_in_turn),
    ],
)
def test_what_may_be_long_work_is_read_in_turn(raw: bytes, encoding: str, expected: Run) -> None:
    _, run = read_json(io.BytesIO(raw), content_length=None, encoding=encoding, limit_bytes=LIMIT)

    assert run is expected


@pytest.mark.parametrize("length", [None, LIMIT + 30])
def test_a_body_over_the_limit_is_413(length: int | None) -> None:
    with pytest.raises(TooLarge):
        _read(b'{"a":"' + b"x" * LIMIT + b'"}', length=length)


@pytest.mark.parametrize("encode", [gzip.compress, zstandard.compress])
def test_the_limit_counts_decoded_bytes(encode) -> None:
    encoding = "gzip" if encode is gzip.compress else "zstd"

    with pytest.raises(TooLarge):
        _read(encode(b'{"a":"' + b"x" * (20 * LIMIT) + b'"}'), encoding)


def test_a_body_shorter_than_promised_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        _read(BODY, length=len(BODY) + 5)
