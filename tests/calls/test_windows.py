"""Three clients with different wishes and prompts of every length, on one model of the fake, which
loads, cuts and refuses as Ollama does."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from fake_ollama import FakeOllama, Script
from gateway.core.admin import SYSTEM
from gateway.core.chat import ChatRequest
from gateway.errors import InvalidRequest
from tests.api.apps import APIS, App, application, told
from tests.calls.bench import Bench, read, start

MODEL = "qwen2.5-coder:7b"  # rendered: Ollama cuts by itself
STEPS = (1_024, 2_048, 4_096)
CALLS = int(os.environ.get("WINDOW_CALLS", "150"))
WORDS = ["harbour", "tide", "lantern", "gull", "mooring", "chart", "fog", "bell", "buoy", "anchor"]


def with_policy(app: App, **override: object) -> None:
    (model,) = [one for one in app.services.catalog.models() if one.name == MODEL]
    app.services.models.update(model.id, {"override": override}, SYSTEM)
    app.services.catalog.reload()


@pytest.mark.parametrize("policy", ["error", "grow"])
def test_nothing_is_cut_what_fits_is_answered_and_clients_do_not_fight(
    tmp_path: Path, ollama: FakeOllama, policy: str
) -> None:
    chance = random.Random(policy)
    refused, answered = [], []
    with application(tmp_path, ollama) as app:
        with_policy(app, context_policy=policy, context_steps=list(STEPS))
        for _ in range(CALLS):
            words = int(chance.lognormvariate(6.5, 0.9))
            client = chance.choice([{}, {"num_ctx": 1_500}, {"options": {"num_ctx": 4_000}}])
            text = " ".join(chance.choices(WORDS, k=words))
            answer = app.post(
                "/v1/chat/completions",
                {
                    "model": MODEL,
                    "messages": [{"role": "user", "content": text}],
                    "max_tokens": 8,
                    **client,
                },
            )
            sent = ollama.calls("/api/chat")[-1].json
            assert sent["truncate"] is False
            assert sent["options"]["num_ctx"] in STEPS
            if answer.status_code == 200:
                answered.append((words, answer.get_json()["usage"]["prompt_tokens"]))
            else:
                refused.append((words, sent["options"]["num_ctx"], told(answer)))

    overhead = {tokens - words for words, tokens in answered}
    assert overhead == {min(overhead)}  # every word was read
    assert {error["code"] for _, _, error in refused} <= {"context_length_exceeded"}
    for words, window, error in refused:
        assert words + min(overhead) >= window
        assert str(words + min(overhead)) in error["message"]
        if policy == "grow":
            assert window == STEPS[-1]
    assert ollama.reload_count(MODEL) <= len(STEPS) - 1
    assert answered
    assert refused


def test_the_window_that_was_chosen_is_told(tmp_path: Path, ollama: FakeOllama) -> None:
    with application(tmp_path, ollama) as app:
        with_policy(app, context_policy="grow", context_steps=list(STEPS))
        bench = Bench(app.services)
        active = bench.call(bench.chat(MODEL, " ".join(WORDS * 150), num_ctx=1_024))
        with active:
            start(active)
            read(active)
            headers = active.headers()
        (record,) = bench.records.settled

    assert headers["x-gateway-context"] == f"{record.prompt_tokens}/4096"
    assert record.explain["params"]["num_ctx"] == [4_096, "steps"]


def test_a_long_prompt_is_refused_unless_the_policy_allows_to_cut_it(
    tmp_path: Path, ollama: FakeOllama
) -> None:
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "tide " * 3_000}],
        "num_ctx": 1_024,
        "max_tokens": 8,
    }
    with application(tmp_path, ollama) as app:
        by_default = app.post("/v1/chat/completions", body)
        with_policy(app, context_policy="allow")
        allowed = app.post("/v1/chat/completions", body)
        sent = ollama.calls("/api/chat")[-1].json

    assert by_default.status_code == 400
    assert told(by_default)["code"] == "context_length_exceeded"
    assert "1024" in told(by_default)["message"]
    assert allowed.status_code == 200
    assert allowed.get_json()["usage"]["prompt_tokens"] < 1_024
    assert "truncate" not in sent


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_every_api_refuses_with_the_numbers_and_grows(
    tmp_path: Path, ollama: FakeOllama, api: str, stream: bool
) -> None:
    text = " ".join(WORDS * 150)
    prompt = {"completions": {"prompt": text}, "responses": {"input": text}}.get(
        api, {"messages": [{"role": "user", "content": text}]}
    )
    wish = {"model": MODEL, "num_ctx": 1_024, "max_tokens": 8, "stream": stream, **prompt}
    if api == "responses":
        del wish["max_tokens"]
    with application(tmp_path, ollama) as app:
        refused = app.ask(api, **wish)
        with_policy(app, context_policy="grow", context_steps=list(STEPS))
        grown = app.ask(api, **wish)
    sent = [call.json for call in ollama.requests if call.path in ("/api/chat", "/api/generate")]

    assert refused.status_code == 400
    assert "1024" in told(refused)["message"]
    assert grown.status_code == 200
    assert {one["truncate"] for one in sent} == {False}
    assert 1_500 < sent[-1]["options"]["num_ctx"] in STEPS


def test_an_answer_that_has_begun_is_not_given_twice(tmp_path: Path, ollama: FakeOllama) -> None:
    lines = [
        {"message": {"role": "assistant", "content": "Low tide"}, "done": False},
        {"error": "request (1500 tokens) exceeds the available context size (1024 tokens)"},
    ]
    recording = tmp_path / "overflow.ndjson"
    recording.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    ollama.script(MODEL, Script(ndjson=recording))
    with application(tmp_path / "data", ollama) as app:
        with_policy(app, context_policy="grow", context_steps=list(STEPS))
        answer = app.ask("chat", model=MODEL, stream=True)

    assert answer.get_data(as_text=True).count("Low tide") == 1
    assert told(answer)["code"] == "context_length_exceeded"
    assert len(ollama.calls("/api/chat")) == 1


@pytest.mark.parametrize(
    ("override", "window"),
    [
        ({"context_policy": "grow"}, STEPS[0]),
        ({"context_policy": "error"}, STEPS[-1]),
        ({"context_policy": "error", "num_ctx": 900}, STEPS[0]),
        ({"context_policy": "allow", "num_ctx": 900}, 900),
    ],
)
def test_a_load_sends_the_window_that_calls_get(
    tmp_path: Path, ollama: FakeOllama, override: dict[str, object], window: int
) -> None:
    with application(tmp_path, ollama) as app:
        with_policy(app, context_steps=list(STEPS), **override)
        params = app.services.operations.loading.params(ChatRequest(MODEL, ()), 1, None)

    assert params.options["num_ctx"] == window


def test_a_step_beyond_what_the_model_knows_is_refused(tmp_path: Path, ollama: FakeOllama) -> None:
    with application(tmp_path, ollama) as app:
        with pytest.raises(InvalidRequest, match="context_steps: must not be beyond the 32768"):
            with_policy(app, context_steps=[8_192, 65_536])
        with_policy(app, context_steps=[8_192, 32_768])
