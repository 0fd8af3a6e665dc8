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
    vendor: str = "openai"
    streams: bool = True
    prompt: str = "messages"
    scope: str = "chat"

    def with_(self, **changes: Any) -> dict[str, Any]:
        return {**self.body, **changes}


GENERATING: dict[str, Endpoint] = {
    "chat": Endpoint("/v1/chat/completions", {"model": "llama3.2", "messages": HELLO}, "/api/chat"),
    "completions": Endpoint(
        "/v1/completions",
        {"model": "llama3.2", "prompt": "Hello?"},
        "/api/generate",
        prompt="prompt",
        scope="completions",
    ),
    "responses": Endpoint(
        "/v1/responses",
        {"model": "llama3.2", "input": "Hello?"},
        "/api/chat",
        prompt="input",
        scope="responses",
    ),
    "messages": Endpoint(
        "/v1/messages",
        {"model": "llama3.2", "messages": HELLO, "max_tokens": 50},
        "/api/chat",
        vendor="anthropic",
        scope="messages",
    ),
    "api_chat": Endpoint(
        "/api/chat",
        {"model": "llama3.2", "messages": HELLO, "stream": False},
        "/api/chat",
        vendor="ollama",
    ),
    "api_generate": Endpoint(
        "/api/generate",
        {"model": "llama3.2", "prompt": "Hello?", "stream": False},
        "/api/generate",
        vendor="ollama",
        prompt="prompt",
        scope="completions",
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
        scope="embeddings",
    ),
    "api_embed": Endpoint(
        "/api/embed",
        {"model": "nomic-embed-text", "input": "Hello?"},
        "/api/embed",
        vendor="ollama",
        streams=False,
        prompt="input",
        scope="embeddings",
    ),
    "count_tokens": Endpoint(
        "/v1/messages/count_tokens",
        {"model": "llama3.2", "messages": HELLO},
        "",
        vendor="anthropic",
        streams=False,
        scope="messages",
    ),
    "input_tokens": Endpoint(
        "/v1/responses/input_tokens",
        {"model": "llama3.2", "input": "Hello?"},
        "",
        streams=False,
        prompt="input",
        scope="responses",
    ),
}

TEXT_OF: dict[str, Callable[[Any], str]] = {
    "chat": lambda answer: answer["choices"][0]["message"]["content"],
    "completions": lambda answer: answer["choices"][0]["text"],
    "responses": lambda answer: answer["output"][-1]["content"][0]["text"],
    "messages": lambda answer: answer["content"][-1]["text"],
    "api_chat": lambda answer: answer["message"]["content"],
    "api_generate": lambda answer: answer["response"],
}


def is_refusal(body: Any, vendor: str = "openai") -> bool:
    """Whether a body is a refusal in the form of the vendor's API."""
    if not isinstance(body, dict):
        return False
    if vendor == "ollama":
        return set(body) == {"error"} and isinstance(body["error"], str) and bool(body["error"])
    if not isinstance(body.get("error"), dict):
        return False
    error = body["error"]
    if vendor == "anthropic":
        return (
            body.get("type") == "error"
            and set(error) in ({"type", "message"}, {"type", "message", "details"})
            and str(body.get("request_id", "")).startswith("req_")
            and bool(error["message"])
        )
    return set(error) == {"message", "type", "param", "code"} and bool(error["message"])


_ASKING = frozenset({"/api/chat", "/api/generate", "/api/embed"})


def asked(ollama: FakeOllama) -> list[Recorded]:
    """Return the requests that had a model do something; servers are looked at all the time."""
    return [one for one in ollama.requests if one.path in _ASKING]
