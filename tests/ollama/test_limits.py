"""Which time limit ends a call, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.core.catalog import Server
from gateway.errors import UpstreamTimeout
from gateway.ollama.client import OllamaClient
from tests.fake_ollama import FakeOllama, Fault, Script
from tests.ollama.talk import MODEL, body, read, text_of

LONG_S = 30.0
SHORT_S = 0.05


@pytest.fixture
def client(ollama: FakeOllama) -> Iterator[OllamaClient]:
    client = OllamaClient(Server(1, "box", ollama.url))
    yield client
    client.close()


def ask(client: OllamaClient, idle_s: float, total_s: float | None, first_s: float) -> str:
    """Make one call; give its text."""
    with client.call(
        "/api/chat",
        body(),
        idle_timeout_s=idle_s,
        total_timeout_s=total_s,
        first_timeout_s=first_s,
    ) as upstream:
        upstream.open()
        return text_of(read(upstream))


def test_a_long_wait_for_the_first_record_is_no_silence(
    ollama: FakeOllama, client: OllamaClient
) -> None:
    ollama.script(MODEL, Script(content="Here.", first_delay_s=4 * SHORT_S))

    assert ask(client, SHORT_S, None, LONG_S) == "Here."


def test_a_stream_that_moves_outlives_the_limit_of_its_beginning(
    ollama: FakeOllama, client: OllamaClient
) -> None:
    ollama.script(MODEL, Script(content=["a"] * 20, delay_s=SHORT_S / 4))

    assert ask(client, LONG_S, None, SHORT_S * 3) == "a" * 20


def test_no_first_record_is_told_as_such(ollama: FakeOllama, client: OllamaClient) -> None:
    ollama.script(MODEL, Script(fault="no_headers"))

    with pytest.raises(UpstreamTimeout) as caught:
        ask(client, LONG_S, None, SHORT_S)

    assert str(caught.value) == "The Ollama server did not begin to answer within 0.05 seconds."


def test_no_first_record_within_the_whole_call_is_told_alike(
    ollama: FakeOllama, client: OllamaClient
) -> None:
    ollama.script(MODEL, Script(fault="no_headers"))

    with pytest.raises(UpstreamTimeout) as caught:
        ask(client, LONG_S, SHORT_S, LONG_S)

    assert str(caught.value) == "The Ollama server did not begin to answer within 0.05 seconds."


def test_silence_in_the_middle_is_told_as_such(ollama: FakeOllama, client: OllamaClient) -> None:
    ollama.script(MODEL, Script(content="One two", fault=Fault("silent_after", after=1)))

    with pytest.raises(UpstreamTimeout) as caught:
        ask(client, SHORT_S, None, LONG_S)

    assert str(caught.value) == (
        "The Ollama server stopped answering: nothing came for 0.05 seconds."
    )


def test_an_answer_that_is_not_done_in_time_is_told_as_such(
    ollama: FakeOllama, client: OllamaClient
) -> None:
    ollama.script(MODEL, Script(content="a", endless=True, delay_s=SHORT_S / 4))

    with pytest.raises(UpstreamTimeout) as caught:
        ask(client, LONG_S, 4 * SHORT_S, LONG_S)

    assert str(caught.value) == "The answer was not finished within 0.2 seconds."
