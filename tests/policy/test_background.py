"""Which calls are small ones beside a conversation, and which belong to one session."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.chat import Call, CompletionRequest, Params
from gateway.dialects.base import Dialect
from gateway.dialects.chat.dialect import CHAT
from gateway.dialects.messages.dialect import MESSAGES
from gateway.dialects.responses.dialect import RESPONSES
from gateway.policy import background
from tests.dialects.making import HELLO, PNG, reading

CLAUDE, BROWSER = "claude-cli/2.1.197 (external, cli)", "Mozilla/5.0"
TOOL = {"name": "shell", "input_schema": {"type": "object"}}
PICTURE = {
    "role": "user",
    "content": [{"type": "image", "source": {"type": "base64", "data": PNG}}],
}


def schema(*fields: str) -> dict[str, Any]:
    properties = {name: {"type": "string"} for name in fields}
    return {"type": "json_schema", "schema": {"type": "object", "properties": properties}}


MESSAGES_CASES: list[tuple[str, dict[str, Any], str, bool]] = [
    ("a check of the quota", {"model": "qwen3:8b", "max_tokens": 1}, CLAUDE, True),
    ("a topic", {"model": "claude-3-5-haiku-20241022", "max_tokens": 512, "tools": []}, CLAUDE,
     True),
    ("a title", {"max_tokens": 32_000, "output_config": {"format": schema("title")}}, CLAUDE, True),
    ("a title and a branch", {"output_config": {"format": schema("title", "branch")}}, CLAUDE,
     True),
    ("asked for by role", {"model": "haiku", "max_tokens": 100}, BROWSER, True),
    ("by the other role", {"model": "small-fast", "max_tokens": 100}, BROWSER, True),
    ("a turn of the conversation", {"max_tokens": 32_000, "tools": [TOOL]}, CLAUDE, False),
    ("small, but with tools", {"model": "haiku", "max_tokens": 100, "tools": [TOOL]}, CLAUDE,
     False),
    ("a large answer", {"model": "haiku", "max_tokens": 513}, CLAUDE, False),
    ("no limit", {"model": "haiku"}, CLAUDE, False),
    ("a form with more", {"output_config": {"format": schema("title", "essay")}}, CLAUDE, False),
    ("a form with nothing", {"output_config": {"format": schema()}}, CLAUDE, False),
    ("small, of another client", {"model": "qwen3:8b", "max_tokens": 100}, BROWSER, False),
    ("another role", {"model": "claude-opus-4-1", "max_tokens": 100}, BROWSER, False),
    ("a picture", {"model": "haiku", "max_tokens": 100, "messages": [PICTURE]}, CLAUDE, False),
]  # fmt: skip


def parsed(dialect: Dialect, body: dict[str, Any]) -> Call:
    return dialect.parse({"model": "qwen3:8b", **body}, reading())


@pytest.mark.parametrize(("body", "application", "wanted"), [row[1:] for row in MESSAGES_CASES],
                         ids=[row[0] for row in MESSAGES_CASES])  # fmt: skip
def test_small_calls_beside_a_conversation_are_told_by_what_they_ask_for(
    body: dict[str, Any], application: str, wanted: bool
) -> None:
    call = parsed(MESSAGES, {"messages": list(HELLO), **body})

    assert background.is_background(call, application) is wanted


def test_the_other_apis_are_read_alike() -> None:
    chat = parsed(CHAT, {"model": "haiku", "messages": list(HELLO), "max_completion_tokens": 20})
    two = parsed(CHAT, {"model": "haiku", "messages": list(HELLO), "max_tokens": 20, "n": 2})
    responses = parsed(RESPONSES, {"input": "Hi", "max_output_tokens": 20})
    completion = Call(CompletionRequest("haiku", ("Hi",), Params(options={"num_predict": 20})))

    assert background.is_background(chat, BROWSER)
    assert background.is_background(responses, "codex_cli_rs/0.171.0")
    assert not background.is_background(two, BROWSER)
    assert not background.is_background(completion, BROWSER)


SESSIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"metadata": {"user_id": "user_1"}, "prompt_cache_key": "k"}, "h", "user_1"),
    ({"metadata": {"user_id": ["no text"]}, "prompt_cache_key": "k"}, "h", "k"),
    ({"metadata": "no object"}, "h", "h"),
    ({}, "", "10.0.0.7"),
    ({"prompt_cache_key": "x" * 300}, "", "x" * 256),
]


@pytest.mark.parametrize(("body", "header", "wanted"), SESSIONS)
def test_a_session_is_what_its_client_calls_it(
    body: dict[str, Any], header: str, wanted: str
) -> None:
    assert background.session_of(body, header, "10.0.0.7") == wanted
