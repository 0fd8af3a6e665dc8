"""An inference request after it was read: one form for ``/api/chat`` and ``/api/generate``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fake_ollama.decode import CHAT, GENERATE, parse_fields
from fake_ollama.models import FakeModel
from fake_ollama.refusals import Refused

Endpoint = Literal["chat", "generate"]


@dataclass(slots=True)
class Call:
    """What was asked. ``name`` is the model's name as sent; replies echo it."""

    endpoint: Endpoint
    name: str
    messages: list[dict[str, Any]]
    stream: bool = True
    think: bool | str | None = None
    format: Any = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    options: Mapping[str, Any] = field(default_factory=dict)
    keep_alive_s: float | None = None
    truncate: bool = True
    shift: bool | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    suffix: str = ""
    raw: bool = False
    debug: bool = False
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def asks(self) -> bool:
        """False for a request that only loads or unloads."""
        return bool(self.messages)

    def is_native(self, model: FakeModel) -> bool:
        """True when llama-server gets the turns themselves instead of a finished prompt."""
        return self.endpoint == "chat" and model.path == "native" and not model.remote

    def thinks(self, model: FakeModel) -> bool:
        """True when the model will think: unless told otherwise, and gpt-oss even then."""
        if not model.can("thinking") or self.raw:
            return False
        return model.gpt_oss or self.think is None or bool(self.think)

    def thinks_first(self, model: FakeModel) -> bool:
        """True when a format waits, unread, for the end of the thinking: the rendered path."""
        return self.endpoint == "chat" and model.path == "rendered" and self.thinks(model)

    @property
    def images(self) -> list[str]:
        return [image for message in self.messages for image in message.get("images") or ()]

    @property
    def last(self) -> dict[str, Any]:
        return self.messages[-1] if self.messages else {}

    @property
    def prefill(self) -> str:
        """The begun answer: the text of a last turn that is the assistant's."""
        if self.last.get("role") != "assistant" or self.last.get("tool_calls"):
            return ""
        return str(self.last["content"])

    @property
    def question(self) -> str:
        """The user's last words."""
        for message in reversed(self.messages):
            if message["role"] == "user":
                return str(message["content"])
        return ""


def parse_chat(raw: bytes) -> Call:
    """Read a chat request. Raises Refused."""
    body = parse_fields(raw, "ChatRequest", CHAT)
    call = _common("chat", body)
    call.messages = body.get("messages", [])
    call.tools = body.get("tools", [])
    return call


def parse_generate(raw: bytes) -> Call:
    """Read a generate request. Raises Refused."""
    body = parse_fields(raw, "GenerateRequest", GENERATE)
    call = _common("generate", body)
    call.raw = body.get("raw", False)
    call.suffix = body.get("suffix", "")
    if call.raw and any(body.get(name) for name in ("template", "system", "context")):
        raise Refused(400, "raw mode does not support template, system, or context")
    prompt = body.get("prompt", "")
    if prompt or body.get("images"):
        if body.get("system"):
            call.messages.append({"role": "system", "content": body["system"]})
        turn = {"role": "user", "content": prompt, "images": body.get("images", [])}
        call.messages.append(turn)
    return call


def _common(endpoint: Endpoint, body: dict[str, Any]) -> Call:
    top_logprobs = body.get("top_logprobs", 0)
    if not 0 <= top_logprobs <= 20:
        raise Refused(400, "top_logprobs must be between 0 and 20")
    return Call(
        endpoint,
        body.get("model", ""),
        [],
        stream=body.get("stream", True),
        think=body.get("think"),
        format=body.get("format"),
        options=body.get("options", {}),
        keep_alive_s=body.get("keep_alive"),
        truncate=body.get("truncate", True),
        shift=body.get("shift"),
        logprobs=body.get("logprobs", False),
        top_logprobs=top_logprobs,
        debug=body.get("_debug_render_only", False),
        body=body,
    )
