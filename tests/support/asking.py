"""A small request for every endpoint, and what each dialect calls things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fake_ollama import FakeOllama, Recorded

HELLO: list[dict[str, str]] = [{"role": "user", "content": "Hello?"}]


@dataclass(frozen=True)
class Endpoint:
    """An endpoint that takes a body. `upstream` is what it calls at Ollama."""

    path: str
    body: dict[str, Any]
    upstream: str
    anthropic: bool = False
    streams: bool = True
    prompt: str = "messages"

    def with_(self, **changes: Any) -> dict[str, Any]:
        return {**self.body, **changes}


GENERATING: dict[str, Endpoint] = {
    "chat": Endpoint("/v1/chat/completions", {"model": "llama3.2", "messages": HELLO}, "/api/chat"),
    "completions": Endpoint(
        "/v1/completions",
        {"model": "llama3.2", "prompt": "Hello?"},
        "/api/generate",
        prompt="prompt",
    ),
    "responses": Endpoint(
        "/v1/responses", {"model": "llama3.2", "input": "Hello?"}, "/api/chat", prompt="input"
    ),
    "messages": Endpoint(
        "/v1/messages",
        {"model": "llama3.2", "messages": HELLO, "max_tokens": 50},
        "/api/chat",
        anthropic=True,
    ),
}
ENDPOINTS: dict[str, Endpoint] = {
    **GENERATING,
    "embeddings": Endpoint(
        "/v1/embeddings",
        {"model": "nomic-embed-text", "input": "Hello?"},
        "/api/embed",
        streams=False,
        prompt="input",
    ),
    "count_tokens": Endpoint(
        "/v1/messages/count_tokens",
        {"model": "llama3.2", "messages": HELLO},
        "",
        anthropic=True,
        streams=False,
    ),
    "input_tokens": Endpoint(
        "/v1/responses/input_tokens",
        {"model": "llama3.2", "input": "Hello?"},
        "",
        streams=False,
        prompt="input",
    ),
}

TEXT_OF: dict[str, Callable[[Any], str]] = {
    "chat": lambda answer: answer["choices"][0]["message"]["content"],
    "completions": lambda answer: answer["choices"][0]["text"],
    "responses": lambda answer: answer["output"][-1]["content"][0]["text"],
    "messages": lambda answer: answer["content"][-1]["text"],
}


def is_refusal(body: Any, *, anthropic: bool) -> bool:
    """Whether a body is a refusal in the form of the dialect."""
    if not isinstance(body, dict) or not isinstance(body.get("error"), dict):
        return False
    error = body["error"]
    if anthropic:
        return (
            body.get("type") == "error"
            and set(error) in ({"type", "message"}, {"type", "message", "details"})
            and str(body.get("request_id", "")).startswith("req_")
            and bool(error["message"])
        )
    return set(error) == {"message", "type", "param", "code"} and bool(error["message"])


_ASKING = frozenset({"/api/chat", "/api/generate", "/api/embed"})


def asked(ollama: FakeOllama) -> list[Recorded]:
    """Give the requests that had a model do something; servers are looked at all the time."""
    return [one for one in ollama.requests if one.path in _ASKING]
