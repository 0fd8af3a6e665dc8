"""What is said and what opens doors stays out of logs, database, metrics and console (http-3,
http-4, supply-3): a run over everything that can go well or wrong, then a search for what was
planted."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import requests

from fake_ollama import DEFAULT_MODELS, FAULTS, FakeModel, FakeOllama, Fault, Script, error
from tests.integration.conftest import Caller, Operator
from tests.support.asking import GENERATING
from tests.support.process import ADMIN_PASSWORD, Gateway, until
from tests.support.wire import post

pytestmark = pytest.mark.process

WORDS = [
    "prompt", "system", "answer", "thought", "argument", "result", "tool-text", "image-text",
    "file-text", "output", "upstream-text", "cookie", "header", "query", "traceparent",
    "body-field", "embed", "upstream-pass", "foreign-key", "metadata-value",
]  # fmt: skip
CANARY = {word: f"canary-{word}-{number:04d}" for number, word in enumerate(WORDS, 4711)}
EYES = FakeModel("qwen3-vl:8b", ("completion", "tools", "vision", "thinking"))
TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "description": CANARY["tool-text"],
        "parameters": {"type": "object", "properties": {"where": {"type": "string"}}},
    },
}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQ"
    "AAAABJRU5ErkJggg=="
)
IMAGE = base64.b64encode(PNG + CANARY["image-text"].encode()).decode()
HEADERS = {
    "Cookie": f"session={CANARY['cookie']}",
    "X-Anything": CANARY["header"],
    "traceparent": CANARY["traceparent"],
    "Referer": f"http://a.example/{CANARY['header']}",
    "api-key": f"sk-{CANARY['foreign-key']}",
}


def _chat(**more: Any) -> dict[str, Any]:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}
    file_data = base64.b64encode(CANARY["file-text"].encode()).decode()
    return {
        "model": "qwen3-vl:8b",
        "messages": [
            {"role": "system", "content": CANARY["system"]},
            {"role": "user", "content": [
                {"type": "text", "text": CANARY["prompt"]}, image,
                {"type": "file", "file": {"filename": "a.txt", "file_data": file_data}}]},
            {"role": "assistant", "content": None, "reasoning_content": CANARY["thought"],
             "tool_calls": [{"id": "call_1", "type": "function", "function": {
                 "name": "look", "arguments": json.dumps({"where": CANARY["argument"]})}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": CANARY["result"]},
        ],
        "tools": [TOOL],
        "metadata": {"note": CANARY["metadata-value"]},
        "unknown_field": CANARY["body-field"],
        **more,
    }  # fmt: skip


BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": _chat(),
    "/v1/completions": {
        "model": "llama3.2", "prompt": CANARY["prompt"], "system": CANARY["system"],
    },
    "/v1/responses": {
        "model": "llama3.2", "input": CANARY["prompt"], "instructions": CANARY["system"],
        "store": False, "metadata": {"note": CANARY["metadata-value"]},
    },
    "/v1/messages": {
        "model": "llama3.2", "max_tokens": 50, "system": CANARY["system"],
        "messages": [{"role": "user", "content": CANARY["prompt"]}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    },
    "/api/chat": {
        "model": "llama3.2", "stream": False, "messages": [
            {"role": "system", "content": CANARY["system"]},
            {"role": "user", "content": CANARY["prompt"]},
        ],
    },
    "/api/generate": {
        "model": "llama3.2", "stream": False, "prompt": CANARY["prompt"],
        "system": CANARY["system"],
    },
    "/api/embed": {"model": "nomic-embed-text", "input": [CANARY["embed"]]},
    "/v1/embeddings": {"model": "nomic-embed-text", "input": [CANARY["embed"]]},
    "/v1/messages/count_tokens": {
        "model": "llama3.2", "messages": [{"role": "user", "content": CANARY["prompt"]}],
    },
}  # fmt: skip
WRONG: list[dict[str, Any]] = [
    {"model": "nobody"},
    {"temperature": CANARY["body-field"]},
    {"tool_choice": {"type": "function", "function": {"name": "nowhere"}}},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {
        "url": f"http://127.0.0.1:9/{CANARY['query']}.png"}}]}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {
        "url": f"data:image/png;base64,*{CANARY['image-text']}"}}]}]},
]  # fmt: skip
SAID = Script(
    content=f"Well: {CANARY['answer']}",
    thinking=CANARY["thought"],
    tool_calls=[("look", {"where": CANARY["argument"]})],
)
FAILURES: list[Script] = [
    Script(
        content=CANARY["answer"],
        fault=Fault(kind, after=2, size=4096, data=CANARY["output"].encode(),
                    message=f"error parsing tool call: raw='{CANARY['output']}', err=EOF"),
    )
    for kind in FAULTS
    if kind not in {"no_headers", "silent_after", "drip_headers", "redirect_307", "huge_line"}
] + [
    Script(fault=error(500, f"error parsing tool call: raw='{CANARY['output']}', err=EOF")),
    Script(fault=error(500, f'invalid tool call arguments: {{"where": "{CANARY["output"]}"}}')),
    Script(fault=Fault("status", status=500, body=f"<html>{CANARY['upstream-text']}</html>")),
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Operator, str]]:
    """A gateway after a run over everything, with what it gave to strangers; it logs all it can."""
    folder = tmp_path_factory.mktemp("secrets") / "data"
    given: list[str] = []
    with ExitStack() as stack:
        ollama = stack.enter_context(FakeOllama([*DEFAULT_MODELS, EYES]))
        env = {"LOG_LEVEL": "debug", "LOG_FORMAT": "json"}
        gateway = stack.enter_context(Gateway(folder, ollama_url=ollama.url, env=env))
        operator = Operator(gateway)
        stack.callback(operator.close)
        caller = Caller(gateway, stack)
        until(lambda: caller.ask("GET", "/v1/models").json["data"], "the models")
        (server,) = operator.call("GET", "/servers")["data"]
        secret = {"auth_header": f"X-Upstream: {CANARY['upstream-pass']}"}
        operator.call("PATCH", f"/servers/{server['id']}", secret)
        _ask_everything(caller, operator, ollama, given)
        caller.ask("GET", "/healthz")
        given.append(requests.get(f"{gateway.url}/metrics", timeout=10).text)
        yield gateway, operator, "\n".join(given)


def _ask_everything(
    caller: Caller, operator: Operator, ollama: FakeOllama, given: list[str]
) -> None:
    with operator.settings(
        request_timeout_ms=2_000, idle_timeout_s=2, stream_commit_ms=200, queue_max_wait_s=1
    ):
        for path, body in BODIES.items():
            for stream in (False, True):
                asked = {**body, "stream": stream} if path in _STREAMED else body
                ollama.script("*", SAID)
                assert caller.post(path, asked, HEADERS).status == 200
                for failure in FAILURES:
                    ollama.script("*", failure)
                    _error(given, caller.post(path, asked, HEADERS))
            ollama.reset()
            for wrong in WRONG:
                _error(given, caller.post(path, {**body, **wrong}, HEADERS))
            caller.post(path, json.dumps(body).encode()[:-9], HEADERS)
            caller.post(f"{path}?key={CANARY['query']}", body, {"Authorization": ""})
        _leave(caller, ollama)
    caller.ask("GET", "/v1/models", {"Authorization": f"Bearer sk-{CANARY['foreign-key']}"})
    caller.ask("GET", f"/v1/{CANARY['query']}?prompt={CANARY['prompt']}")
    wire = caller.wire()
    wire.send(f"GET / HTTP/1.1\r\nAuthorization: Bearer {caller.key}\x1b\r\n\r\n".encode())
    wire.reply()


_STREAMED = [endpoint.path for endpoint in GENERATING.values()]


def _error(given: list[str], reply: Any) -> None:
    """Keep what a refusal says beside a caller's own text."""
    given.append(json.dumps(dict(reply.headers)))


