"""Fixtures shared by all tests, and the option that turns skips into failures."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from argon2 import PasswordHasher
from flask import Flask
from jinja2 import FileSystemBytecodeCache

from fake_ollama import FakeOllama
from gateway.store import passwords
from tests.support.database import migrated
from tests.support.process import Gateway
from tests.support.servers import Postgres, running_postgres

# Machines are slow at times: no test fails for the time it took, or for data that came slowly.
hypothesis.settings.register_profile(
    "calm", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("calm")


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    """Make argon2 cheap: what a real hash costs, thousands of sign-ins would pay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_HASHER", PasswordHasher(1, 8, 1))
        yield


@pytest.fixture(scope="session", autouse=True)
def _compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Share between all applications of this process the templates they have compiled."""
    cache = FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "jinja_options", {"bytecode_cache": cache})
        yield


@pytest.fixture(autouse=True)
def _log_level() -> None:
    """Undo what an application of another test did to the level of all logs."""
    logging.getLogger().setLevel(logging.WARNING)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="a skipped test fails the run (used by CI)"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the browser's tests last: its library keeps an event loop running."""
    items.sort(key=lambda item: "tests/browser/" in item.path.as_posix())


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if config.getoption("--no-skips") and skipped:
        terminalreporter.section("skipped tests are not allowed here", red=True)
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    """A fake Ollama with the default models."""
    with FakeOllama() as server:
        yield server


@pytest.fixture(scope="session")
def shared_ollama() -> Iterator[FakeOllama]:
    """One fake Ollama for the tests that share a gateway; reset before each."""
    with FakeOllama() as server:
        yield server


@pytest.fixture(scope="session")
def shared_gateway(
    shared_ollama: FakeOllama, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A real gunicorn with one gevent worker before the shared fake Ollama."""
    with Gateway(tmp_path_factory.mktemp("gateway"), ollama_url=shared_ollama.url) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL for the whole session."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a migrated database, on each kind of store."""
    if request.param == "sqlite":
        return migrated(tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    return server.migrated()


@pytest.fixture
def live(shared_gateway: Gateway, shared_ollama: FakeOllama) -> Gateway:
    """The shared gateway with a clean fake behind it."""
    shared_ollama.reset()
    return shared_gateway


@pytest.fixture
def quick_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pulls and loads tell of themselves twenty times a second instead of once."""
    monkeypatch.setattr("gateway.management.model_jobs.WRITE_S", 0.05)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder of its own."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder
