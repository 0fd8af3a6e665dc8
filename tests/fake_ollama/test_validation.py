"""Requests the fake refuses, in Ollama's words."""

from __future__ import annotations

from typing import Any

import pytest

from fake_ollama import FakeModel, FakeOllama, Script
from tests.fake_ollama.talk import TOOL, USER, chat, generate, send

_TOOLS = {"tools": [TOOL]}
_LIBRARY = "registry.ollama.ai/library"
_ASSISTANT = {"role": "assistant", "content": "Hm"}

BODIES: list[tuple[str, bytes, str]] = [
    ("/api/chat", b"", "missing request body"),
    ("/api/chat", b"  ", "missing request body"),
    ("/api/chat", b'{"model": "llama3.2"', "unexpected EOF"),
    ("/api/chat", b'{"model": "llam', "unexpected EOF"),
    (
        "/api/chat",
        b"{model: 1}",
        "invalid character 'm' looking for beginning of object key string",
    ),
    ("/api/chat", b"nope", "invalid character 'n' looking for beginning of value"),
    (
        "/api/chat",
        b'{"options":{"seed":NaN}}',
        "invalid character 'N' looking for beginning of value",
    ),
    ("/api/generate", b"", "missing request body"),
    ("/api/embed", b"", "missing request body"),
    ("/api/show", b"", "missing request body"),
    (
        "/api/chat",
        b'{"messages":"x"}',
        "json: cannot unmarshal string into Go struct field ChatRequest.messages"
        " of type []api.Message",
    ),
    (
        "/api/chat",
        b'{"messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]}',
        "json: cannot unmarshal array into Go struct field ChatRequest.messages.content"
        " of type string",
    ),
    (
        "/api/chat",
        b'{"stream":"yes"}',
        "json: cannot unmarshal string into Go struct field ChatRequest.stream of type bool",
    ),
    (
        "/api/chat",
        b'{"messages":[{"role":"user","content":"x","images":["data:image/png;base64,AAAA"]}]}',
        "illegal base64 data at input byte 4",
    ),
    (
        "/api/chat",
        b'{"messages":[{"role":"user","content":"x","images":["AAAAA"]}]}',
        "illegal base64 data at input byte 4",
    ),
    (
        "/api/chat",
        b'{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f",'
        b'"arguments":"{}"}}]}]}',
        "Value looks like object, but can't find closing '}' symbol",
    ),
]


@pytest.mark.parametrize(("path", "body", "error"), BODIES)
def test_a_bad_body_is_refused_in_gos_words(
    ollama: FakeOllama, path: str, body: bytes, error: str
) -> None:
    answer = send(ollama, "POST", path, body)

    assert (answer.status, answer.error) == (400, error)
    assert answer.type == "application/json; charset=utf-8"


FIELDS: list[tuple[dict[str, Any], int, str]] = [
    ({"keep_alive": "-1"}, 400, 'time: missing unit in duration "-1"'),
    ({"keep_alive": "300"}, 400, 'time: missing unit in duration "300"'),
    ({"keep_alive": "soon"}, 400, 'time: invalid duration "soon"'),
    ({"keep_alive": "5d"}, 400, 'time: unknown unit "d" in duration "5d"'),
    ({"keep_alive": True}, 400, "Unsupported type: 'bool'"),
    ({"keep_alive": {}}, 400, "Unsupported type: 'map[string]interface {}'"),
    (
        {"think": "xhigh"},
        400,
        'invalid think value: "xhigh" (must be "high", "medium", "low", "max", true, or false)',
    ),
    (
        {"think": 1},
        400,
        'think must be a boolean or string ("high", "medium", "low", "max", true, or false)',
    ),
    ({"think": True}, 400, '"llama3.2" does not support thinking'),
    ({"think": "low"}, 400, '"llama3.2" does not support thinking'),
    ({"top_logprobs": 21}, 400, "top_logprobs must be between 0 and 20"),
    ({"top_logprobs": -1}, 400, "top_logprobs must be between 0 and 20"),
    ({"options": {"temperature": "hot"}}, 500, 'option "temperature" must be of type float32'),
    ({"options": {"num_ctx": "4k"}}, 500, 'option "num_ctx" must be of type integer'),
    ({"options": {"num_ctx": True}}, 500, 'option "num_ctx" must be of type integer'),
    ({"options": {"stop": "x"}}, 500, 'option "stop" must be of type array'),
    ({"options": {"stop": [1]}}, 500, 'option "stop" must be of an array of strings'),
    ({"options": {"use_mmap": "yes"}}, 500, 'option "use_mmap" must be of type boolean'),
    (
        {"format": [1]},
        500,
        'invalid format: "[1]"; expected "json" or a valid JSON Schema object',
    ),
    (
        {"format": "yaml"},
        500,
        'invalid format: "\\"yaml\\""; expected "json" or a valid JSON Schema object',
    ),
]