def _leave(caller: Caller, ollama: FakeOllama) -> None:
    for path in _STREAMED:
        with ollama.hold(BODIES[path]["model"], at=1) as gate:
            wire = caller.wire()
            wire.send(post(path, {**BODIES[path], "stream": True}, caller.key, HEADERS))
            gate.wait_reached()
            wire.sock.close()
            ollama.wait_disconnect()


def _hits(text: str) -> list[str]:
    """Give every planted word that stands in a text, with what is around it."""
    found = []
    for canary in CANARY.values():
        for form in (canary, base64.b64encode(canary.encode()).decode()[4:-4]):
            found += [text[max(0, at.start() - 80) : at.end() + 40]
                      for at in re.finditer(re.escape(form), text)]  # fmt: skip
    return found


def test_the_log_holds_nothing_of_it(run: tuple[Gateway, Operator, str]) -> None:
    gateway, _, _ = run
    log = "".join(gateway.log)

    assert log.count("\n") > 300, "the run left no traces to search"
    assert _hits(log) == []
    assert gateway.key not in log
    assert ADMIN_PASSWORD not in log


def test_the_database_holds_nothing_of_it(run: tuple[Gateway, Operator, str]) -> None:
    gateway, operator, _ = run
    until(lambda: operator.call("GET", "/health")["running"] == 0, "the end of all calls")
    with closing(sqlite3.connect(gateway.folder / "gateway.db")) as database:
        text = "\n".join(_without_servers(line) for line in database.iterdump())

    assert text.count('INSERT INTO "request_log"') > 300
    assert _hits(text) == []
    assert gateway.key not in text
    assert ADMIN_PASSWORD not in text


def _without_servers(line: str) -> str:
    """Leave out the one place where an upstream's own password must stand."""
    return "" if line.startswith('INSERT INTO "server"') else line


def test_no_file_but_the_database_holds_anything(run: tuple[Gateway, Operator, str]) -> None:
    gateway, _, _ = run
    for file in sorted(Path(gateway.folder).rglob("*")):
        if file.is_file() and not file.name.startswith("gateway.db"):
            raw = file.read_bytes().decode("latin-1")
            assert _hits(raw) == [], file.name
            assert gateway.key not in raw, file.name


def test_nobody_else_is_told_any_of_it(run: tuple[Gateway, Operator, str]) -> None:
    gateway, operator, given = run
    shown = [
        operator.call("GET", path)
        for path in ("/requests?limit=200", "/live", "/keys", "/servers", "/audit", "/settings")
    ]
    text = given + json.dumps(shown)

    assert _hits(text) == []
    assert gateway.key not in text
