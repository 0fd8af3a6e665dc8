"""Faults of our own: whatever breaks inside, the caller gets an error of its dialect, the log the
places and no values, and what the call held is given back."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from fake_ollama import FakeOllama, Script
from gateway import create_app
from gateway.accounting.usage_writer import UsageWriter
from gateway.config import Settings
from gateway.core.admin import SYSTEM
from gateway.core.usage import Settlement
from gateway.dialects.chat import dialect as openai_chat
from gateway.dialects.chat import stream as openai_chat_stream
from gateway.dialects.completions import dialect as openai_completions
from gateway.dialects.completions import stream as openai_completions_stream
from gateway.dialects.messages import dialect as anthropic_messages
from gateway.dialects.messages import stream as anthropic_stream
from gateway.dialects.native import answer as native_answer
from gateway.dialects.native import chat as native_chat
from gateway.dialects.native import generate as native_generate
from gateway.dialects.responses import dialect as openai_responses
from gateway.dialects.responses import stream as responses_stream
from gateway.limits.limiter import Lease
from gateway.logs import LineFormatter
from gateway.ollama import wire
from gateway.web.context import Services, of
from tests.support.asking import GENERATING, Endpoint, is_refusal
from tests.support.database import prepare
from tests.support.wire import events

CANARY = "the-secret-cove"
READERS = {
    "chat": (openai_chat, "root_of"),
    "completions": (openai_completions, "root_of"),
    "responses": (openai_responses, "root_of"),
    "messages": (anthropic_messages, "root_of"),
    "api_chat": (native_chat, "read_model"),
    "api_generate": (native_generate, "read_model"),
}
"""What `parse` of each dialect begins with."""
WRITERS = {
    "chat": (openai_chat_stream.Writer, "_finish"),
    "completions": (openai_completions_stream.Writer, "_finish"),
    "responses": (responses_stream.Builder, "_finish"),
    "messages": (anthropic_stream.Writer, "_finish"),
    "api_chat": (native_answer.LineWriter, "_other"),
    "api_generate": (native_answer.LineWriter, "_other"),
}
"""What writes the end of a stream in each dialect."""


class Inside:
    """A gateway in this process, so that its parts can be broken."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()
        self.parts: Services = of(app)
        _, self._secret = self.parts.keys.issue({"name": "breaker", "allow": ["*"]}, SYSTEM)

    def post(self, endpoint: Endpoint, **changes: Any) -> Any:
        return self.client.post(
            endpoint.path,
            json=endpoint.with_(**changes),
            headers={"Authorization": f"Bearer {self._secret}"},
            buffered=True,
        )


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeOllama]:
    with FakeOllama() as server:
        server.script("*", Script(content=[CANARY, " and", " more"], delay_s=0.05))
        yield server


