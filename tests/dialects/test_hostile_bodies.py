"""Whatever JSON arrives, a parser gives a call or a refusal: never another exception.

Rich, valid bodies are spoilt in one or a few random places, so that the damage reaches every
corner of the parsers.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import dialects
from gateway.core.chat import DecisionRequest, Envelope
from gateway.core.events import Finish, Reply, ToolCallDone
from gateway.dialects.base import Reading, frames
from gateway.dialects.responses import stored as responses_stored
from gateway.errors import InvalidRequest
from gateway.ollama import wire
from gateway.policy import estimate
from gateway.schemas.settings import RuntimeSettings

PNG = "iVBORw0KGgoAAAAAAAAAAA=="
SCHEMA = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {}}}
RECALLED: Sequence[Mapping[str, Any]] = (
    {"id": "msg_1", "type": "message", "role": "user", "content": "earlier"},
)
READING = Reading(RuntimeSettings(), lambda _: RECALLED, lambda _: RECALLED[0])
COMMON = {
    "model": "m",
    "stream": False,
    "options": {"num_ctx": 4096, "stop": ["a"]},
    "extra_body": {"keep_alive": "5m", "options": {"seed": 1}},
    "metadata": {"user_id": "u", "timeout_ms": "5"},
}
MESSAGES = {
    **COMMON,
    "max_tokens": 5,
    "temperature": 0.5,
    "stop_sequences": ["</b>"],
    "system": [{"type": "text", "text": "x-anthropic-billing-header: 1"}],
    "thinking": {"type": "enabled", "budget_tokens": 5, "display": "omitted"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    "tools": [
        {"name": "f", "description": "d", "input_schema": SCHEMA},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "web_search_20250305", "name": "s"},
        {"type": "function", "function": {"name": "g", "parameters": SCHEMA}},
    ],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "messages": [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "a"},
                {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "s1",
                    "content": [{"title": "t", "url": "https://x.test"}],
                },
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "is_error": True,
                    "content": [
                        {"type": "text", "text": "a"},
                        {"type": "image", "source": {"type": "base64", "data": PNG}},
                        {"type": "document", "source": {"type": "text", "data": "d"}},
                        {"type": "search_result", "title": "t", "source": "s", "content": []},
                        {"type": "tool_reference", "tool_name": "n"},
                    ],
                },
                {
                    "type": "web_fetch_tool_result",
                    "tool_use_id": "t2",
                    "content": {"url": "u", "content": {"title": "t", "source": {"type": "text"}}},
                },
                {"type": "code_execution_tool_result", "content": {"stdout": "o", "stderr": "e"}},
                {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
                {
                    "type": "document",
                    "title": "t",
                    "source": {"type": "content", "content": [{"type": "text", "text": "a"}]},
                },
                {"type": "document", "source": {"type": "base64", "data": PNG}},
            ],
        },
        {"role": "system", "content": [{"type": "text", "text": "note"}]},
    ],
}
RESPONSES = {
    **COMMON,
    "instructions": "i",
    "max_output_tokens": 5,
    "previous_response_id": "resp_1",
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
    "include": ["reasoning.encrypted_content"],
    "truncation": "auto",
    "top_logprobs": 2,
    "user": "u",
    "tools": [
        {"type": "function", "name": "f", "parameters": SCHEMA},
        {"type": "custom", "name": "c", "format": {"type": "grammar", "definition": "d"}},
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f"}]},
        {"type": "web_search"},
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "f"}, {"name": "f", "namespace": "n"}],
    },
    "input": [
        {"role": "developer", "content": "d"},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "a"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
                {"type": "input_file", "file_data": "aGVsbG8=", "filename": "a.txt"},
                {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
            ],
        },
        {
            "type": "reasoning",
            "encrypted_content": "ogw1.aGVsbG8=",
            "summary": [{"type": "summary_text", "text": "s"}],
            "content": [{"type": "reasoning_text", "text": "c"}],
        },
        {"type": "function_call", "call_id": "1", "name": "f", "namespace": "n", "arguments": "{}"},
        {
            "type": "function_call_output",
            "call_id": "1",
            "output": [{"type": "input_text", "text": "a"}, {"type": "odd"}],
        },
        {"type": "custom_tool_call", "call_id": "2", "name": "c", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "2", "output": "y"},
        {"type": "item_reference", "id": "msg_1"},
        {"type": "additional_tools", "tools": [{"type": "function", "name": "h"}]},
        {
            "type": "configuration_update",
            "reasoning": {"effort": "high"},
            "text": {"format": {"type": "text"}},
        },
        {"type": "mcp_call", "id": "3", "name": "m", "arguments": "{}", "error": {"a": 1}},
        {"type": "local_shell_call", "call_id": "4", "action": {"command": ["ls"]}},
        {"type": "local_shell_call_output", "id": "4", "output": "x"},
        {"type": "computer_call", "call_id": "5", "actions": []},
        {
            "type": "computer_call_output",
            "call_id": "5",
            "output": {"type": "computer_screenshot", "image_url": f"data:image/png;base64,{PNG}"},
        },
        {"type": "web_search_call", "id": "6"},
    ],
}
REPLY = Reply("a", "b", (ToolCallDone("", "c", '{"input":"x"}'),), (), Finish("stop"))
MISSING = object()


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Give every (container, key) inside a JSON value."""
    entries: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    for key, inner in entries:
        yield value, key
        yield from places(inner)


