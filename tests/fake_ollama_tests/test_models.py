"""Listing, describing, moving and fetching models."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest

from tests.fake_ollama import DEFAULT_MODELS, FakeModel, FakeOllama, Fault, Script, demo_models
from tests.fake_ollama.names import parse_name, split_source
from tests.fake_ollama_tests.talk import chat, opened, read_until, request_bytes, send


def tags(ollama: FakeOllama) -> dict[str, dict[str, Any]]:
    models = send(ollama, "GET", "/api/tags").json["models"]
    return {model["name"]: model for model in models}


def show(ollama: FakeOllama, name: str, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = send(ollama, "POST", "/api/show", {"model": name, **fields}).json
    return body


def test_tags_list_every_model_under_its_short_name(ollama: FakeOllama) -> None:
    listed = tags(ollama)

    assert set(listed) == {model.short for model in DEFAULT_MODELS}
    assert all(model["model"] == name for name, model in listed.items())
    assert all(re.fullmatch(r"[0-9a-f]{64}", model["digest"]) for model in listed.values())


def test_an_empty_store_is_an_empty_list() -> None:
    with FakeOllama([]) as ollama:
        assert send(ollama, "GET", "/api/tags").json == {"models": []}


def test_tags_can_claim_less_than_show(ollama: FakeOllama) -> None:
    listed = tags(ollama)

    assert listed["llama3.2:latest"]["capabilities"] == ["completion"]
    assert "capabilities" not in listed["hf.co/user/Model-GGUF:Q4_K_M"]
    assert "context_length" not in listed["hf.co/user/Model-GGUF:Q4_K_M"]["details"]
    assert set(show(ollama, "llama3.2")["capabilities"]) == {"completion", "tools"}


def test_remote_models_say_where_they_run(ollama: FakeOllama) -> None:
    name = "deepseek-v3.1:671b-cloud"
    listed, shown = tags(ollama)[name], show(ollama, name)

    assert list(listed)[:4] == ["name", "model", "remote_model", "remote_host"]
    assert (listed["remote_model"], listed["details"]["format"]) == ("deepseek-v3.1:671b", "")
    assert shown["remote_host"].startswith("https://ollama.com")
    assert "tensors" not in shown


def test_head_of_tags_has_no_body(ollama: FakeOllama) -> None:
    answer = send(ollama, "HEAD", "/api/tags")

    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("model", DEFAULT_MODELS, ids=lambda model: model.name)
def test_show_keys_the_context_length_by_architecture(ollama: FakeOllama, model: FakeModel) -> None:
    shown = show(ollama, model.name)
    info = shown["model_info"]

    family = info["general.architecture"]
    assert info[f"{family}.context_length"] == model.context_length
    assert info[f"{family}.embedding_length"] == model.embedding_length
    assert info["general.parameter_count"] == model.parameter_count
    assert sorted(shown["capabilities"]) == sorted(model.capabilities)
    assert "context_length" not in shown["details"]


def test_show_lists_tensors_and_hides_the_tokenizer_unless_verbose(ollama: FakeOllama) -> None:
    brief, verbose = show(ollama, "qwen3:8b"), show(ollama, "qwen3:8b", verbose=True)

    assert {"name", "type", "shape"} == set(brief["tensors"][0])
    assert brief["model_info"]["tokenizer.ggml.tokens"] is None
    assert verbose["model_info"]["tokenizer.ggml.tokens"]


def test_show_gives_parameters_in_any_order_padded_and_quoted(ollama: FakeOllama) -> None:
    texts = {show(ollama, "qwen3:8b")["parameters"] for _ in range(20)}

    assert len(texts) > 1
    assert {frozenset(text.splitlines()) for text in texts} == {
        frozenset(
            (
                "temperature" + " " * 19 + " 0.6",
                "top_k" + " " * 25 + " 20",
                "top_p" + " " * 25 + " 0.95",
                "stop" + " " * 26 + ' "<|im_end|>"',
            )
        )
    }


def test_show_tells_the_paths_apart_by_the_modelfile(ollama: FakeOllama) -> None:
    assert "RENDERER qwen3" in show(ollama, "qwen3:8b")["modelfile"]
    assert "RENDERER" not in show(ollama, "llama3.2")["modelfile"]


def test_show_takes_the_old_name_and_leaves_empty_texts_out(ollama: FakeOllama) -> None:
    answer = send(ollama, "POST", "/api/show", {"name": "TinyLlama"})

    assert answer.status == 200
    assert not {"license", "parameters", "system"} & set(answer.json)


def test_show_of_a_cloud_model_needs_the_cloud() -> None:
    with FakeOllama(cloud="disabled") as ollama:
        answer = send(ollama, "POST", "/api/show", {"model": "deepseek-v3.1:671b-cloud"})

    assert answer.status == 403
    assert answer.error.endswith("remote model details are unavailable")


def test_ps_has_no_capabilities_but_the_allocated_context(ollama: FakeOllama) -> None:
    chat(ollama, "llama3.2", options={"num_ctx": 8192})
    (running,) = send(ollama, "GET", "/api/ps").json["models"]

    assert list(running) == [
        "name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length",
    ]  # fmt: skip
    assert running["context_length"] == 8192
    assert running["digest"] == tags(ollama)["llama3.2:latest"]["digest"]


def test_copy_and_delete_answer_with_nothing(ollama: FakeOllama) -> None:
    copied = send(ollama, "POST", "/api/copy", {"source": "qwen3:8b", "destination": "mine/q:x"})
    after_copy = set(tags(ollama))
    deleted = send(ollama, "DELETE", "/api/delete", {"name": "mine/q:x"})

    assert (copied.status, copied.body) == (200, b"")
    assert "mine/q:x" in after_copy
    assert (deleted.status, deleted.body) == (200, b"")
    assert "mine/q:x" not in tags(ollama)


def test_a_pull_reports_every_layer_and_brings_the_model(ollama: FakeOllama) -> None:
    answer = send(ollama, "POST", "/api/pull", {"model": "mistral:7b"})
    statuses = [line["status"] for line in answer.lines]

    assert answer.type == "application/x-ndjson"
    assert statuses[0] == "pulling manifest"
    assert statuses[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    first = [line for line in answer.lines if line["status"] == statuses[1]]
    assert re.fullmatch(r"pulling [0-9a-f]{12}", statuses[1])
    assert "completed" not in first[0]
    assert first[-1]["completed"] == first[-1]["total"]
    assert first[0]["digest"].startswith("sha256:")
    assert len({line["digest"] for line in answer.lines if "digest" in line}) == 4
    assert chat(ollama, "mistral:7b").status == 200


def test_a_pull_of_an_unknown_model_fails_after_the_first_status(ollama: FakeOllama) -> None:
    streamed = send(ollama, "POST", "/api/pull", {"model": "no-such"})
    whole = send(ollama, "POST", "/api/pull", {"model": "no-such", "stream": False})

    assert streamed.lines == [
        {"status": "pulling manifest"},
        {"error": "pull model manifest: file does not exist"},
    ]
    assert (whole.status, whole.error) == (500, "pull model manifest: file does not exist")


def test_a_pull_without_a_network_says_what_was_looked_up() -> None:
    body = {"model": "no-such", "stream": False}
    with FakeOllama(online=False) as ollama:
        answer = send(ollama, "POST", "/api/pull", body)

    path = "https://registry.ollama.ai/v2/library/no-such/manifests/latest"
    assert (answer.status, answer.type) == (500, "application/json")
    assert answer.error.startswith(f'pull model manifest: Get "{path}": dial tcp: lookup registry')
    assert answer.error.endswith("no such host")


def test_show_takes_options_of_any_type(ollama: FakeOllama) -> None:
    options = {"temperature": "hot", "stop": "x"}

    assert show(ollama, "qwen3:8b", options=options)["capabilities"]


def test_a_pull_without_streaming_gives_the_last_status(ollama: FakeOllama) -> None:
    answer = send(ollama, "POST", "/api/pull", {"model": "mistral:7b", "stream": False})

    assert (answer.json, answer.type) == ({"status": "success"}, "application/json")


def test_a_pull_that_is_left_brings_no_model(ollama: FakeOllama) -> None:
    data = request_bytes("/api/pull", {"model": "mistral:7b"})
    ollama.script("/api/pull", Script(fault=Fault("silent_after", after=4)))

    with opened(ollama, data) as sock:
        read_until(sock, b'"completed"')
    ollama.wait_disconnect()

    assert "mistral:7b" not in tags(ollama)


def test_a_push_ends_in_success(ollama: FakeOllama) -> None:
    lines = send(ollama, "POST", "/api/push", {"model": "qwen3:8b"}).lines

    assert (lines[0]["status"], lines[-1]["status"]) == ("retrieving manifest", "success")


def test_a_derived_model_has_its_own_parameters_and_the_same_weights(ollama: FakeOllama) -> None:
    body = {
        "model": "llama-16k",
        "from": "llama3.2",
        "parameters": {"num_ctx": 16384, "stop": ["a", "b"]},
        "system": "Be brief.",
    }
    lines = send(ollama, "POST", "/api/create", body).lines
    shown = show(ollama, "llama-16k")
    chat(ollama, "llama-16k")

    assert lines[-1] == {"status": "success"}
    assert shown["system"] == "Be brief."
    assert shown["details"]["parent_model"] == "llama3.2:latest"
    assert shown["parameters"].count("stop") == 2
    assert ollama.loads[0].num_ctx == 16384


def test_a_model_from_nothing_is_refused(ollama: FakeOllama) -> None:
    answer = send(ollama, "POST", "/api/create", {"model": "x"})

    assert answer.error == "neither 'from' or 'files' was specified"


def test_blobs_are_kept_by_their_digest(ollama: FakeOllama) -> None:
    path = f"/api/blobs/sha256:{hashlib.sha256(b'gguf').hexdigest()}"
    statuses = [
        send(ollama, "HEAD", path).status,
        send(ollama, "POST", path, b"other").status,
        send(ollama, "POST", path, b"gguf").status,
        send(ollama, "POST", path, b"gguf").status,
        send(ollama, "HEAD", path).status,
        send(ollama, "HEAD", "/api/blobs/sha256:12").status,
    ]

    assert statuses == [404, 400, 201, 200, 200, 400]


NAMES: list[tuple[str, str | None]] = [
    ("qwen3", "registry.ollama.ai/library/qwen3:latest"),
    ("qwen3:8b", "registry.ollama.ai/library/qwen3:8b"),
    ("me/qwen3", "registry.ollama.ai/me/qwen3:latest"),
    ("hf.co/user/Model-GGUF:Q4_K_M", "hf.co/user/Model-GGUF:Q4_K_M"),
    ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
    ("a@sha256", None),
    ("a b", None),
    ("", None),
    ("a:", None),
    (":tag", None),
    ("x" * 81, None),
]


@pytest.mark.parametrize(("text", "full"), NAMES)
def test_names_are_completed_or_refused(text: str, full: str | None) -> None:
    name = parse_name(text)

    assert (name.full if name else None) == full


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ("a", "")),
        ("a:8b", ("a:8b", "")),
        ("a:cloud", ("a", "cloud")),
        ("a:8b-cloud", ("a:8b", "cloud")),
        ("a:8b:cloud", ("a:8b", "cloud")),
        ("a:8b:local", ("a:8b", "local")),
        ("my-cloud", ("my-cloud", "")),
    ],
)
def test_the_source_is_read_off_the_end(text: str, parts: tuple[str, str]) -> None:
    assert split_source(text) == parts


def test_demo_models_take_longer_to_load_the_larger_they_are() -> None:
    delays = {model.name: model.load_delay_s for model in demo_models()}

    assert delays["gpt-oss:20b"] > delays["tinyllama:latest"] > 0
    assert delays["deepseek-v3.1:671b-cloud"] == 0
