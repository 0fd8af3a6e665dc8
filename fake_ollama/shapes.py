"""Reply objects with Ollama's fields in its order, empty ones left out (``api/types.go``)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fake_ollama.calls import Call
from fake_ollama.encoding import ZERO_TIME, rfc3339
from fake_ollama.models import FakeModel


@dataclass(frozen=True, slots=True)
class Piece:
    """What one line brings. ``tokens`` are the model's own, before any parser."""

    thinking: str = ""
    content: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    logprobs: tuple[dict[str, Any], ...] = ()
    role: str = "assistant"


@dataclass(frozen=True, slots=True)
class Ending:
    """The done line: why, and the counters. Zeros are left out."""

    done_reason: str = "stop"
    load_duration: int = 0
    prompt_eval_count: int = 0
    cached_count: int | None = None
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    total_duration: int = 0
    context: tuple[int, ...] = ()
    override: Mapping[str, Any] = field(default_factory=dict)


def line(
    call: Call, model: FakeModel, piece: Piece, ending: Ending | None = None
) -> dict[str, Any]:
    """Give the object of one line."""
    made: dict[str, Any] = {
        "model": echoed_name(call.name, model),
        **remote_fields(model, call.name),
    }
    made["created_at"] = rfc3339()
    if call.endpoint == "chat":
        _chat(made, piece, ending)
    else:
        _generate(made, piece, ending)
    if ending is not None:
        for name, value in ending.override.items():
            if value is None:
                made.pop(name, None)
            else:
                made[name] = value
    return made


def echoed_name(name: str, model: FakeModel) -> str:
    """The name in replies: as it was sent, but a cloud answer has it without the suffix."""
    return model.base_name if is_proxied(model, name) else name


def is_proxied(model: FakeModel, name: str) -> bool:
    """True when the cloud's own reply is passed on unchanged."""
    return model.remote and name.lower().endswith(("-cloud", ":cloud"))


def remote_fields(model: FakeModel, name: str) -> dict[str, str]:
    if not model.remote or is_proxied(model, name):
        return {}
    return {"remote_model": model.base_name, "remote_host": model.remote_host}


def load_object(call: Call, reason: str) -> dict[str, Any]:
    """Give the reply to a request that only loads or unloads."""
    made: dict[str, Any] = {"model": call.name, "created_at": rfc3339()}
    if call.endpoint == "chat":
        made["message"] = {"role": "assistant", "content": ""}
    else:
        made["response"] = ""
    return {**made, "done": True, "done_reason": reason}


def fold(lines: Iterable[dict[str, Any]], call: Call) -> dict[str, Any]:
    """Join the lines into the one object of a request without streaming."""
    last: dict[str, Any] = {}
    thinking, content = "", ""
    calls: list[Any] = []
    logprobs: list[Any] = []
    for one in lines:
        last = one
        part = one.get("message", one)
        thinking += part.get("thinking", "")
        content += part.get("content", "") if "message" in one else part.get("response", "")
        calls += part.get("tool_calls", ())
        logprobs += one.get("logprobs", ())
    if not last:
        return _zero(call)
    return _joined(last, thinking, content, calls if call.tools else [], logprobs)


def _zero(call: Call) -> dict[str, Any]:
    """What Go's zero value looks like: the reply of a run that brought nothing."""
    if call.endpoint == "chat":
        said: dict[str, Any] = {"message": {"role": "", "content": ""}}
    else:
        said = {"response": ""}
    return {"model": "", "created_at": ZERO_TIME, **said, "done": False}


def _joined(
    last: dict[str, Any], thinking: str, content: str, calls: list[Any], logprobs: list[Any]
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in last.items():
        if name == "message":
            made[name] = _message(thinking, content, calls, value.get("role", "assistant"))
        elif name == "response":
            made[name] = content
            if thinking:
                made["thinking"] = thinking
        elif name not in ("thinking", "logprobs"):
            made[name] = value
        if name in ("done", "done_reason") and logprobs and "message" in made:
            made.pop("logprobs", None)
            made["logprobs"] = logprobs
    if logprobs and "message" not in made:
        made["logprobs"] = logprobs
    return made


def _message(thinking: str, content: str, calls: Iterable[Any], role: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": role, "content": content}
    if thinking:
        message["thinking"] = thinking
    gathered = list(calls)
    if gathered:
        message["tool_calls"] = gathered
    return message


def _chat(made: dict[str, Any], piece: Piece, ending: Ending | None) -> None:
    made["message"] = _message(piece.thinking, piece.content, piece.tool_calls, piece.role)
    made["done"] = ending is not None
    if ending is not None and ending.done_reason:
        made["done_reason"] = ending.done_reason
    if piece.logprobs:
        made["logprobs"] = list(piece.logprobs)
    if ending is not None:
        made.update(_counters(ending))


def _generate(made: dict[str, Any], piece: Piece, ending: Ending | None) -> None:
    made["response"] = piece.content
    if piece.thinking:
        made["thinking"] = piece.thinking
    made["done"] = ending is not None
    if ending is not None:
        if ending.done_reason:
            made["done_reason"] = ending.done_reason
        if ending.context:
            made["context"] = list(ending.context)
        made.update(_counters(ending))
        if piece.tool_calls:
            made["tool_calls"] = list(piece.tool_calls)
    if piece.logprobs:
        made["logprobs"] = list(piece.logprobs)


def _counters(ending: Ending) -> dict[str, int]:
    values = {
        "total_duration": ending.total_duration,
        "load_duration": ending.load_duration,
        "prompt_eval_count": ending.prompt_eval_count,
        "prompt_eval_cached_count": ending.cached_count,
        "prompt_eval_duration": ending.prompt_eval_duration,
        "eval_count": ending.eval_count,
        "eval_duration": ending.eval_duration,
    }
    return {
        name: value
        for name, value in values.items()
        if value or (name == "prompt_eval_cached_count" and value is not None)
    }


def debug_object(call: Call, prompt: str) -> dict[str, Any]:
    """Give the reply to ``_debug_render_only``."""
    info: dict[str, Any] = {"rendered_template": prompt}
    if call.images:
        info["image_count"] = len(call.images)
    made: dict[str, Any] = {"model": call.name, "created_at": rfc3339()}
    if call.endpoint == "chat":
        made["message"] = {"role": "", "content": ""}
    else:
        made["response"] = ""
    return {**made, "done": False, "_debug_info": info}


def as_endpoint(recorded: dict[str, Any], call: Call, name: str) -> dict[str, Any]:
    """Give a recorded line under another model's name, in the form of the endpoint asked."""
    if "error" in recorded or "done" not in recorded:
        return recorded
    made: dict[str, Any] = json.loads(json.dumps(recorded))
    made["model"] = name
    if call.endpoint == "chat" and "response" in made:
        parts = {key: made.pop(key, None) for key in ("response", "thinking", "tool_calls")}
        message = _message(
            parts["thinking"] or "", parts["response"], parts["tool_calls"] or (), "assistant"
        )
        made.pop("context", None)
        return _inserted(made, {"message": message})
    if call.endpoint == "generate" and "message" in made:
        message = made.pop("message")
        said = {"response": message.get("content", "")}
        if message.get("thinking"):
            said["thinking"] = message["thinking"]
        return _inserted(made, said)
    return made


def _inserted(made: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in made.items():
        if name == "done":
            out.update(said)
        out[name] = value
    return out