WRONG = st.one_of(
    st.just(MISSING),
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(
        [
            "text", "image", "document", "tool_result", "file", "url", "content", "base64",
            "custom", "namespace", "function", "message", "item_reference", "computer_20250124",
            "input_file", "auto", "required", "disabled", "json_schema", "user", "assistant",
        ]
    ),
    st.lists(st.none() | st.text(max_size=3) | st.integers(0, 9), max_size=2),
    st.dictionaries(st.sampled_from(["type", "name", "text"]), st.text(max_size=5), max_size=2),
)  # fmt: skip


def spoil(body: Any, damage: Sequence[tuple[int, Any]]) -> Any:
    """Put each wrong value into the place of its number."""
    spoilt = copy.deepcopy(body)
    for number, wrong in damage:
        found = list(places(spoilt))
        container, key = found[number % len(found)]
        if wrong is not MISSING:
            container[key] = wrong
        elif isinstance(container, dict):
            del container[key]
        else:
            container.pop(key)
    # As it would come over the wire.
    return orjson.loads(orjson.dumps(spoilt))


def outcome(dialect: Any, body: Any) -> InvalidRequest | None:
    """Parse a body and answer it; what is answered, kept or refused must be JSON."""
    try:
        call = dialect.parse(body, READING)
    except InvalidRequest as error:
        orjson.dumps(dialect.error_body(error, "req_1"))
        return error
    if isinstance(call, DecisionRequest):
        json.loads(wire.encode(call, "m"))
        assert len(estimate.texts_of(call)) == len(call.questions) + 1
        return None
    envelope = Envelope("0123456789abcdef01234567", 1, call, "req_1")
    answer = dialect.render([REPLY], envelope)
    orjson.dumps(answer)
    b"".join(frames(dialect.writer(envelope), [[(0, [REPLY.finish])]]))
    if "output" in answer:
        kept = responses_stored.to_keep(envelope, answer)
        orjson.dumps(kept and (kept.input_items, kept.output_items))
    return None


API_CHAT = {
    "model": "m",
    "stream": False,
    "options": {"temperature": 0.5, "stop": ["x"], "num_ctx": 2048},
    "format": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {}}},
    "think": "high",
    "keep_alive": "5m",
    "logprobs": True,
    "top_logprobs": 2,
    "messages": [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "What is this?", "images": [PNG]},
        {"role": "assistant", "thinking": "Hm.", "tool_calls": [
            {"id": "c", "function": {"name": "tide", "arguments": {"port": "Oban"}}}]},
        {"role": "tool", "tool_name": "tide", "content": "06:12"},
    ],
    "tools": [{"type": "function", "function": {"name": "tide", "parameters": {"type": "object"}}}],
}  # fmt: skip
API_GENERATE = {
    "model": "m",
    "prompt": "What is this?",
    "suffix": "x",
    "system": "Be short.",
    "template": "{{ .Prompt }}",
    "images": [PNG],
    "context": [1, 2],
    "options": {"seed": 3},
}
PART = {"type": "input_text", "text": "x"}
DECISIONS = {
    **COMMON,
    "input": [
        {"type": "message", "role": "user", "content": [PART, {"type": "input_json", "data": {}}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": [PART]},
    ],
    "questions": [
        {"type": "predicate", "name": "a", "instructions": [PART]},
        {"type": "choice", "instructions": "b", "choices": [{"value": True}, {"value": "true"}]},
        {"type": "score", "instructions": "c", "levels": [{"label": "x"}, {"label": "y"}]},
    ],
}
SYSTEMONE = {
    **COMMON,
    "state": {"a": ["b"]},
    "questions": {
        "a": {"type": "noul", "instructions": ["x"], "criteria": {"false": "x", "true": "y"}},
        "b": {"type": "choice", "instructions": "y", "criteria": {"x": None, "y": "z"}},
        "c": {"type": "score", "instructions": {"z": 1}, "criteria": ["x", "y"]},
    },
}
DIALECTS: dict[str, Any] = {
    "decisions": (dialects.DECISIONS, DECISIONS),
    "Ollama's decisions": (dialects.SYSTEMONE, SYSTEMONE),
    "Ollama's generate": (dialects.API_GENERATE, API_GENERATE),
    "Ollama's chat": (dialects.API_CHAT, API_CHAT),
    "messages": (dialects.MESSAGES, MESSAGES),
    "responses": (dialects.RESPONSES, RESPONSES),
}


@pytest.mark.parametrize(("dialect", "body"), DIALECTS.values(), ids=DIALECTS)
def test_the_unspoilt_body_is_read(dialect: Any, body: Any) -> None:
    assert outcome(dialect, body) is None


@pytest.mark.parametrize(("dialect", "body"), DIALECTS.values(), ids=DIALECTS)
def test_a_spoilt_body_is_read_or_refused(dialect: Any, body: Any) -> None:
    @settings(
        deadline=None, max_examples=300, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(st.lists(st.tuples(st.integers(0, 2**16), WRONG), min_size=1, max_size=3))
    def check(damage: list[tuple[int, Any]]) -> None:
        error = outcome(dialect, spoil(body, damage))

        assert error is None or (error.status == 400 and error.message)

    check()
