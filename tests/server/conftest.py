"""A real gunicorn with our worker and a small application."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.support.process import ROOT
from tests.support.wire import TIMEOUT_S, Wire

ENVIRON = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


class Site:
    """A running gunicorn; `wire()` opens a connection that is closed with the block."""

    def __init__(
        self, folder: Path, head_s: float = 30, idle_s: float = 30, grace_s: float = 30
    ) -> None:
        self._log = folder / "log"
        self._environ = ENVIRON | {
            "HEAD_S": str(head_s), "BODY_IDLE_S": str(idle_s), "BODY_GRACE_S": str(grace_s)
        }  # fmt: skip
        self._stack = ExitStack()
        self.port = 0

    def __enter__(self) -> Site:
        listener = self._stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        self.port = listener.getsockname()[1]
        errors = self._stack.enter_context(self._log.open("w"))
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "-c", "python:tests.server.site"),
                *("--bind", f"fd://{listener.fileno()}", "tests.server.site:app"),
            ],
            cwd=ROOT,
            env=self._environ,
            pass_fds=[listener.fileno()],
            stderr=errors,
        )
        self._stack.callback(process.wait, 30)
        self._stack.callback(process.send_signal, signal.SIGQUIT)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def wire(self) -> Wire:
        return self._stack.enter_context(Wire(self, TIMEOUT_S))

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Close in the end the connections that were opened inside."""
        outer, self._stack = self._stack, ExitStack()
        try:
            yield
        finally:
            self._stack.close()
            self._stack = outer

    def log(self) -> str:
        return self._log.read_text()


@pytest.fixture(scope="package")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    """The shared gunicorn; connections opened by a test are closed after it."""
    with shared_site.visit():
        yield shared_site
