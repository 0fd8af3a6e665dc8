"""Fixtures of the tests that talk to Ollama."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ollama.certificates import make_certificate


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, with its key in the same file."""
    return make_certificate(tmp_path_factory.mktemp("tls"))
