"""Prompts and answers are kept where an admin switched that on, and nowhere else (http-4)."""

from __future__ import annotations

import os
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from fake_ollama import FakeOllama, Script, error
from gateway.admin.usage import commands
from tests.integration.conftest import Caller, Operator, Records
from tests.support.asking import GENERATING

pytestmark = pytest.mark.process

CHAT = GENERATING["chat"]
SAID = [{"role": "user", "content": "When is low tide?"}]


@pytest.fixture
def ollama(ollama: FakeOllama) -> FakeOllama:
    ollama.script("llama3.2", Script(content="At six."))
    return ollama


def _texts(records: Records, reply: Any) -> tuple[Any, Any]:
    found = records.detail(reply)
    return found["request_body"], found["response_body"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_nothing_is_kept_by_itself(
    caller: Caller, ollama: FakeOllama, records: Records, stream: bool
) -> None:
    reply = caller.post(CHAT.path, CHAT.with_(messages=SAID, stream=stream))

    assert _texts(records, reply) == (None, None)


CASES = {
    "switched on for all": (True, None, True),
    "on for all but this key": (True, False, False),
    "on for this key alone": (False, True, True),
}


@pytest.mark.parametrize(("everybody", "this_key", "kept"), CASES.values(), ids=CASES)
def test_a_key_may_differ_from_the_rest(
    caller: Caller, operator: Operator, ollama: FakeOllama, records: Records,
    everybody: bool, this_key: bool | None, kept: bool,
) -> None:  # fmt: skip
    key = operator.key(log_bodies=this_key)
    with operator.settings(log_bodies=everybody):
        reply = caller.post(CHAT.path, CHAT.with_(messages=SAID, stream=True), key=key)

    asked, answered = _texts(records, reply)
    assert ("low tide" in (asked or ""), answered == "At six.") == (kept, kept)


def test_what_is_kept_has_a_limit(
    caller: Caller, operator: Operator, ollama: FakeOllama, records: Records
) -> None:
    ollama.script("llama3.2", Script(content="on and on " * 500))
    long = [{"role": "user", "content": "x" * 5000}]
    with operator.settings(log_bodies=True, body_max_kb=1):
        reply = caller.post(CHAT.path, CHAT.with_(messages=long))

    asked, answered = _texts(records, reply)
    assert (len(asked), len(answered)) == (1024, 1024)


def test_a_failure_keeps_what_was_asked(
    caller: Caller, operator: Operator, ollama: FakeOllama, records: Records
) -> None:
    ollama.script("llama3.2", Script(fault=error(500, "no")))
    with operator.settings(log_bodies=True):
        reply = caller.post(CHAT.path, CHAT.with_(messages=SAID))

    asked, answered = _texts(records, reply)
    assert "low tide" in asked
    assert not answered


def test_a_kept_request_can_be_repeated_from_a_shell(
    caller: Caller, operator: Operator, ollama: FakeOllama, records: Records
) -> None:
    awkward = [{"role": "user", "content": 'it\'s "low"\n tide, $KEY `id` \\ 漢'}]
    with operator.settings(log_bodies=True):
        found = records.detail(caller.post(CHAT.path, CHAT.with_(messages=awkward, seed=3)))
    call: Any = SimpleNamespace(**{**found, "row": SimpleNamespace(**found["row"])})
    command = commands.for_gateway(call, caller.gateway.url)
    assert command is not None
    environ = {**os.environ, "KEY": caller.key, "no_proxy": "*"}
    said = subprocess.run(
        ["bash"], input=command.text.encode(), env=environ, check=True, capture_output=True
    )
    first, second = (call.json for call in ollama.calls("/api/chat"))

    assert b"At six." in said.stdout
    assert first == second
    assert second["messages"] == awkward
