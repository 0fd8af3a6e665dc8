"""Real gateways before fake Ollamas, one a module; the fakes are reset before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.faults.site import Site

QUICK = {
    "request_timeout_ms": 2_000,
    "idle_timeout_s": 2,
    "connect_timeout_s": 2,
    "sse_comment_interval_s": 1,
    "stream_commit_ms": 500,
}

PATIENT = {"request_timeout_ms": 600_000, "idle_timeout_s": 60}


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("one"), 1, **QUICK) as site:
        yield site


@pytest.fixture
def one(one_server: Site) -> Iterator[Site]:
    """A gateway before one server."""
    one_server.ollama.reset()
    yield one_server
    one_server.ollama.release()


@pytest.fixture(scope="module")
def three_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("three"), 3, **{**QUICK, **PATIENT}) as site:
        yield site


@pytest.fixture
def three(three_servers: Site) -> Iterator[Site]:
    """A gateway before three servers."""
    for ollama in three_servers.ollamas:
        ollama.reset()
    yield three_servers
    for ollama in three_servers.ollamas:
        ollama.release()
