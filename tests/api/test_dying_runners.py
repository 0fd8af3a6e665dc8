"""A runner of Ollama that dies: the call is tried again while nothing of an answer has come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_ollama import FakeOllama, Fault, Script, error
from tests.api.apps import App, application, told

KILLED = "an error was encountered while running the model: unexpected EOF"
DIES = Script(fault=error(500, KILLED))
DIES_IN_STREAM = Script(content="Low tide.", fault=Fault("error_line", message=KILLED))
WELL = Script(content="Low tide at six.")
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
KINDS = [("chat", DIES), ("chat", DIES_IN_STREAM), ("completions", DIES), ("responses", DIES)]
EMBEDDING = {"model": "nomic-embed-text", "input": "Hello?"}


@pytest.fixture
def two() -> Iterator[tuple[FakeOllama, FakeOllama]]:
    with FakeOllama() as first, FakeOllama() as second:
        yield first, second


@pytest.fixture
def two_app(tmp_path: Path, two: tuple[FakeOllama, FakeOllama]) -> Iterator[App]:
    with application(tmp_path, *two) as app:
        yield app


def served(*ollamas: FakeOllama) -> list[int]:
    """Return how many calls each server has had."""
    paths = ("/api/chat", "/api/generate", "/api/embed")
    return [sum(len(ollama.calls(path)) for path in paths) for ollama in ollamas]


@STREAMED
@pytest.mark.parametrize(("api", "dies"), [*KINDS, ("messages", DIES_IN_STREAM)])
def test_the_only_server_is_asked_once_more(
    app: App, ollama: FakeOllama, api: str, stream: bool, dies: Script
) -> None:
    ollama.script("llama3.2", dies, WELL)

    answer = app.ask(api, stream=stream)

    assert answer.status_code == 200
    assert "six" in answer.get_data(as_text=True)
    assert served(ollama) == [2]


@pytest.mark.parametrize(("api", "stream"), [("chat", False), ("messages", True)])
def test_another_server_is_asked_first(
    two_app: App, two: tuple[FakeOllama, FakeOllama], api: str, stream: bool
) -> None:
    for ollama in two:
        ollama.script("llama3.2", Script(fault=error(500, KILLED)))
    two[1].script("llama3.2", WELL)
    two_app.set(prefix_affinity=False)

    answer = two_app.ask(api, stream=stream)

    assert answer.status_code == 200
    assert served(*two) == [1, 1]


@pytest.mark.parametrize("api", ["chat", "messages"])
def test_a_runner_that_dies_again_is_told_and_worth_a_retry(
    app: App, ollama: FakeOllama, api: str
) -> None:
    ollama.script("llama3.2", DIES)

    answer = app.ask(api)

    assert answer.status_code == 502
    assert told(answer)["message"] == KILLED
    assert "x-should-retry" not in answer.headers
    assert served(ollama) == [2]


@STREAMED
def test_another_failure_of_the_model_is_not_repeated(
    two_app: App, two: tuple[FakeOllama, FakeOllama], stream: bool
) -> None:
    for ollama in two:
        ollama.script("llama3.2", Script(fault=error(500, "cudaMalloc failed: out of memory")))

    answer = two_app.ask("chat", stream=stream)

    assert answer.status_code == 502
    assert answer.headers["x-should-retry"] == "false"
    assert sum(served(*two)) == 1


def test_an_answer_that_had_begun_is_not_repeated(app: App, ollama: FakeOllama) -> None:
    fault = Fault("error_line", after=1, message=KILLED)
    ollama.script("llama3.2", Script(content="Low tide at six.", fault=fault), WELL)

    answer = app.ask("chat", stream=True)

    assert "Low" in answer.get_data(as_text=True)
    assert told(answer)["message"] == KILLED
    assert served(ollama) == [1]


def test_embeddings_are_tried_again_as_well(app: App, ollama: FakeOllama) -> None:
    ollama.script("nomic-embed-text", DIES, Script())

    answer = app.post("/v1/embeddings", EMBEDDING)

    assert answer.status_code == 200
    assert served(ollama) == [2]


def test_embeddings_go_to_another_server(two_app: App, two: tuple[FakeOllama, FakeOllama]) -> None:
    two[0].script("nomic-embed-text", DIES)

    answer = two_app.post("/v1/embeddings", EMBEDDING)

    assert answer.status_code == 200
    assert served(*two) == [1, 1]


def test_a_model_whose_runner_keeps_dying_is_left_alone_and_tried_again(
    app: App, ollama: FakeOllama
) -> None:
    ollama.script("llama3.2", DIES)
    failed = [app.ask("chat").status_code for _ in range(3)]
    ollama.script("llama3.2", WELL)

    assert failed == [502] * 3
    assert app.ask("chat").status_code == 200
