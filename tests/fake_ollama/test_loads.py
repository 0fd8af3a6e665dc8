"""What loads, reloads and unloads a model, and how long it stays."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from fake_ollama import FakeOllama
from tests.fake_ollama.talk import chat, chat_bytes, generate, opened, read_until, send

MODEL = "llama3.2"


def ps(ollama: FakeOllama) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = send(ollama, "GET", "/api/ps").json["models"]
    return models


def test_a_model_is_loaded_once_and_shown_by_ps(ollama: FakeOllama) -> None:
    for _ in range(3):
        chat(ollama, MODEL)

    assert [load.model for load in ollama.loads] == ["llama3.2:latest"]
    assert [(one["name"], one["context_length"]) for one in ps(ollama)] == [
        ("llama3.2:latest", 4096)
    ]


RELOADS: list[tuple[dict[str, Any], int]] = [
    ({"options": {"num_ctx": 2048}}, 2),
    ({"options": {"num_ctx": 4096}}, 0),
    ({"options": {"num_thread": 1}}, 2),
    ({"options": {"num_batch": 256}}, 2),
    ({"options": {"use_mmap": True}}, 2),
    ({"options": {"main_gpu": 0}}, 2),
    ({"options": {"draft_num_predict": 2}}, 2),
    ({"options": {"num_gpu": 0}}, 1),
    ({"options": {"num_gpu": -1}}, 0),
    ({"shift": False}, 2),
    ({"shift": True}, 0),
    ({"truncate": False}, 0),
    ({"keep_alive": "10m"}, 0),
    ({"think": False}, 0),
    ({"format": {"type": "object"}}, 0),
    ({"logprobs": True}, 0),
    ({"options": {"temperature": 0.1, "seed": 5, "top_k": 5, "stop": ["x"]}}, 0),
    ({"options": {"num_keep": 8, "num_predict": 3, "repeat_penalty": 1.3}}, 0),
]


@pytest.mark.parametrize(("fields", "reloads"), RELOADS)
def test_some_options_reload_the_model_there_and_back(
    ollama: FakeOllama, fields: dict[str, Any], reloads: int
) -> None:
    for given in ({}, fields, fields, {}):
        chat(ollama, MODEL, **given)

    assert (ollama.reload_count(MODEL), ollama.load_count(MODEL)) == (reloads, 1 + reloads)


def test_a_reload_has_the_context_that_was_asked_for(ollama: FakeOllama) -> None:
    for options in ({}, {"num_ctx": 8192}, {}):
        chat(ollama, MODEL, options=options)

    assert [load.num_ctx for load in ollama.loads] == [4096, 8192, 4096]


def test_generate_after_chat_reloads_nothing(ollama: FakeOllama) -> None:
    chat(ollama, MODEL)
    generate(ollama, MODEL)

    assert ollama.load_count(MODEL) == 1


def test_a_reload_takes_the_servers_keep_alive_again(ollama: FakeOllama) -> None:
    chat(ollama, MODEL, keep_alive=-1)
    chat(ollama, MODEL)
    kept = ps(ollama)[0]["expires_at"]
    chat(ollama, MODEL, options={"num_ctx": 2048})
    ollama.advance(301)

    assert kept > "2300"
    assert ollama.loaded() == []


def test_num_ctx_is_capped_at_what_the_model_was_trained_for(ollama: FakeOllama) -> None:
    for num_ctx in (100_000, 2048, 9_000):
        chat(ollama, "tinyllama", options={"num_ctx": num_ctx})

    assert [load.num_ctx for load in ollama.loads] == [2048]


def test_a_vision_model_has_at_least_2048(ollama: FakeOllama) -> None:
    chat(ollama, "gemma3:4b", options={"num_ctx": 512})

    assert ollama.loads[0].num_ctx == 2048


def test_models_of_one_blob_share_a_runner_and_its_name(ollama: FakeOllama) -> None:
    send(ollama, "POST", "/api/copy", {"source": MODEL, "destination": "twin"})
    chat(ollama, MODEL)
    chat(ollama, "twin")

    assert ollama.load_count("twin") == 0
    assert ollama.loaded() == ["llama3.2:latest"]


def test_keep_alive_stays_in_force_until_another_is_set(ollama: FakeOllama) -> None:
    chat(ollama, MODEL, keep_alive="10m")
    chat(ollama, MODEL)
    ollama.advance(500)
    still_there = ollama.loaded()
    ollama.advance(101)

    assert still_there == ["llama3.2:latest"]
    assert ollama.loaded() == []


def test_a_request_prolongs_the_life_of_its_model(ollama: FakeOllama) -> None:
    chat(ollama, MODEL)
    ollama.advance(200)
    chat(ollama, MODEL)
    ollama.advance(200)

    assert ollama.loaded() == ["llama3.2:latest"]


@pytest.mark.parametrize("zero", [0, "0", "0s"])
def test_a_keep_alive_of_zero_unloads_after_the_answer(ollama: FakeOllama, zero: Any) -> None:
    assert chat(ollama, MODEL, keep_alive=zero).last["done"] is True
    ollama.wait_idle()
    assert ollama.loaded() == []


def test_forever_is_far_away(ollama: FakeOllama) -> None:
    chat(ollama, MODEL, keep_alive=-1)
    ollama.advance(10**8)

    year = int(ps(ollama)[0]["expires_at"][:4])
    assert year - datetime.datetime.now(datetime.UTC).year in (292, 293)


def test_expiry_is_a_time_in_utc(ollama: FakeOllama) -> None:
    chat(ollama, MODEL)

    assert ps(ollama)[0]["expires_at"].endswith("Z")


def test_a_busy_model_unloads_when_it_is_idle(ollama: FakeOllama) -> None:
    with ollama.hold(MODEL, at=1) as gate, opened(ollama, chat_bytes(MODEL)) as sock:
        gate.wait_reached()
        unloaded = generate(ollama, MODEL, "", keep_alive=0)
        busy = ollama.loaded()
        gate.release()
        read_until(sock, b"0\r\n\r\n")
    ollama.wait_idle()

    assert unloaded.json["done_reason"] == "unload"
    assert busy == ["llama3.2:latest"]
    assert ollama.loaded() == []


def test_ps_lists_the_longest_life_first(ollama: FakeOllama) -> None:
    chat(ollama, MODEL, keep_alive=10)
    chat(ollama, "tinyllama", keep_alive=1000)

    assert [one["name"] for one in ps(ollama)] == ["tinyllama:latest", "llama3.2:latest"]


def test_more_models_than_fit_push_out_the_one_soonest_to_go() -> None:
    with FakeOllama(max_loaded=2) as ollama:
        chat(ollama, MODEL, keep_alive=1000)
        chat(ollama, "tinyllama")
        chat(ollama, "gemma3:4b")

        assert sorted(ollama.loaded()) == ["gemma3:4b", "llama3.2:latest"]
