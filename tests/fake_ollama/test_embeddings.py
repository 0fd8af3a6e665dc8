"""Both embedding endpoints."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fake_ollama import FakeOllama, Script
from tests.fake_ollama.talk import Answer, send

MODEL = "nomic-embed-text"
LONG = " ".join(f"w{n}" for n in range(400))


def embed(ollama: FakeOllama, value: Any, model: str = MODEL, **fields: Any) -> Answer:
    return send(ollama, "POST", "/api/embed", {"model": model, "input": value, **fields})


def norm(vector: list[float]) -> float:
    return math.sqrt(math.fsum(value * value for value in vector))


def cosine(a: list[float], b: list[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def test_vectors_come_in_order_with_length_one(ollama: FakeOllama) -> None:
    both = embed(ollama, ["tide", "wind"]).json
    alone = embed(ollama, "wind").json

    assert [len(vector) for vector in both["embeddings"]] == [768, 768]
    assert all(norm(vector) == pytest.approx(1, abs=1e-5) for vector in both["embeddings"])
    assert both["embeddings"][1] == alone["embeddings"][0]
    assert both["embeddings"][0] != both["embeddings"][1]


def test_the_reply_has_ollamas_fields(ollama: FakeOllama) -> None:
    whole = embed(ollama, ["low tide", "wind"]).json

    assert list(whole) == [
        "model", "embeddings", "total_duration", "load_duration", "prompt_eval_count",
    ]  # fmt: skip
    assert whole["model"] == MODEL
    assert whole["prompt_eval_count"] == 4 + 3


def test_texts_that_share_words_are_closer(ollama: FakeOllama) -> None:
    a, b, c = embed(ollama, ["low tide in oban", "high tide in oban", "red car"]).json["embeddings"]

    assert cosine(a, b) > cosine(a, c) + 0.3


def test_dimensions_cut_and_normalise_again(ollama: FakeOllama) -> None:
    full = embed(ollama, "tide").json["embeddings"][0]
    (short,) = embed(ollama, "tide", dimensions=16).json["embeddings"]
    same = [embed(ollama, "tide", dimensions=n).json["embeddings"][0] for n in (9000, -1, 0)]

    assert len(short) == 16
    assert norm(short) == pytest.approx(1, abs=1e-5)
    assert short[0] / short[1] == pytest.approx(full[0] / full[1], rel=1e-3)
    assert same == [full] * 3


@pytest.mark.parametrize("fields", [{}, {"input": ""}, {"input": None}, {"input": []}])
def test_no_input_only_loads(ollama: FakeOllama, fields: dict[str, Any]) -> None:
    answer = send(ollama, "POST", "/api/embed", {"model": MODEL, **fields})

    assert answer.json == {"model": MODEL, "embeddings": []}
    assert ollama.loaded() == ["nomic-embed-text:latest"]


def test_an_empty_text_in_a_list_is_embedded(ollama: FakeOllama) -> None:
    whole = embed(ollama, [""]).json

    assert len(whole["embeddings"]) == 1
    assert whole["prompt_eval_count"] == 2


@pytest.mark.parametrize("value", [3, {"a": 1}, [1, 2], [["a"]], ["a", 1], True])
def test_other_inputs_are_refused(ollama: FakeOllama, value: Any) -> None:
    answer = embed(ollama, value)

    assert (answer.status, answer.error) == (400, "invalid input type")


def test_long_texts_are_truncated_unless_told_otherwise(ollama: FakeOllama) -> None:
    cut = embed(ollama, LONG, "all-minilm")
    refused = embed(ollama, ["short", LONG], "all-minilm", truncate=False)
    hopeless = embed(ollama, LONG, "all-minilm", options={"num_ctx": 4})

    assert cut.json["prompt_eval_count"] == 256
    assert (refused.status, refused.error) == (
        400,
        "the input length exceeds the context length",
    )
    assert hopeless.error == "input exceeds maximum context length and cannot be truncated further"


def test_num_ctx_is_heeded_up_to_what_the_model_was_trained_for(ollama: FakeOllama) -> None:
    small = embed(ollama, LONG, "all-minilm", options={"num_ctx": 64}).json
    large = embed(ollama, LONG, "all-minilm", options={"num_ctx": 9999}).json
    refused = embed(ollama, LONG, "all-minilm", options={"num_ctx": 64}, truncate=False)

    assert (small["prompt_eval_count"], large["prompt_eval_count"]) == (64, 256)
    assert (refused.status, ollama.reload_count("all-minilm")) == (400, 2)


def test_every_text_counts_towards_the_prompt(ollama: FakeOllama) -> None:
    assert embed(ollama, ["low tide"] * 40).json["prompt_eval_count"] == 40 * 4


def test_a_chat_model_does_not_embed_and_stays_loaded(ollama: FakeOllama) -> None:
    ollama.script("tinyllama", Script(embeddings=[[1.0]]))

    new = embed(ollama, "tide", "tinyllama")
    old = send(ollama, "POST", "/api/embeddings", {"model": "tinyllama", "prompt": "tide"})

    text = "This server does not support embeddings. Start it with `--embeddings`"
    assert (new.status, new.error) == (501, text)
    assert (old.status, old.error) == (500, text)
    assert ollama.loaded() == ["tinyllama:latest"]


def test_an_embedding_model_has_one_slot() -> None:
    with FakeOllama() as ollama:
        assert all(
            model.parallel == 1 for model in ollama.library.all() if not model.can("completion")
        )


def test_the_old_endpoint_gives_one_vector_of_length_one(ollama: FakeOllama) -> None:
    whole = send(ollama, "POST", "/api/embeddings", {"model": MODEL, "prompt": "tide"}).json
    (unit,) = embed(ollama, "tide").json["embeddings"]

    assert set(whole) == {"embedding"}
    assert whole["embedding"] == unit


def test_the_old_endpoint_neither_truncates_nor_needs_a_prompt(ollama: FakeOllama) -> None:
    empty = send(ollama, "POST", "/api/embeddings", {"model": MODEL})
    long = send(ollama, "POST", "/api/embeddings", {"model": "all-minilm", "prompt": LONG})

    assert empty.json == {"embedding": []}
    assert (long.status, long.error) == (500, "the input length exceeds the context length")


def test_vectors_and_counts_can_be_scripted(ollama: FakeOllama) -> None:
    ollama.script(MODEL, Script(embeddings=[[0.6, 0.8]], prompt_eval_count=9))

    assert embed(ollama, "x").json["embeddings"] == [[0.6, 0.8]]
    assert embed(ollama, "x").json["prompt_eval_count"] == 9
