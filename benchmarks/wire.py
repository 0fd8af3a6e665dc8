"""The raw HTTP requests the load generator sends, for the three ways in: ours, naive, Ollama's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

Body = dict[str, Any]
ASK = "When is low tide at the harbour today? Answer in one short sentence."
TEXTS = [f"Sentence number {n} about tides, boats and weather." for n in range(64)]


@dataclass(frozen=True, slots=True)
class Dialect:
    """Builds the requests a target understands; each returns the whole HTTP request."""

    stream: Callable[..., bytes]  # (model, prompt=ASK)
    call: Callable[..., bytes]  # (model, prompt=ASK)
    embed: Callable[..., bytes]  # (model, encoding, texts=TEXTS)
    models: Callable[[], bytes]


def ollama() -> Dialect:
    """Ollama's native API: what nginx passes on, and what the fake takes itself."""

    def chat(model: str, prompt: str, stream: bool) -> bytes:
        return post("/api/chat", {"model": model, "messages": turns(prompt), "stream": stream})

    return Dialect(
        stream=lambda model, prompt=ASK: chat(model, prompt, True),
        call=lambda model, prompt=ASK: chat(model, prompt, False),
        embed=lambda model, encoding, texts=TEXTS: post(
            "/api/embed", {"model": model, "input": texts}
        ),
        models=lambda: get("/api/tags"),
    )


def openai(key: str) -> Dialect:
    """OpenAI's API with a bearer key."""

    def chat(model: str, prompt: str, stream: bool) -> bytes:
        body = {"model": model, "messages": turns(prompt), "stream": stream}
        return post("/v1/chat/completions", body, key)

    return Dialect(
        stream=lambda model, prompt=ASK: chat(model, prompt, True),
        call=lambda model, prompt=ASK: chat(model, prompt, False),
        embed=lambda model, encoding, texts=TEXTS: post(
            "/v1/embeddings", {"model": model, "input": texts, "encoding_format": encoding}, key
        ),
        models=lambda: get("/v1/models", key),
    )


def anthropic(key: str) -> Dialect:
    """Anthropic's Messages API; it has no embeddings, so those stay OpenAI's."""

    def messages(model: str, prompt: str, stream: bool) -> bytes:
        body = {
            "model": model,
            "max_tokens": 100_000,
            "messages": turns(prompt),
            "stream": stream,
        }
        return post("/v1/messages", body, key)

    other = openai(key)
    return Dialect(
        stream=lambda model, prompt=ASK: messages(model, prompt, True),
        call=lambda model, prompt=ASK: messages(model, prompt, False),
        embed=other.embed,
        models=other.models,
    )


def responses(key: str) -> Dialect:
    """OpenAI's Responses API; embeddings and models as in the chat API."""

    def create(model: str, prompt: str, stream: bool) -> bytes:
        return post("/v1/responses", {"model": model, "input": prompt, "stream": stream}, key)

    other = openai(key)
    return Dialect(
        stream=lambda model, prompt=ASK: create(model, prompt, True),
        call=lambda model, prompt=ASK: create(model, prompt, False),
        embed=other.embed,
        models=other.models,
    )


def turns(prompt: str) -> list[Body]:
    """Return a conversation of one user turn."""
    return [{"role": "user", "content": prompt}]


def post(path: str, body: Body, key: str = "") -> bytes:
    """Return a whole POST request with a JSON body."""
    data = orjson.dumps(body)
    head = f"{_head('POST', path, key)}Content-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


def get(path: str, key: str = "") -> bytes:
    """Return a whole GET request."""
    return f"{_head('GET', path, key)}\r\n".encode()


def _head(method: str, path: str, key: str) -> str:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n"
    return f"{head}Authorization: Bearer {key}\r\n" if key else head
