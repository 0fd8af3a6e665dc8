"""Applications before one fake Ollama: one for the tests that leave no trace in it, and homes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fake_ollama import FakeOllama
from tests.api.apps import App, application
from tests.api.homes import Home, close, opened


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


@pytest.fixture(scope="package")
def open_home(
    tmp_path_factory: pytest.TempPathFactory, shared_ollama: FakeOllama
) -> Iterator[Home]:
    """A home with one anonymous key; no test may change a key or setting."""
    shared_ollama.reset()
    home = opened(tmp_path_factory.mktemp("home"), shared_ollama.url)
    home.parts.refresher.refresh()
    home.issue()
    yield home
    close(home)


@pytest.fixture
def home(tmp_path: Path, ollama: FakeOllama) -> Iterator[Home]:
    """A home with models and without keys."""
    home = opened(tmp_path / "data", ollama.url)
    home.parts.refresher.refresh()
    yield home
    close(home)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Callable[..., Home]]:
    """Open a home with an anonymous key and environment variables."""
    homes: list[Home] = []

    def make(**environ: str) -> Home:
        homes.append(opened(tmp_path / "data", "", **environ))
        homes[0].issue()
        return homes[0]

    yield make
    for home in homes:
        close(home)
