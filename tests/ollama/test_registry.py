"""How large a model is in a registry: asked of a real HTTP server, which may be anything."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from gateway.errors import NotFound
from gateway.ollama import registry
from tests.support.registry import MANIFEST, Registry
from tests.support.servers import free_port


@pytest.fixture
def there() -> Iterator[Registry]:
    """A registry that knows every model."""
    with Registry() as server:
        yield server


def size(there: Registry) -> int | None:
    return registry.fetch_size(there.url, "library", "llama3.2", "latest")


def test_the_layers_of_a_model_are_added_up(there: Registry) -> None:
    assert size(there) == 2_019_377_376 + 1_429 + 7_711 + 561


def test_the_registry_is_asked_as_ollama_asks_it_and_told_nothing_else(there: Registry) -> None:
    registry.fetch_size(there.url + "/mirror/", "someone", "tern", "8b")
    ((path, fields),) = there.asked

    assert path == "/mirror/v2/someone/tern/manifests/8b"
    assert set(fields) == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}


def test_a_model_the_registry_does_not_know_is_said(there: Registry) -> None:
    there.status, there.body = 404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'

    with pytest.raises(NotFound, match="does not know this model"):
        size(there)


def test_a_redirect_is_not_followed(there: Registry) -> None:
    there.status, there.location = 307, there.url + "/elsewhere"

    assert size(there) is None
    assert len(there.asked) == 1


NONSENSE: dict[str, tuple[int, bytes]] = {
    "a failure": (500, json.dumps(MANIFEST).encode()),
    "no JSON": (200, b"<html>"),
    "no object": (200, b"[1]"),
    "no layers": (200, b'{"layers": 5}'),
    "sizes that are none": (200, b'{"layers": [{"size": "9"}, {"size": -1}, 7, {}]}'),
    "too much": (200, b" " * 2_000_000),
}


@pytest.mark.parametrize(("status", "body"), NONSENSE.values(), ids=NONSENSE)
def test_an_answer_without_sense_is_a_size_nobody_knows(
    there: Registry, status: int, body: bytes
) -> None:
    there.status, there.body = status, body

    assert size(there) is None


def test_a_registry_that_is_slow_is_not_waited_for(
    there: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "LIMIT_S", 0.05)
    there.delay_s = 0.3
    began_s = time.monotonic()

    assert size(there) is None
    assert time.monotonic() - began_s < 0.25


@pytest.mark.parametrize(
    "address",
    [f"http://127.0.0.1:{free_port()}", "http://169.254.169.254", "http://nowhere.invalid"],
    ids=["nobody listens", "of the cloud's own", "no such name"],
)
def test_a_registry_that_is_not_there_is_no_error(address: str) -> None:
    assert registry.fetch_size(address, "library", "tern", "latest") is None
