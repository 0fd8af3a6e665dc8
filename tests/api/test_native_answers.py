"""What Ollama answers reaches a client of its own API as it is: the same request to the fake and
through the gateway, compared line by line (docs/contract/native.md says what differs)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import requests

from fake_ollama import FakeOllama, Fault, Script, error
from gateway.core.admin import SYSTEM
from gateway.scheduling.servers import ServerState
from gateway.schemas.key import DEFAULT_SCOPES
from tests.api.apps import App, application
from tests.integration.clients.things import RED_DOT

TURN = [{"role": "user", "content": "When is low tide?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "tide",
        "description": "Tide times",
        "parameters": {"type": "object", "properties": {"port": {"type": "string"}}},
    },
}
CALLS = [
    {"name": "tide", "arguments": {"port": "Oban"}, "id": "call_1"},
    {"name": "tide", "arguments": {}, "id": ""},
]
HISTORY = [
    {"role": "SYSTEM", "content": "Be short."},
    *TURN,
    {"role": "assistant", "thinking": "Hm.", "tool_calls": [
        {"id": "c1", "function": {"index": 0, "name": "tide", "arguments": {"port": "Oban"}}}]},
    {"role": "tool", "content": "06:12", "tool_name": "tide", "tool_call_id": "c1"},
]  # fmt: skip
CHATS: dict[str, tuple[str, Script, dict[str, Any]]] = {
    "text": ("llama3.2", Script(content="Low tide at <six> & more ☂"), {}),
    "nothing": ("llama3.2", Script(content=""), {}),
    "cut short": ("llama3.2", Script(content="Low", done_reason="length"), {}),
    "cached": ("llama3.2", Script(content="Low", cached_count=7), {}),
    "thinking": ("qwen3:8b", Script(thinking="Hm, a time.", content="Six."), {"think": True}),
    "a level": ("qwen3:8b", Script(thinking="Hm.", content="Six."), {"think": "high"}),
    "no thinking": ("qwen3:8b", Script(content="Six."), {"think": False}),
    "calls": ("qwen3:8b", Script(content="See: ", tool_calls=CALLS), {"tools": [TOOL]}),
    "a history": ("qwen3:8b", Script(content="Six."), {"messages": HISTORY, "tools": [TOOL]}),
    "a schema": ("llama3.2", Script(content='{"at": 6}'), {"format": {"type": "object"}}),
    "any object": ("llama3.2", Script(content='{"at": 6}'), {"format": "json"}),
    "log-probabilities": (
        "llama3.2", Script(content="Low tide"), {"logprobs": True, "top_logprobs": 2}),
    "options": (
        "llama3.2", Script(content="Low"),
        {"options": {"temperature": 0, "stop": ["x"], "num_predict": 9}, "keep_alive": "5m",
         "truncate": True, "shift": True}),
}  # fmt: skip


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, shared_ollama: FakeOllama) -> Iterator[App]:
    """The application as Ollama is by itself: it cuts prompts and has no overrides."""
    shared_ollama.reset()
    with application(tmp_path_factory.mktemp("native"), shared_ollama) as made:
        made.set(context_policy="allow")
        yield made


@pytest.mark.parametrize("stream", [True, False, None], ids=["streamed", "whole", "by default"])
@pytest.mark.parametrize("case", CHATS)
def test_a_chat_is_answered_as_by_ollama(
    app: App, ollama: FakeOllama, case: str, stream: bool | None
) -> None:
    model, script, more = CHATS[case]
    body = {"model": model, "messages": TURN, "stream": stream, **more}

    assert_same(app, ollama, "/api/chat", script, body)


GENERATED: dict[str, tuple[str, Script, dict[str, Any]]] = {
    "text": ("llama3.2", Script(content="Low tide"), {"system": "Be short."}),
    "a template": ("llama3.2", Script(content="Low"), {"template": "{{ .Prompt }}"}),
    "raw": ("llama3.2", Script(content="Low"), {"raw": True}),
    "a middle": ("qwen2.5-coder:7b", Script(content="x"), {"suffix": "return x"}),
    "thinking": ("qwen3:8b", Script(thinking="Hm.", content="Six."), {"think": True}),
    "tokens of before": ("llama3.2", Script(content="Low"), {"context": [1, 2, 3]}),
    "a picture": ("gemma3:4b", Script(content="A dot"), {"images": [RED_DOT]}),
    "log-probabilities": ("llama3.2", Script(content="Low tide"), {"logprobs": True}),
    "a schema": ("llama3.2", Script(content="{}"), {"format": {"type": "object"}}),
}


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("case", GENERATED)
def test_a_text_is_continued_as_by_ollama(
    app: App, ollama: FakeOllama, case: str, stream: bool
) -> None:
    model, script, more = GENERATED[case]
    body = {"model": model, "prompt": "When is low tide?", "stream": stream, **more}

    assert_same(app, ollama, "/api/generate", script, body)


EMBEDDED: dict[str, dict[str, Any]] = {
    "one text": {"input": "tide"},
    "several texts": {"input": ["tide", "", "sea"], "truncate": True},
    "shorter vectors": {"input": "tide", "dimensions": 8},
    "options": {"input": "tide", "options": {"num_ctx": 512}, "keep_alive": 60},
}


@pytest.mark.parametrize("case", EMBEDDED)
def test_vectors_are_those_of_ollama(app: App, ollama: FakeOllama, case: str) -> None:
    body = {"model": "nomic-embed-text", **EMBEDDED[case]}
    theirs = requests.post(f"{ollama.url}/api/embed", json=body, timeout=20).json()
    ours = app.post("/api/embed", body).get_json()

    assert ours["embeddings"] == theirs["embeddings"]
    assert ours["prompt_eval_count"] == theirs["prompt_eval_count"]
    assert ours.keys() == theirs.keys()


def test_the_older_path_gives_one_vector(app: App, ollama: FakeOllama) -> None:
    body = {"model": "nomic-embed-text", "prompt": "tide"}
    found = app.post("/api/embeddings", body).get_json()
    newer = app.post("/api/embed", {"model": "nomic-embed-text", "input": "tide"}).get_json()

    assert found == {"embedding": newer["embeddings"][0]}


LOADS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("chat", {}),
    "chat with an empty list": ("chat", {"messages": [], "keep_alive": "5m", "stream": True}),
    "generate": ("generate", {}),
    "generate with an empty prompt": ("generate", {"prompt": "", "options": {"num_ctx": 2048}}),
    "embed": ("embed", {}),
    "embed with an empty list": ("embed", {"input": []}),
    "embed with an empty text": ("embed", {"input": "", "keep_alive": 60}),
    "embeddings": ("embeddings", {"prompt": ""}),
}


@pytest.mark.parametrize("case", LOADS)
def test_without_a_prompt_a_model_is_loaded_where_the_key_may(
    app: App, ollama: FakeOllama, case: str
) -> None:
    name, more = LOADS[case]
    model = "nomic-embed-text" if "embed" in name else "qwen3:8b"
    body = {"model": model, **more}
    refused = app.post(f"/api/{name}", body)
    app.use_key(scopes=[*DEFAULT_SCOPES, "load"])
    ours = app.post(f"/api/{name}", body)
    loaded = {one.name.removesuffix(":latest") for one in server_of(app).client.ps()}
    unloading = app.post(f"/api/{name}", {**body, "keep_alive": "0s"})
    app.use_key()
    theirs = requests.post(f"{ollama.url}/api/{name}", json=body, timeout=20)

    assert refused.status_code == unloading.status_code == 403
    assert list(refused.get_json()) == list(unloading.get_json()) == ["error"]
    assert ours.mimetype == "application/json"
    assert without_time(ours.get_json()) == without_time(theirs.json())
    assert loaded == {model}


def test_a_load_is_none_that_answers(app: App, ollama: FakeOllama) -> None:
    model = next(one for one in app.services.catalog.models() if one.name == "gemma3:4b")
    override = {"system": "Say hello.", "think": False, "format": "json"}
    app.services.models.update(model.id, {"override": override}, SYSTEM)
    app.use_key(scopes=["chat", "load"])

    answer = app.post("/api/chat", {"model": "gemma3:4b"})
    app.use_key()

    assert answer.get_json()["done_reason"] == "load"
    assert all(not call.json["messages"] for call in ollama.calls("/api/chat"))


def test_a_failure_in_mid_stream_is_the_last_line(app: App, ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(content="Low tide", fault=Fault("error_line", after=2)))

    answer = app.post("/api/chat", {"model": "llama3.2", "messages": TURN})
    *lines, last = [orjson.loads(line) for line in answer.get_data().splitlines()]

    assert answer.status_code == 200
    assert [line["done"] for line in lines] == [False, False]
    assert list(last) == ["error"]


def test_a_failure_before_the_first_line_is_a_status(app: App, ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(fault=error(400, "no such thing")))

    answer = app.post("/api/chat", {"model": "llama3.2", "messages": TURN})

    assert answer.status_code == 400
    assert answer.get_json() == {"error": "no such thing"}


ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("chat", {"model": "llama3.2", "messages": TURN}),
    "generate": ("completions", {"model": "llama3.2", "prompt": "When?"}),
    "embed": ("embeddings", {"model": "nomic-embed-text", "input": "tide"}),
    "embeddings": ("embeddings", {"model": "nomic-embed-text", "prompt": "tide"}),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_call_has_the_scope_forced_values_limits_and_record_of_every_call(
    app: App, ollama: FakeOllama, name: str
) -> None:
    scope, body = ASKED[name]
    path = f"/api/{name}"
    app.use_key(scopes=[other for other in DEFAULT_SCOPES if other != scope])
    refused = app.post(path, body)
    app.use_key(scopes=[scope], requests_per_minute=1, forced_params={"num_ctx": 1024})
    answer = app.post(path, body)
    limited = app.post(path, body)
    app.use_key()
    found, sent = app.record(answer), ollama.requests[-1]

    assert refused.status_code == 403
    assert limited.status_code == 429
    assert list(limited.get_json()) == ["error"]
    assert limited.headers["x-ratelimit-limit-requests"] == "1"
    assert sent.json["options"]["num_ctx"] == 1024
    assert (found.row.endpoint, found.row.status) == (f"api_{name}", 200)
    assert found.row.prompt_tokens > 0


BAD: dict[str, dict[str, Any]] = {
    "messages of a wrong type": {"messages": "hello"},
    "a message that is none": {"messages": ["hello"]},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]},
    "a number for a text": {"messages": [{"role": "user", "content": 3}]},
    "no role": {"messages": [{"content": "hello"}]},
    "a role nobody has": {"messages": [{"role": "king", "content": "hello"}]},
    "an image that is none": {"messages": [{**TURN[0], "images": ["tide"]}]},
    "an image of a wrong type": {"messages": [{**TURN[0], "images": [3]}]},
    "images of a wrong type": {"messages": [{**TURN[0], "images": "tide"}]},
    "a call without a function": {"messages": [{**TURN[0], "tool_calls": [{}]}]},
    "tools of a wrong type": {"messages": TURN, "tools": "all"},
    "a tool without a name": {"messages": TURN, "tools": [{"function": {}}]},
    "options of a wrong type": {"messages": TURN, "options": "hot"},
    "an option of a wrong type": {"messages": TURN, "options": {"temperature": "hot"}},
    "think of a wrong type": {"messages": TURN, "think": 3},
    "a format nobody knows": {"messages": TURN, "format": "yaml"},
    "a format of a wrong type": {"messages": TURN, "format": [1]},
    "a keep_alive of a wrong type": {"messages": TURN, "keep_alive": {}},
    "stream of a wrong type": {"messages": TURN, "stream": "perhaps"},
    "too many alternatives": {"messages": TURN, "logprobs": True, "top_logprobs": 21},
    "a model of a wrong type": {"messages": TURN, "model": ["llama3.2"]},
    "an empty model": {"messages": TURN, "model": ""},
}


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "a prompt of a wrong type": ("generate", {"prompt": ["hello"]}),
    "a suffix of a wrong type": ("generate", {"prompt": "hello", "suffix": 3}),
    "a system of a wrong type": ("generate", {"prompt": "hello", "system": {}}),
    "tokens that are none": ("generate", {"prompt": "hello", "context": ["a"]}),
    "tokens of a wrong type": ("generate", {"prompt": "hello", "context": "a"}),
    "raw and a template": ("generate", {"prompt": "a", "raw": True, "template": "b"}),
    "an image that is none": ("generate", {"prompt": "hello", "images": ["tide"]}),
    "an input of a wrong type": ("embed", {"input": {"text": "hello"}}),
    "numbers": ("embed", {"input": [1, 2]}),
    "dimensions of a wrong type": ("embed", {"input": "hello", "dimensions": "many"}),
    "a list to embed": ("embeddings", {"prompt": ["hello"]}),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_bad_request_is_refused_in_one_sentence(app: App, case: str) -> None:
    name, body = WRONG[case]
    model = "llama3.2" if name == "generate" else "nomic-embed-text"
    answer = app.post(f"/api/{name}", {"model": model, **body})

    assert answer.status_code == 400
    assert list(answer.get_json()) == ["error"]


@pytest.mark.parametrize("case", BAD)
def test_a_bad_chat_is_refused_in_one_sentence(app: App, case: str) -> None:
    answer = app.post("/api/chat", {"model": "llama3.2", **BAD[case]})

    assert answer.status_code == 400
    assert list(answer.get_json()) == ["error"]


def server_of(app: App) -> ServerState:
    """Return the one server."""
    return next(iter(app.services.scheduler.servers.values()))


def without_time(said: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without the time it was made at."""
    return {name: value for name, value in said.items() if name != "created_at"}


