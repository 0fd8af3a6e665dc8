"""One application before one fake Ollama for the tests that leave no trace in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fake_ollama import FakeOllama
from tests.api.apps import App, application


@pytest.fixture
def ollama(shared_ollama: FakeOllama) -> FakeOllama:
    shared_ollama.reset()
    return shared_ollama


@pytest.fixture(scope="package")
def shared_app(
    tmp_path_factory: pytest.TempPathFactory, shared_ollama: FakeOllama
) -> Iterator[App]:
    shared_ollama.reset()
    with application(tmp_path_factory.mktemp("api"), shared_ollama) as app:
        yield app


@pytest.fixture
def app(shared_app: App, ollama: FakeOllama) -> App:
    """The shared application, its server well; no test may change a setting, key or model."""
    shared_app.rest()
    return shared_app
