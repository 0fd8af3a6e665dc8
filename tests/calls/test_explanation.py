"""What a record says of what went to Ollama: always little, and all of it where texts are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from fake_ollama import FakeOllama
from gateway.calls.explanation import MAX_CHARS, Sent, explain
from gateway.calls.prepare import PreparedCall
from gateway.core.chat import Call, ChatRequest, EmbedRequest, Message, Params, Tool
from gateway.core.options import KEYS, OPTIONS
from gateway.core.usage import Settlement
from gateway.policy.overrides.apply import Change, Layers, apply
from gateway.schemas.settings import RuntimeSettings
from tests.api.apps import application
from tests.calls.bench import Bench, read, read_vectors, start
from tests.policy.values import key, model

CANARY = "the-hidden-bay"
PNG = "data:image/png;base64,iVBORw0KGgoAAAAAAAAAAAAAAAAAAAAA"


def prepared(request: ChatRequest, layers: Layers | None = None) -> PreparedCall:
    applied = apply(request, layers or Layers(), RuntimeSettings(allow_client_runner_options=True))
    return PreparedCall(
        Call(request),
        key(),
        model(),
        applied.request,
        said=applied.said,
        provenance=applied.provenance,
        changes=applied.changes,
    )


def test_what_is_in_force_stands_with_who_decided_it() -> None:
    messages = (Message("system", "Be brief."), Message("user", "Hello?"), Message("user", "You?"))
    options = {"temperature": 0.2, "stop": [CANARY, "x"], CANARY: 1}
    request = ChatRequest("m", messages, Params(options=options), (Tool(CANARY),))
    call = prepared(request, Layers(model={"num_ctx": 8_192, "think": False}))
    found = explain(call, Sent(call, call.request))

    assert found == {
        "params": {
            "think": [False, "model"],
            "truncate": [False, ""],
            "num_ctx": [8_192, "model"],
            "temperature": [0.2, "request"],
            "stop": [{"texts": 2, "characters": len(CANARY) + 1}, "request"],
        },
        "sent": {
            "model": "llama3.2:latest",
            "path": "/api/chat",
            "messages": {"system": 1, "user": 2},
            "tools": 1,
            "images": 0,
            "characters": 19,
        },
    }


def test_a_record_stays_small_whatever_was_asked() -> None:
    made_up = {f"{number}{'x' * 5_000}": CANARY * 100 for number in range(10_000)}
    known = dict.fromkeys(OPTIONS, 1.234567890123456e300)
    schema = {"type": "object", "description": CANARY}
    params = Params(options={**made_up, **known}, keep_alive="1h" * 400, format=schema)
    request = ChatRequest("m" * 5_000, (Message("user", CANARY),), params)
    call = prepared(request, Layers(key_forced=dict.fromkeys(OPTIONS, 1e300)))
    changes = [Change(name, "forced") for name in (*KEYS, *made_up)]
    call = replace(call, model=model("n" * 5_000), changes=tuple(changes))
    found = explain(call, Sent(call, request))
    text = orjson.dumps(found).decode()

    assert len(text) <= MAX_CHARS
    assert found["left_out"] > 10
    assert CANARY not in text
    assert "xxxx" not in text


def settled(bench: Bench, chosen: PreparedCall) -> Settlement:
    with bench.call(chosen) as active:
        start(active)
        read(active)
    return bench.records.settled[-1]


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])
def test_the_body_as_it_was_sent_is_kept_where_texts_are(
    tmp_path: Path, ollama: FakeOllama, kept: bool
) -> None:
    content = [
        {"type": "text", "text": CANARY},
        {"type": "image_url", "image_url": {"url": PNG}},
    ]
    messages: Any = [{"role": "user", "content": content}]
    tools = [{"type": "function", "function": {"name": "look"}}]
    with application(tmp_path, ollama) as app:
        bench = Bench(app.services, log_bodies=kept)
        record = settled(bench, bench.chat("gemma3:4b", messages=messages, seed=3))
        with_tools = settled(bench, bench.chat("llama3.2", tools=tools))
        sent = ollama.calls("/api/chat")[0].json

    assert CANARY not in json.dumps(record.explain)
    assert record.explain["sent"]["images"] == 1
    assert with_tools.explain["sent"]["tools"] == 1
    if kept:
        sent["messages"][0]["images"] = ["(image of 24 bytes)"]
        assert json.loads(record.upstream_body or "") == sent
        assert json.loads(with_tools.upstream_body or "")["tools"][0]["function"]["name"] == "look"
    else:
        assert record.upstream_body is None


def test_the_last_choice_and_the_last_prompt_are_what_is_said(
    tmp_path: Path, ollama: FakeOllama
) -> None:
    with application(tmp_path, ollama) as app:
        bench = Bench(app.services, log_bodies=True)
        record = settled(bench, bench.chat("llama3.2", n=3, seed=5))

    assert record.upstream_calls == 3
    assert record.explain["params"]["seed"] == [7, "request"]
    assert json.loads(record.upstream_body or "")["options"]["seed"] == 7


def test_embeddings_are_explained_too(tmp_path: Path, ollama: FakeOllama) -> None:
    with application(tmp_path, ollama) as app:
        bench = Bench(app.services)
        chosen, request = bench.embedding("nomic-embed-text", CANARY, "two")
        assert isinstance(request, EmbedRequest)
        with bench.call(chosen) as active:
            read_vectors(active, request)
        (record,) = bench.records.settled

    assert record.explain["sent"] == {
        "model": "nomic-embed-text:latest",
        "path": "/api/embed",
        "texts": 2,
        "characters": len(CANARY) + 3,
    }


def test_a_bound_of_a_budget_and_a_pinned_model_are_named(
    tmp_path: Path, ollama: FakeOllama
) -> None:
    with application(tmp_path, ollama) as app:
        server_ids = list(app.services.scheduler.servers)
        app.services.operations.loading.pin("llama3.2:latest", server_ids, True)
        bench = Bench(app.services, budgets=[{"metric": "tokens", "period": "day", "limit": 50}])
        record = settled(bench, bench.chat("llama3.2"))

    assert record.explain["params"]["num_predict"][1] == "budget"
    assert record.explain["params"]["keep_alive"] == [-1, "pinned"]