@pytest.fixture(scope="module")
def inside(fake: FakeOllama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    folder = tmp_path_factory.mktemp("inside") / "data"
    environ = {"DATA_DIR": str(folder), "OLLAMA_URL": fake.url}
    settings = Settings.load(environ, None)
    prepare(settings)
    app = create_app(settings)
    of(app).refresher.refresh()
    made = Inside(app)
    yield made
    for server in made.parts.scheduler.servers.values():
        server.client.close()
    made.parts.usage.flush()
    made.parts.store.database.close()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """The log as it would be written."""
    found: list[str] = []
    formatter = LineFormatter()

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(formatter.format(record))

    keeper = Keeper()
    logging.getLogger().addHandler(keeper)
    yield found
    logging.getLogger().removeHandler(keeper)


def _broken(*_: Any, **__: Any) -> Any:
    raise ValueError(f"cannot digest {CANARY}")


def _is_told(lines: list[str]) -> bool:
    """Whether the log names the fault and its place, and none of its values."""
    told = [line for line in lines if "ValueError at" in line]
    return len(told) == 1 and "_broken" in told[0] and not any(CANARY in line for line in lines)


@pytest.mark.parametrize("name", GENERATING)
def test_a_fault_before_the_answer_is_a_500_in_the_dialect(
    inside: Inside, lines: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(*READERS[name], _broken)

    answer = inside.post(GENERATING[name])

    assert answer.status_code == 500
    assert is_refusal(answer.json, GENERATING[name].vendor)
    assert answer.headers["x-request-id"] in answer.text
    assert CANARY not in answer.text
    assert _is_told(lines)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", GENERATING)
def test_a_fault_at_the_first_word_is_a_500_in_the_dialect(
    inside: Inside, lines: list[str], monkeypatch: pytest.MonkeyPatch, name: str, stream: bool
) -> None:
    monkeypatch.setattr(wire.Decoder, "feed", _broken)

    answer = inside.post(GENERATING[name], stream=stream)

    assert answer.status_code == 500
    assert is_refusal(answer.json, GENERATING[name].vendor)
    assert CANARY not in answer.text
    assert _is_told(lines)


def _break_second_feed(monkeypatch: pytest.MonkeyPatch, owner: Any) -> None:
    feed, fed = owner.feed, []

    def breaking(*given: Any) -> Any:
        fed.append(given)
        return _broken() if len(fed) == 2 else feed(*given)

    monkeypatch.setattr(owner, "feed", breaking)


def _last(name: str, body: bytes) -> dict[str, Any]:
    """Return the error a stream ends with, whatever its dialect calls it."""
    assert b"[DONE]" not in body
    assert b"message_stop" not in body
    if GENERATING[name].vendor == "ollama":
        told = json.loads(body.splitlines()[-1])
        assert set(told) == {"error"}
        return {"message": told["error"]}
    kind, data = events(body)[-1]
    if name == "responses":
        assert kind in {"response.failed", "error"}
        return data["response"]["error"] if kind == "response.failed" else data
    if name == "messages":
        assert kind == "error"
    return data["error"]


@pytest.mark.parametrize("name", GENERATING)
def test_a_fault_in_the_middle_ends_the_stream_with_an_error(
    inside: Inside, lines: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _break_second_feed(monkeypatch, wire.Decoder)

    answer = inside.post(GENERATING[name], stream=True)

    assert answer.status_code == 200
    assert "req_" in _last(name, answer.data)["message"]
    assert _is_told(lines)


@pytest.mark.parametrize("name", GENERATING)
def test_a_fault_of_a_writer_ends_the_stream_with_an_error(
    inside: Inside, lines: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(*WRITERS[name], _broken)

    answer = inside.post(GENERATING[name], stream=True)

    assert answer.status_code == 200
    assert "req_" in _last(name, answer.data)["message"]
    assert _is_told(lines)


def test_one_of_several_choices_that_breaks_ends_the_stream(
    inside: Inside, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _break_second_feed(monkeypatch, wire.Decoder)

    answer = inside.post(GENERATING["chat"], stream=True, n=2)

    assert "req_" in _last("chat", answer.data)["message"]
    assert _is_told(lines)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_fault_gives_back_what_the_call_held(
    inside: Inside, fake: FakeOllama, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    settled: list[Settlement] = []
    monkeypatch.setattr(UsageWriter, "settle", lambda _, settlement: settled.append(settlement))
    monkeypatch.setattr(wire.Decoder, "feed", _broken)

    inside.post(GENERATING["chat"], stream=stream)

    fake.wait_idle(2)
    assert [(one.finish, one.error_code) for one in settled] == [("error", "internal_error")]
    assert len(inside.parts.live) == 0
    assert not inside.parts.scheduler.in_flight()
    assert len(inside.parts.calls.monitor) == 0


@pytest.mark.parametrize("part", ["usage.settle", "metrics.settled", "traces.settled"])
def test_bookkeeping_that_breaks_costs_nobody_an_answer(
    inside: Inside, lines: list[str], monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    owner, method = part.split(".")
    monkeypatch.setattr(type(getattr(inside.parts, owner)), method, _broken)
    released: list[int] = []
    monkeypatch.setattr(Lease, "settle", lambda *_, counted: released.append(1))

    answer = inside.post(GENERATING["chat"])

    assert json.loads(answer.data)["choices"][0]["message"]["content"].startswith(CANARY)
    assert released
    assert _is_told(lines)
