"""Small helpers for tests that talk to a fake Ollama through the real client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from fake_ollama import FakeOllama
from gateway.core.chat import ChatRequest, Message, Params
from gateway.core.events import Event, Failed, Finish, TextDelta
from gateway.ollama import wire
from gateway.ollama.client import OllamaClient, Upstream
from gateway.schemas.server import Server

MODEL = "llama3.2:latest"
WORDS = ["One", " two", " three"]
TEXT = "".join(WORDS)


def server(url: str, **fields: Any) -> Server:
    return Server(id=1, name="one", url=url, **fields)


@contextmanager
def client_of(
    ollama: FakeOllama | str, *, connect_s: float = 2.0, **fields: Any
) -> Iterator[OllamaClient]:
    url = ollama if isinstance(ollama, str) else ollama.url
    client = OllamaClient(server(url, **fields), connect_timeout_s=connect_s, pool_size=4)
    try:
        yield client
    finally:
        client.close()


def body(model: str = MODEL, text: str = "Count.", **params: Any) -> bytes:
    request = ChatRequest(model, (Message("user", text),), Params(**params))
    return wire.encode(request, model)


def call(
    client: OllamaClient, data: bytes | None = None, *, idle_s: float | None = 5.0
) -> Upstream:
    return client.post("/api/chat", body() if data is None else data, read_timeout_s=idle_s)


def read(upstream: Upstream) -> list[Event]:
    """Read one answer to its end."""
    decoder = wire.Decoder()
    events: list[Event] = []
    for lines in upstream.lines():
        events += decoder.feed(lines)
    return events + decoder.end()


def ask(
    client: OllamaClient, data: bytes | None = None, *, idle_s: float | None = 5.0
) -> list[Event]:
    """Make one call and read all of its answer."""
    with call(client, data, idle_s=idle_s) as upstream:
        return read(upstream)


def text_of(events: Iterable[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def end_of(events: list[Event]) -> Finish | Failed:
    last = events[-1]
    assert isinstance(last, Finish | Failed)
    assert not any(isinstance(event, Finish | Failed) for event in events[:-1])
    return last
