"""What coding agents really send, turn by turn, as seen from Claude Code 2.1 and Codex 0.169."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_ollama import FakeOllama, Script
from tests.integration.clients.things import sent
from tests.integration.conftest import Caller

pytestmark = pytest.mark.process

SHELL = {
    "name": "Bash",
    "description": "Run a command.",
    "input_schema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"command": {"type": "string"}, "timeout": {"type": "number"}},
        "required": ["command"],
        "additionalProperties": False,
    },
}
CACHED = {"cache_control": {"type": "ephemeral"}}
CLAUDE_HEADERS = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,effort-2025-11-24",
    "anthropic-dangerous-direct-browser-access": "true",
    "x-app": "cli",
    "x-stainless-lang": "js",
}


def turn(number: int, *messages: dict[str, Any], model: str = "qwen3:8b") -> dict[str, Any]:
    """Give a request of the main loop: its first lines change with every one."""
    return {
        "model": model,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<system-reminder>\nA note.\n</system-reminder>"},
                    {"type": "text", "text": "What is the tide?"},
                ],
            },
            {"role": "system", "content": "Agents for the Agent tool: none."},
            *messages,
        ],
        "system": [
            {"type": "text", "text": f"x-anthropic-billing-header: cc_version=2.1.{number};"},
            {"type": "text", "text": "You are an agent.", **CACHED},
            {"type": "text", "text": "Be brief.", **CACHED},
        ],
        "tools": [SHELL],
        "metadata": {"user_id": '{"device_id":"d","session_id":"s"}'},
        "max_tokens": 32000,
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "stream": True,
    }


def events(body: bytes) -> list[Any]:
    """Give the data of each event of a stream."""
    lines = body.decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def blocks(body: bytes) -> list[dict[str, Any]]:
    """Put the blocks of a Messages stream together as Claude Code does, to send them back."""
    found: list[dict[str, Any]] = []
    texts: dict[int, str] = {}
    for event in events(body):
        match event:
            case {"type": "content_block_start", "content_block": block}:
                found.append(block)
            case {"type": "content_block_delta", "index": at, "delta": delta}:
                match delta:
                    case {"type": "input_json_delta", "partial_json": text}:
                        texts[at] = texts.get(at, "") + text
                    case {"type": "signature_delta", "signature": signature}:
                        found[at]["signature"] = signature
                    case {"type": "thinking_delta", "thinking": text}:
                        found[at]["thinking"] += text
                    case {"type": "text_delta", "text": text}:
                        found[at]["text"] += text
    for at, text in texts.items():
        found[at]["input"] = json.loads(text)
    return found


def test_a_tool_loop_of_claude_code_keeps_the_prompt_cache(
    caller: Caller, ollama: FakeOllama
) -> None:
    ollama.script(
        "qwen3:8b",
        Script(thinking="Ask.", content="I look.", tool_calls=[("Bash", {"command": "tide"})]),
        Script(thinking="Six.", content="At six."),
    )
    path = "/v1/messages?beta=true"

    first = caller.post(path, turn(1), CLAUDE_HEADERS)
    said = blocks(first.body)
    result = {
        "tool_use_id": said[-1]["id"],
        "type": "tool_result",
        "content": "low at six",
        "is_error": False,
        **CACHED,
    }
    second = caller.post(
        path,
        turn(2, {"role": "assistant", "content": said}, {"role": "user", "content": [result]}),
        CLAUDE_HEADERS,
    )

    assert [block["type"] for block in said] == ["thinking", "text", "tool_use"]
    assert said[-1]["input"] == {"command": "tide"}
    assert first.headers["x-gateway-ignored"] == "context_management"
    assert [block["type"] for block in blocks(second.body)] == ["thinking", "text"]
    one, two = (sent(ollama, at)["messages"] for at in (-2, -1))
    assert two[: len(one)] == one
    assert one[0] == {"role": "system", "content": "You are an agent.\n\nBe brief."}
    assert one[1]["content"].endswith(
        "<system-reminder>\nAgents for the Agent tool: none.\n</system-reminder>"
    )
    assert [message["role"] for message in two] == ["system", "user", "assistant", "tool"]
    assert two[2]["thinking"] == "Ask."
    assert (two[3]["tool_name"], two[3]["content"]) == ("Bash", "low at six")
    assert sent(ollama)["think"] == "high"


def test_claude_code_asks_a_small_model_for_a_title(caller: Caller, ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(content='{"title": "Low tide"}'))
    schema = {
        "type": "object",
        "properties": {"title": {"type": "string"}},
        "required": ["title"],
        "additionalProperties": False,
    }
    body = {
        "model": "llama3.2",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Name it."}]}],
        "system": [{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1;"}],
        "max_tokens": 32000,
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": schema}},
        "stream": True,
    }

    reply = caller.post("/v1/messages?beta=true", body, CLAUDE_HEADERS)

    assert json.loads(blocks(reply.body)[0]["text"]) == {"title": "Low tide"}
    asked = sent(ollama)
    assert asked["format"] == schema
    assert "think" not in asked  # an effort is no reason to fail on a model that cannot think
    assert [message["role"] for message in asked["messages"]] == ["user"]


def item(role: str, *texts: str) -> dict[str, Any]:
    return {
        "type": "message",
        "id": f"msg_{role}_{len(texts)}",
        "role": role,
        "content": [{"type": "input_text", "text": text} for text in texts],
    }


PROGRAM = {
    "type": "custom",
    "name": "exec",
    "description": "Run a program.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: SOURCE"},
}
WAIT = {
    "type": "function",
    "name": "wait",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"cell_id": {"type": "string"}},
        "required": ["cell_id"],
        "additionalProperties": False,
    },
}


def codex(*items: dict[str, Any]) -> dict[str, Any]:
    """Give a request as Codex writes it for a model it knows: even its tools are an item."""
    namespace = {"type": "namespace", "name": "functions", "description": ""}
    return {
        "model": "gpt-oss:20b",
        "stream": True,
        "input": [
            {
                "type": "additional_tools",
                "id": "at_1",
                "role": "developer",
                "tools": [{**namespace, "tools": [PROGRAM, WAIT]}],
            },
            item("developer", "You code."),
            item("developer", "Skills: none.", "Sandbox: none."),
            item("user", "What is the tide?"),
            *items,
        ],
        "tools": [{"type": "web_search", "external_web_access": False}],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low", "summary": "auto"},
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "a-session",
        "text": {"verbosity": "low"},
        "client_metadata": {"session_id": "a-session"},
    }


def test_a_tool_loop_of_codex_comes_back_as_it_went(caller: Caller, ollama: FakeOllama) -> None:
    ollama.script(
        "gpt-oss:20b",
        Script(thinking="Ask.", tool_calls=[("functions__exec", {"input": "tide()"})]),
        Script(thinking="Six.", content="At six."),
    )

    first = caller.post("/v1/responses", codex())
    done = [each["item"] for each in events(first.body) if "item.done" in each["type"]]
    reasoning, call = done
    output = {
        "type": "custom_tool_call_output",
        "call_id": call["call_id"],
        "output": [{"type": "input_text", "text": "low at six"}],
    }
    replayed = {**reasoning, "content": None}
    second = caller.post("/v1/responses", codex(replayed, call, output))

    assert first.headers["x-gateway-ignored"] == "tools[0]:web_search"
    assert (call["type"], call["namespace"], call["name"], call["input"]) == (
        "custom_tool_call",
        "functions",
        "exec",
        "tide()",
    )
    last = events(second.body)[-1]
    assert last["type"] == "response.completed"
    assert last["response"]["output"][-1]["content"][0]["text"] == "At six."
    asked = sent(ollama)
    assert [tool["function"]["name"] for tool in asked["tools"]] == [
        "functions__exec",
        "functions__wait",
    ]
    assert asked["think"] == "low"
    *_, turn_before, result = asked["messages"]
    assert turn_before["thinking"] == "Ask."
    assert turn_before["tool_calls"][0]["function"]["arguments"] == {"input": "tide()"}
    assert (result["tool_name"], result["content"]) == ("functions__exec", "low at six")
    missing = caller.ask("GET", f"/v1/responses/{last['response']['id']}")
    assert missing.status == 404  # `store` was false
