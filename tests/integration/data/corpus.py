"""Real bodies of every endpoint, and the ways they are spoilt."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.integration.clients.things import CHAT_TOOL, CITY, CLAUDE_TOOL, FLAT_TOOL, RED_DOT

PICTURE = f"data:image/png;base64,{RED_DOT}"
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Oban"}'},
}
EXTRAS: dict[str, Any] = {
    "temperature": 0.5, "top_p": 0.9, "top_k": 40, "seed": 7, "stop": ["END"], "max_tokens": 20,
    "n": 2, "logprobs": True, "top_logprobs": 2, "num_ctx": 4096, "keep_alive": "5m",
    "options": {"min_p": 0.1, "num_predict": 5}, "think": False, "reasoning_effort": "low",
    "reasoning": {"effort": "high", "exclude": True}, "extra_body": {"mirostat": 1},
    "metadata": {"timeout_ms": "5000"}, "stream_options": {"include_usage": True},
    "response_format": {"type": "json_object"}, "user": "somebody", "stream": True,
    "chat_template_kwargs": {"enable_thinking": False}, "format": "json", "truncate": True,
    "presence_penalty": 0.1, "parallel_tool_calls": False, "timeout_ms": 5000, "logit_bias": {},
    "functions": [{"name": "f", "parameters": CITY}], "function_call": "auto",
    "tool_choice": "auto", "service_tier": "auto", "store": True, "verbosity": "low",
    "guided_json": CITY, "repetition_penalty": 1.1, "include_reasoning": False, "raw": True,
}  # fmt: skip

CORPUS: dict[str, list[dict[str, Any]]] = {
    "/v1/chat/completions": [
        {"model": "llama3.2", "messages": [{"role": "user", "content": "Hello?"}]},
        {
            "model": "qwen3:8b",
            "stream": True,
            "messages": [
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": [{"type": "text", "text": "Hello?", "x": 1}]},
                {"role": "assistant", "content": None, "tool_calls": [CALL],
                 "reasoning_content": "Hm."},
                {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            ],
            "tools": [CHAT_TOOL, {"type": "custom", "custom": {"name": "patch"}}],
            "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        },
        {
            "model": "llava:7b",
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "This?"},
                    {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
                    {"type": "file", "file": {"file_data": "data:text/plain;base64,YQ==",
                                              "filename": "a.txt"}},
                ]},
            ],
        },
        {
            "model": "gemma3:4b",
            "messages": [{"role": "user", "content": "Which city?"}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "city", "strict": True, "schema": {
                    **CITY, "$defs": {"a": {"type": "string"}},
                    "properties": {"city": {"$ref": "#/$defs/a"}, "b": {"oneOf": [True, {}]}},
                }},
            },
        },
    ],
    "/v1/completions": [
        {"model": "qwen2.5-coder:7b", "prompt": "Hello"},
        {"model": "qwen2.5-coder:7b", "prompt": ["a", "b"], "suffix": "c", "n": 2,
         "stream": True},
        {"model": "qwen3:8b", "prompt": "<|im_start|>", "echo": True, "best_of": 1,
         "system": "s"},
    ],
    "/v1/embeddings": [
        {"model": "nomic-embed-text", "input": "Hello"},
        {"model": "all-minilm", "input": ["a", "b"], "encoding_format": "base64",
         "dimensions": 64},
    ],
    "/v1/responses": [
        {"model": "llama3.2", "input": "Hello?"},
        {
            "model": "qwen3:8b",
            "stream": True,
            "instructions": "Be kind.",
            "store": False,
            "input": [
                {"role": "user", "content": [
                    {"type": "input_text", "text": "Hello?"},
                {"type": "input_file", "filename": "a.md", "file_data": "YQ=="},
                ]},
                {"type": "reasoning", "id": "rs_1", "summary": [
                    {"type": "summary_text", "text": "Hm."}], "encrypted_content": "ogw1.SG0u"},
                {"type": "function_call", "call_id": "c", "name": "get_weather",
                 "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "rain"},
                {"type": "custom_tool_call", "call_id": "d", "name": "patch", "input": "x"},
                {"type": "custom_tool_call_output", "call_id": "d", "output": "ok"},
                {"type": "web_search_call", "id": "ws"},
                {"type": "additional_tools", "tools": [FLAT_TOOL]},
            ],
            "tools": [FLAT_TOOL, {"type": "custom", "name": "patch"}, {"type": "web_search"},
                      {"type": "namespace", "name": "sea", "tools": [FLAT_TOOL]}],
            "include": ["reasoning.encrypted_content"],
            "text": {"format": {"type": "json_schema", "name": "c", "schema": CITY}},
            "reasoning": {"effort": "low", "summary": "auto"},
            "metadata": {"a": "b"},
            "truncation": "auto",
        },
    ],
    "/v1/messages": [
        {"model": "llama3.2", "max_tokens": 20,
         "messages": [{"role": "user", "content": "Hello?"}]},
        {
            "model": "qwen3:8b",
            "max_tokens": 20,
            "stream": True,
            "system": [{"type": "text", "text": "Be kind.",
                        "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "Hello?"},
                    {"type": "document", "title": "t", "source": {
                        "type": "text", "media_type": "text/plain", "data": "d"}},
                ]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "ogw.x"},
                    {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True,
                     "content": [{"type": "text", "text": "rain"}]},
                ]},
                {"role": "system", "content": "9 left"},
            ],
            "tools": [CLAUDE_TOOL, {"type": "bash_20250124", "name": "bash"}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "stop_sequences": ["END"],
            "output_config": {"effort": "low"},
            "metadata": {"user_id": "u"},
        },
        {
            "model": "llava:7b",
            "max_tokens": 20,
            "messages": [{"role": "user", "content": [{"type": "image", "source": {
                "type": "base64", "media_type": "image/png", "data": RED_DOT}}]}],
        },
    ],
}  # fmt: skip
CORPUS["/v1/messages/count_tokens"] = CORPUS["/v1/messages"]
CORPUS["/v1/responses/input_tokens"] = CORPUS["/v1/responses"]

JUNK: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**70), 0.1, 1e308, -0.0, "", " ", "x",
    "0", "-1", "1e9", "true", "NaN", "\x00", "\ufeff", "\u202e", "\r\nX: y", "a" * 5000, "{", "[]",
    "data:", "data:image/png;base64,", "data:text/plain,x", "http://", "file:///etc/passwd",
    "http://127.0.0.1:9/x.png", "../../x", "'; DROP TABLE keys;--", "<script>", "{{7*7}}",
    "%s%n", "\U0001f9ed" * 20, [], [[]], [None], [1, "a", {}], {}, {"": ""}, {"type": None},
    {"type": "x"}, {"a": {"b": {"c": []}}}, {"$ref": "#"}, {"$ref": "#/$defs/x"},
    {"type": ["object", "null"]}, {"anyOf": [{"$ref": "#"}]}, [{"type": "text"}],
    [{"type": "text", "text": None}], {"role": "user", "content": [[]]}, "llama3.2", "gpt-4",
    {"__proto__": 1, "constructor": 2}, ["a"] * 300, {str(n): n for n in range(100)},
]  # fmt: skip
"""What stands where something else was meant."""

Slot = tuple[Any, Any]


def spoilt(rng: random.Random, endpoint: str) -> bytes:
    """Give a body that was right and had a few things done to it."""
    other = rng.random() < 0.02
    body = json.loads(json.dumps(rng.choice(CORPUS[rng.choice(list(CORPUS)) if other else
                                                   endpoint])))  # fmt: skip
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
        body = _spoil(rng, body)
    raw = json.dumps(body, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    return _scratch(rng, raw) if rng.random() < 0.08 else raw


def _spoil(rng: random.Random, body: dict[str, Any]) -> dict[str, Any]:
    slots = _slots(body)
    if rng.random() < 0.25 or not slots:
        name = rng.choice(list(EXTRAS))
        body[name] = EXTRAS[name] if rng.random() < 0.6 else rng.choice(JUNK)
        return json.loads(json.dumps(body))
    holder, key = rng.choice(slots)
    match rng.randrange(8):
        case 0:
            del holder[key]
        case 1 | 2 | 3:
            holder[key] = rng.choice(JUNK)
        case 4:
            holder[key] = [holder[key]]
        case 5 if isinstance(holder, list):
            holder.extend([holder[key]] * rng.choice((1, 2, 40)))
        case 6 if isinstance(holder, dict):
            holder[rng.choice((f"{key}x", str(key).upper(), ""))] = holder.pop(key)
        case _:
            other, name = rng.choice(slots)
            holder[key] = rng.choice((json.dumps(other[name]), {"value": holder[key]}))
    # A copy, so that what stands in two places is two things.
    return json.loads(json.dumps(body))


def _slots(value: Any) -> list[Slot]:
    """Give every place in a JSON value, as its holder and the key in it."""
    found: list[Slot] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        for key in keys:
            found.append((holder, key))
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])
    return found


def _scratch(rng: random.Random, raw: bytes) -> bytes:
    """Change, lose or repeat some bytes."""
    at = rng.randrange(len(raw) + 1)
    match rng.randrange(4):
        case 0:
            return raw[:at]
        case 1:
            return raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1 :]
        case 2:
            return raw[:at] + raw[at:][:20] * 3 + raw[at:]
        case _:
            return rng.choice((b"", b"\xef\xbb\xbf", b"\x00", b"[", b'{"a":')) + raw
