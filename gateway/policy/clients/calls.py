"""The calls that clients make, as bodies in the language of each API.

The question is one a model answers in a few words; with the tool it can only be answered by calling
it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from gateway.core.chat import Json
from gateway.core.events import ToolCallDone

_MOST_TOKENS: Final = 1024
"""Enough for a model that thinks first."""
_HELLO: Final = "Say hello in one word."
_ASK: Final = "What is the weather in Berlin? Use get_weather."
_ANSWER: Final = "Sunny, 21 degrees."
_NAME, _ABOUT = "get_weather", "Return the weather of a city."
_PARAMETERS: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
_FUNCTION: Final = {"name": _NAME, "description": _ABOUT, "parameters": _PARAMETERS}
_TOOLS: Final[Mapping[str, Json]] = {
    "chat": {"type": "function", "function": _FUNCTION},
    "api_chat": {"type": "function", "function": _FUNCTION},
    "responses": {"type": "function", **_FUNCTION},
    "messages": {"name": _NAME, "description": _ABOUT, "input_schema": _PARAMETERS},
}
_LIMITS: Final[Mapping[str, Json]] = {
    "chat": {"max_tokens": _MOST_TOKENS},
    "api_chat": {"options": {"num_predict": _MOST_TOKENS}},
    "responses": {"max_output_tokens": _MOST_TOKENS, "store": False},
    "messages": {"max_tokens": _MOST_TOKENS},
}


def hello(dialect: str, model: str, *, stream: bool) -> dict[str, Json]:
    """Return the body of a plain question."""
    return _body(dialect, model, [{"role": "user", "content": _HELLO}], stream=stream)


def with_tool(dialect: str, model: str) -> dict[str, Json]:
    """Return the body of a question that needs a tool."""
    asked: list[Json] = [{"role": "user", "content": _ASK}]
    return {**_body(dialect, model, asked), "tools": [_TOOLS[dialect]]}


def with_result(dialect: str, model: str, call: ToolCallDone) -> dict[str, Json]:
    """Return the body that brings the result of the tool call which a model answered with."""
    turns = [{"role": "user", "content": _ASK}, *_RESULTS[dialect](call)]
    return {**_body(dialect, model, turns), "tools": [_TOOLS[dialect]]}


def text_to_embed(model: str) -> dict[str, Json]:
    """Return the body that asks for a vector, the same in both APIs."""
    return {"model": model, "input": "Hello!"}


def _body(dialect: str, model: str, turns: list[Json], *, stream: bool = True) -> dict[str, Json]:
    name = "input" if dialect == "responses" else "messages"
    return {"model": model, name: turns, "stream": stream, **_LIMITS[dialect]}


def _in_chat(call: ToolCallDone) -> list[Json]:
    function = {"name": call.name, "arguments": call.arguments}
    calls = [{"id": call.id, "type": "function", "function": function}]
    return [
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": call.id, "content": _ANSWER},
    ]


def _in_responses(call: ToolCallDone) -> list[Json]:
    named = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
    return [
        {"type": "function_call", **named},
        {"type": "function_call_output", "call_id": call.id, "output": _ANSWER},
    ]


def _in_messages(call: ToolCallDone) -> list[Json]:
    used = {"type": "tool_use", "id": call.id, "name": call.name}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": _ANSWER}
    return [
        {"role": "assistant", "content": [{**used, "input": json.loads(call.arguments)}]},
        {"role": "user", "content": [result]},
    ]


def _in_ollama(call: ToolCallDone) -> list[Json]:
    function = {"name": call.name, "arguments": json.loads(call.arguments)}
    return [
        {"role": "assistant", "content": "", "tool_calls": [{"function": function}]},
        {"role": "tool", "tool_name": call.name, "content": _ANSWER},
    ]


_RESULTS: Final[Mapping[str, Callable[[ToolCallDone], list[Json]]]] = {
    "chat": _in_chat,
    "api_chat": _in_ollama,
    "responses": _in_responses,
    "messages": _in_messages,
}