def assert_same(
    app: App, ollama: FakeOllama, path: str, script: Script, body: dict[str, Any]
) -> None:
    """Send a body to the fake and through the gateway, and compare what comes."""
    ollama.script(body["model"], script, script)
    theirs = requests.post(ollama.url + path, json=body, timeout=20)
    ours = app.post(path, body)

    assert ours.status_code == theirs.status_code == 200, ours.get_data()
    assert ours.mimetype == theirs.headers["Content-Type"].partition(";")[0]
    expected = [part for line in theirs.content.splitlines() for part in parts(line)]
    assert [part for line in ours.get_data().splitlines() for part in parts(line)] == expected


def parts(line: bytes) -> Iterator[dict[str, Any]]:
    """Yield what a line says without times and durations: thinking, text and each call on their
    own, then the end, as the gateway writes them."""
    said = orjson.loads(line)
    assert said.pop("created_at").endswith("Z")
    for name in tuple(said):
        if name.endswith("_duration"):
            assert said.pop(name) > 0
    if said["done"]:
        message = said.get("message", {})
        if not message.get("content"):  # the end of a stream
            yield from ({"call": call} for call in message.pop("tool_calls", []))
        yield said
        return
    message = said.pop("message", said)
    texts = {name: message.pop(name, "") for name in ("thinking", "content", "response")}
    yield from ({**said, name: text} for name, text in texts.items() if text)
    yield from ({"call": call} for call in message.pop("tool_calls", []))
