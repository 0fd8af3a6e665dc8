"""Which calls a time limit ends: a stream that moves only by a limit that somebody asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_ollama import FakeOllama, Script
from gateway.core.admin import SYSTEM
from tests.api.apps import APIS, App, application, told

LIMIT_MS = 150
SLOW = Script(content=["Tide. "] * 12, delay_s=0.03)
LATE = Script(content="Here.", first_delay_s=0.5)


@pytest.fixture
def app(tmp_path: Path, ollama: FakeOllama) -> Iterator[App]:
    with application(tmp_path, ollama) as app:
        app.set(request_timeout_ms=LIMIT_MS)
        yield app


def override(app: App, **values: Any) -> None:
    """Set an override for the model."""
    services = app.services
    found = next(one for one in services.catalog.models() if one.display_name == "llama3.2")
    services.models.update(found.id, {"override": values}, SYSTEM)


def test_a_stream_that_moves_is_not_cut(app: App, ollama: FakeOllama) -> None:
    for api in APIS:
        ollama.script("llama3.2", SLOW)

        answer = app.ask(api, stream=True)

        assert answer.status_code == 200
        assert "timeout" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("api", APIS)
def test_an_answer_in_one_piece_has_the_limit_of_the_setting(
    app: App, ollama: FakeOllama, api: str
) -> None:
    ollama.script("llama3.2", SLOW)

    answer = app.ask(api)

    assert answer.status_code == 504
    assert told(answer)["message"] == "The answer was not finished within 0.15 seconds."


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_that_does_not_begin_is_given_up(
    app: App, ollama: FakeOllama, stream: bool
) -> None:
    ollama.script("llama3.2", LATE)

    answer = app.ask("chat", stream=stream)

    assert answer.status_code == 504
    assert told(answer)["message"].startswith("The Ollama server did not begin to answer")


@pytest.mark.parametrize("who", ["request", "override"])
def test_a_limit_somebody_asked_for_bounds_the_whole_stream(
    app: App, ollama: FakeOllama, who: str
) -> None:
    app.set(request_timeout_ms=600_000)
    ollama.script("llama3.2", SLOW)
    if who == "override":
        override(app, timeout_ms=LIMIT_MS)
    asked = {"timeout_ms": LIMIT_MS} if who == "request" else {}

    answer = app.ask("chat", stream=True, **asked)

    assert "Tide." in answer.get_data(as_text=True)
    assert told(answer)["code"] == "upstream_timeout"
