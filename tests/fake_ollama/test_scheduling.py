"""Slots, queues, gates, and clients that leave."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fake_ollama import FakeModel, FakeOllama, Script
from tests.fake_ollama.talk import USER, Answer, chat, chat_bytes, opened, read_until, send

MODEL = "llama3.2"


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_requests_of_one_slot_are_served_one_after_another(ollama: FakeOllama) -> None:
    with ollama.hold(MODEL, at=1) as gate, ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(chat, ollama, MODEL) for _ in range(3)]
        ollama.wait_requests(3)
        gate.wait_reached()
        waiting = gate.waiting
        gate.release()
        done = [answer.result().last["done"] for answer in answers]

    assert waiting == 1
    assert done == [True] * 3
    assert ollama.busiest(MODEL) == 1


def test_a_model_with_more_slots_serves_as_many_at_once() -> None:
    with (
        FakeOllama([FakeModel("tern", slots=3)]) as ollama,
        ollama.hold("tern", at=1) as gate,
        ThreadPoolExecutor(5) as pool,
    ):
        answers = [pool.submit(chat, ollama, "tern") for _ in range(5)]
        gate.wait_reached(count=3)
        ollama.wait_requests(5)
        gate.release()
        done = [answer.result().last["done"] for answer in answers]

        assert done == [True] * 5
        assert ollama.busiest("tern") == 3


def test_a_full_load_queue_is_a_503_for_models_and_contexts_alike() -> None:
    contexts = [{"num_ctx": 1024 * n} for n in range(1, 5)]
    with FakeOllama(max_queue=1) as ollama, ThreadPoolExecutor(8) as pool:
        chat(ollama, MODEL)
        with ollama.hold(MODEL, at="load") as gate:
            first = pool.submit(chat, ollama, MODEL, options=contexts[0])
            gate.wait_reached()
            others = [pool.submit(chat, ollama, MODEL, options=one) for one in contexts[1:]]
            cold = [pool.submit(chat, ollama, name) for name in ("tinyllama", "gemma3:4b")]
            ollama.wait_requests(4, where=lambda one: one.status == 503)
        answers: list[Answer] = [one.result() for one in (first, *others, *cold)]

    assert sorted(answer.status for answer in answers) == [200, 200, 503, 503, 503, 503]
    refused = [answer for answer in answers if answer.status == 503]
    assert {answer.headers.get("Retry-After") for answer in refused} == {None}


def test_a_loaded_model_has_no_queue_that_could_be_full() -> None:
    with FakeOllama(max_queue=1) as ollama, ThreadPoolExecutor(6) as pool:
        chat(ollama, MODEL)
        statuses = [
            one.result().status for one in [pool.submit(chat, ollama, MODEL) for _ in range(6)]
        ]

    assert statuses == [200] * 6


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("at", [0, 2])
def test_a_client_that_leaves_is_recorded_and_frees_the_slot(
    ollama: FakeOllama, stream: bool, at: int
) -> None:
    with ollama.hold(MODEL, at=at) as gate:
        with opened(ollama, chat_bytes(MODEL, stream=stream)):
            gate.wait_reached()
        (gone,) = ollama.wait_disconnect()

    assert (gone.disconnected, gone.finished, gone.running) == (True, False, False)
    assert gone.lines == (at if stream else 0)
    assert chat(ollama, MODEL).status == 200


def test_a_client_that_leaves_while_waiting_for_a_slot_is_noticed(ollama: FakeOllama) -> None:
    with ollama.hold(MODEL, at=1) as gate, opened(ollama, chat_bytes(MODEL)):
        gate.wait_reached()
        with opened(ollama, chat_bytes(MODEL)):
            ollama.wait_requests(2)
        (gone,) = ollama.wait_disconnect()

        assert gone.number == 1


def test_an_answered_request_is_finished_and_not_disconnected(ollama: FakeOllama) -> None:
    chat(ollama, MODEL)
    ollama.wait_idle()

    (one,) = ollama.requests
    assert (one.finished, one.disconnected, one.status) == (True, False, 200)


def test_a_client_that_leaves_after_the_done_line_got_its_answer(ollama: FakeOllama) -> None:
    ollama.script(MODEL, Script(content="x"))
    with opened(ollama, chat_bytes(MODEL)) as sock:
        read_until(sock, b'"done":true')
    ollama.wait_idle()

    assert [one.disconnected for one in ollama.requests] == [False]


def test_a_gate_stands_on_a_path(ollama: FakeOllama) -> None:
    with ollama.hold("/api/tags") as gate:
        thread = in_thread(lambda: send(ollama, "GET", "/api/tags"))
        gate.wait_reached()
        waiting = ollama.calls("/api/tags")[0].over
        gate.release()
        thread.join(5)

    assert waiting is False
    assert ollama.calls("/api/tags")[0].status == 200


def test_delays_of_a_script_are_taken(ollama: FakeOllama) -> None:
    ollama.script(
        MODEL, Script(content=["a", "b"], load_delay_s=0.02, first_delay_s=0.02, delay_s=0.02)
    )

    last = chat(ollama, MODEL).last

    assert last["total_duration"] >= 0.08 * 1e9
    assert last["load_duration"] >= 0.04 * 1e9


def test_requests_are_recorded_as_they_came(ollama: FakeOllama) -> None:
    body = {"model": MODEL, "messages": USER, "options": {"seed": 3}}
    send(ollama, "POST", "/api/chat?a=1", body, {"X-Trace": "7"})

    (one,) = ollama.calls("/api/chat")
    assert (one.method, one.query, one.model, one.json) == ("POST", "a=1", MODEL, body)
    assert one.headers["x-trace"] == "7"
    assert "Authorization" not in one.headers


def test_reset_makes_a_clean_fake(ollama: FakeOllama) -> None:
    ollama.script(MODEL, Script(content="x"))
    ollama.hold(MODEL)
    send(ollama, "DELETE", "/api/delete", {"model": "tinyllama"})
    ollama.reset()

    assert ollama.requests == []
    assert ollama.loads == []
    assert chat(ollama, "tinyllama").status == 200
    assert chat(ollama, MODEL).content != "x"


def test_a_crash_of_the_fake_fails_the_test() -> None:
    ollama = FakeOllama().start()
    ollama.script(MODEL, lambda body: Script(content=body["no such field"]))
    answer = chat(ollama, MODEL)

    assert answer.status == 500
    with pytest.raises(AssertionError, match="the fake broke"):
        ollama.__exit__(None)


def test_what_does_not_fit_on_the_gpu_is_in_ram() -> None:
    models = [FakeModel(name, size=5_000_000_000) for name in ("tern", "gull")]
    with FakeOllama(models, gpu_bytes=8_000_000_000) as ollama:
        for name in ("tern", "gull"):
            send(ollama, "POST", "/api/generate", {"model": name})
        found = {one["name"]: one for one in send(ollama, "GET", "/api/ps").json["models"]}
    first, second = found["tern:latest"], found["gull:latest"]

    assert first["size_vram"] == first["size"]
    assert 0 < second["size_vram"] < second["size"]
    assert first["size_vram"] + second["size_vram"] <= 8_000_000_000