@pytest.mark.parametrize(("fields", "status", "error"), FIELDS)
def test_a_bad_field_is_refused(
    ollama: FakeOllama, fields: dict[str, Any], status: int, error: str
) -> None:
    answer = chat(ollama, "llama3.2", **fields)

    assert (answer.status, answer.error) == (status, error)


FINE: list[dict[str, Any]] = [
    {"keep_alive": 0.5},
    {"keep_alive": -1},
    {"keep_alive": "1h30m"},
    {"keep_alive": "-1m"},
    {"keep_alive": "0"},
    {"keep_alive": None},
    {"think": False},
    {"format": ""},
    {"format": None},
    {"options": {"mirostat": 2, "no_such": "x", "seed": None, "num_predict": 3.7}},
    {"Stream": False},
    {"tool_choice": "none", "max_tokens": "x", "unknown": [1]},
]


@pytest.mark.parametrize("fields", FINE)
def test_what_ollama_takes_is_taken(ollama: FakeOllama, fields: dict[str, Any]) -> None:
    assert chat(ollama, "llama3.2", **fields).status == 200


def test_bytes_after_the_first_value_and_the_content_type_do_not_matter(
    ollama: FakeOllama,
) -> None:
    body = b'{"MODEL":"llama3.2","messages":[{"role":"USER","content":null}]} trailing'

    answer = send(
        ollama, "POST", "/api/chat", body, {"Content-Type": "application/x-www-form-urlencoded"}
    )

    assert answer.last["done"] is True


NAMES: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("POST", "/api/chat", {}, 400, "model is required"),
    ("POST", "/api/generate", {}, 404, "model '' not found"),
    ("POST", "/api/embed", {}, 404, "model '' not found"),
    ("POST", "/api/embeddings", {}, 400, "model is required"),
    ("POST", "/api/show", {}, 400, "model is required"),
    ("POST", "/api/pull", {}, 400, "invalid model name"),
    ("POST", "/api/push", {}, 400, "model is required"),
    ("POST", "/api/chat", {"model": "x"}, 404, "model 'x' not found"),
    ("POST", "/api/generate", {"model": "x"}, 404, "model 'x' not found"),
    (
        "POST",
        "/api/embed",
        {"model": "x", "input": "a"},
        404,
        'model "x" not found, try pulling it first',
    ),
    (
        "POST",
        "/api/embeddings",
        {"model": "x", "prompt": "a"},
        404,
        'model "x" not found, try pulling it first',
    ),
    ("POST", "/api/show", {"model": "x"}, 404, "model 'x:latest' not found"),
    ("POST", "/api/chat", {"model": "bad name!"}, 400, "invalid model name"),
    ("POST", "/api/generate", {"model": "a@sha256"}, 400, "invalid model name"),
    ("POST", "/api/show", {"model": "-x"}, 400, "invalid model name"),
    (
        "POST",
        "/api/chat",
        {"model": "x:local:cloud"},
        400,
        'use either :local or :cloud, not both: "x:local:cloud"',
    ),
    ("POST", "/api/copy", {"source": "", "destination": "b"}, 400, 'source "" is invalid'),
    ("POST", "/api/copy", {"source": "x", "destination": "b"}, 404, 'model "x" not found'),
    ("DELETE", "/api/delete", {"model": "x"}, 404, "model 'x' not found"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "error"), NAMES)
def test_a_name_that_leads_nowhere_is_refused(
    ollama: FakeOllama, method: str, path: str, body: dict[str, Any], status: int, error: str
) -> None:
    answer = send(ollama, method, path, body)

    assert (answer.status, answer.error) == (status, error)


