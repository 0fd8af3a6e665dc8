"""Limits of one request that a dialect alone does not see."""

from __future__ import annotations

import base64
from struct import pack
from typing import Any

import pytest

from fake_ollama import FakeOllama
from tests.integration.clients.things import RED_DOT
from tests.integration.conftest import Caller, Operator
from tests.support.asking import HELLO
from tests.support.wire import post

pytestmark = pytest.mark.process

LARGE = base64.b64encode(base64.b64decode(RED_DOT) + b"\0" * (1 << 20)).decode()
BOMB = base64.b64encode(
    b"\x89PNG\r\n\x1a\n" + pack(">I4sIIBBBBBI", 13, b"IHDR", 30_000, 30_000, 8, 2, 0, 0, 0, 0)
).decode()


def _chat(data: str) -> Any:
    url = f"data:image/png;base64,{data}"
    content = [{"type": "image_url", "image_url": {"url": url}}]
    return {"model": "gemma3:4b", "messages": [{"role": "user", "content": content}]}


def _responses(data: str) -> Any:
    content = [{"type": "input_image", "image_url": f"data:image/png;base64,{data}"}]
    return {"model": "gemma3:4b", "input": [{"role": "user", "content": content}]}


def _messages(data: str) -> Any:
    source = {"type": "base64", "media_type": "image/png", "data": data}
    content = [{"type": "image", "source": source}]
    return {
        "model": "gemma3:4b",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": content}],
    }


def _completions(data: str) -> Any:
    return {"model": "gemma3:4b", "prompt": "What is it?", "images": [data]}


ASKED = {
    "/v1/chat/completions": _chat,
    "/v1/completions": _completions,
    "/v1/responses": _responses,
    "/v1/messages": _messages,
}


@pytest.mark.parametrize("path", ASKED)
def test_a_picture_inside_the_body_has_a_size_limit(
    caller: Caller, operator: Operator, ollama: FakeOllama, path: str
) -> None:
    make = ASKED[path]
    with operator.settings(max_image_mb=1):
        small = caller.post(path, make(RED_DOT))
        large = caller.post(path, make(LARGE))

    assert (small.status, large.status) == (200, 400)
    assert "larger than 1 MB" in large.json["error"]["message"]
    assert len([*ollama.calls("/api/chat"), *ollama.calls("/api/generate")]) == 1


@pytest.mark.parametrize("path", ASKED)
def test_a_picture_of_too_many_pixels_never_reaches_ollama(
    caller: Caller, ollama: FakeOllama, path: str
) -> None:
    reply = caller.post(path, ASKED[path](BOMB))

    assert reply.status == 400
    assert "pixels" in reply.json["error"]["message"]
    assert [*ollama.calls("/api/chat"), *ollama.calls("/api/generate")] == []


@pytest.mark.parametrize("path", ASKED)
def test_the_number_of_pictures_is_limited(caller: Caller, operator: Operator, path: str) -> None:
    body = ASKED[path](RED_DOT)
    if path == "/v1/completions":
        body["images"] *= 2
    else:
        name = "input" if path == "/v1/responses" else "messages"
        body[name][0]["content"] *= 2
    with operator.settings(max_images=1):
        reply = caller.post(path, body)

    assert reply.status == 400
    assert "at most 1" in reply.json["error"]["message"]


def test_a_place_in_line_is_told(caller: Caller, operator: Operator, ollama: FakeOllama) -> None:
    """By a header where the head leaves before the call does, readable from a page."""
    body = {"model": "tinyllama", "messages": HELLO, "stream": True}
    raw = post("/v1/chat/completions", body, caller.key, {"Origin": "http://a.example"})
    quick = operator.settings(stream_commit_ms=50, sse_comment_interval_s=1)
    with quick, ollama.hold("tinyllama", at=1) as gate:
        wires = [caller.wire() for _ in range(4)]
        heads = []
        for wire in wires:
            wire.send(raw)
            heads.append(wire.head()[1])
        gate.wait_reached()
        said = [wires[3].line() for _ in range(9)]
        for wire in wires:
            wire.sock.close()

    places = [head["x-gateway-queue"] for head in heads if "x-gateway-queue" in head]
    assert places[:2] == ["1/1", "2/2"]  # one or two run: how many it can is being learned
    assert "x-gateway-queue" in heads[0]["access-control-expose-headers"]
    assert said[said.index(b": keep-alive\n") + 1] == f": queued {places[-1]}\n".encode()


TOLD = {
    "an unknown model": ("POST", "/v1/chat/completions", {"model": "nobody", "messages": HELLO}),
    "no JSON": ("POST", "/v1/messages", b"{"),
    "the models": ("GET", "/v1/models", None),
    "a count": ("POST", "/v1/messages/count_tokens", {"model": "llama3.2", "messages": HELLO}),
    "a response that is not there": ("GET", "/v1/responses/resp_1", None),
}


@pytest.mark.parametrize(("method", "path", "body"), TOLD.values(), ids=TOLD)
def test_what_is_left_is_told_where_nothing_is_taken(
    caller: Caller, operator: Operator, method: str, path: str, body: Any
) -> None:
    key = operator.key(requests_per_minute=9, tokens_per_minute=900)

    for _ in range(3):
        reply = (
            caller.ask(method, path, key=key) if body is None else caller.post(path, body, key=key)
        )

    family = "anthropic-ratelimit-requests-{}" if "messages" in path else "x-ratelimit-{}-requests"
    assert reply.headers[family.format("limit")] == "9"
    assert reply.headers[family.format("remaining")] == "9"


def test_a_stranger_is_told_of_no_limits(caller: Caller) -> None:
    reply = caller.ask("GET", "/v1/models", key="sk-nobody-at-all")

    assert reply.status == 401
    assert not any("ratelimit" in name for name in reply.headers)