@pytest.mark.parametrize(
    ("model", "fields", "error"),
    [
        ("gemma3:4b", _TOOLS, f"{_LIBRARY}/gemma3:4b does not support tools"),
        ("tinyllama", _TOOLS, f"{_LIBRARY}/tinyllama:latest does not support tools"),
        (
            "hf.co/user/Model-GGUF:Q4_K_M",
            _TOOLS,
            "hf.co/user/Model-GGUF:Q4_K_M does not support tools",
        ),
        ("nomic-embed-text", {}, '"nomic-embed-text" does not support chat'),
        ("nomic-embed-text", {"messages": []}, '"nomic-embed-text" does not support chat'),
    ],
)
def test_a_missing_capability_is_named(
    ollama: FakeOllama, model: str, fields: dict[str, Any], error: str
) -> None:
    answer = send(ollama, "POST", "/api/chat", {"model": model, "messages": USER, **fields})

    assert (answer.status, answer.error) == (400, error)


def test_generate_names_its_own_capabilities(ollama: FakeOllama) -> None:
    embedding = generate(ollama, "nomic-embed-text")
    insert = generate(ollama, "llama3.2", suffix="}")

    assert embedding.error == '"nomic-embed-text" does not support generate'
    assert insert.error == "registry.ollama.ai/library/llama3.2:latest does not support insert"


def test_raw_mode_takes_no_template(ollama: FakeOllama) -> None:
    answer = generate(ollama, "llama3.2", raw=True, system="Be brief.")

    assert answer.error == "raw mode does not support template, system, or context"


NATIVE_REFUSALS: list[tuple[str, dict[str, Any], int, str]] = [
    ("llama3.2", {"tools": [TOOL], "logprobs": True}, 400, "logprobs is not supported with tools"),
    ("llama3.2", {"messages": [_ASSISTANT, _ASSISTANT]}, 400, "2 or more assistant messages"),
    (
        "llama3.2",
        {"messages": [{"role": "user", "content": "Look", "images": ["AAAA"]}]},
        500,
        "image input is not supported",
    ),
    (
        "tinyllama",
        {"messages": [{"role": "user", "content": "Look", "images": ["AAAA"]}]},
        400,
        "Multimodal data provided, but model does not support multimodal requests.",
    ),
]


@pytest.mark.parametrize(("model", "fields", "status", "text"), NATIVE_REFUSALS)
def test_the_runners_refusals_are_nested_json(
    ollama: FakeOllama, model: str, fields: dict[str, Any], status: int, text: str
) -> None:
    answer = send(ollama, "POST", "/api/chat", {"model": model, "messages": USER, **fields})

    assert answer.status == status
    assert answer.type == "application/json"
    assert answer.error.startswith('{"error":{"code":')
    assert text in answer.error


def test_generate_refuses_images_in_the_words_of_the_rendered_path(ollama: FakeOllama) -> None:
    answer = generate(ollama, "llama3.2", images=["AAAA"])

    assert (answer.status, "Multimodal data provided" in answer.error) == (400, True)


def test_a_whole_request_gets_the_nested_error_with_a_charset(ollama: FakeOllama) -> None:
    answer = chat(ollama, "llama3.2", tools=[TOOL], logprobs=True, stream=False)

    assert (answer.status, answer.type) == (400, "application/json; charset=utf-8")


def test_an_invalid_request_leaves_the_script_for_the_next(ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(content="First."), Script(content="Second."))
    chat(ollama, "llama3.2", think=True)

    assert chat(ollama, "llama3.2").content == "First."


@pytest.mark.parametrize("name", ["LLAMA3.2", "llama3.2:LATEST", "library/llama3.2"])
def test_names_are_found_whatever_their_case_and_echoed_as_sent(
    ollama: FakeOllama, name: str
) -> None:
    assert chat(ollama, name).last["model"] == name


def test_a_local_ending_is_dropped_for_the_search() -> None:
    with FakeOllama([FakeModel("tern:8b")]) as ollama:
        assert chat(ollama, "tern:8b:local").status == 200


def test_the_old_embedding_endpoint_wants_the_case_right(ollama: FakeOllama) -> None:
    body = {"model": "Nomic-Embed-Text", "prompt": "a"}

    assert send(ollama, "POST", "/api/embeddings", body).status == 404
    assert send(ollama, "POST", "/api/embed", {**body, "input": "a"}).status == 200
