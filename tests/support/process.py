"""Real gateway processes for tests: gunicorn as `make run` starts it, on a socket we opened.

The listening socket is ours and is handed down by number, so no port is guessed. Only processes
started here are ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from gateway.config import Settings
from gateway.core.admin import SYSTEM, Role
from gateway.services import make
from gateway.web.context import Services
from tests.support.database import prepare

ROOT = Path(__file__).resolve().parents[2]
START_S = 30.0
ADMIN_PASSWORD = "correct horse battery"


def until(look: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
    """Look again and again until something true is seen; return it. Raises AssertionError."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline_s, f"waited {timeout_s} s for {what}"
        time.sleep(0.02)


class Gateway:
    """A gateway process with its own data folder. A context manager; `url` and `key` are ready
    inside."""

    def __init__(
        self,
        folder: Path,
        *,
        ollama_url: str,
        workers: int = 1,
        env: dict[str, str] | None = None,
        issue_key: bool = True,
        around: Sequence[str] = (),
        stderr: int | None = None,
    ) -> None:
        """`around` is a command that becomes the one given to it; `stderr` is where its lines go
        instead of `log`."""
        self._stderr = stderr
        self.folder = folder
        self._around = around
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = ""
        self._issue = issue_key
        self._log = tempfile.NamedTemporaryFile("a")  # noqa: SIM115  # closed with the gateway
        self._lines: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("GATEWAY_", "COV_"))},
            "DATA_DIR": str(folder),
            "OLLAMA_URL": ollama_url,
            "ADMIN_USERNAME": "admin",
            "ADMIN_PASSWORD": ADMIN_PASSWORD,
            "WEB_CONCURRENCY": str(workers),
            "PORT": str(self.port),
            "HOST": "127.0.0.1",
            "WRONG_KEYS_PER_MINUTE": "100000",  # the tests share an address
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            **(env or {}),
        }

    def __enter__(self) -> Gateway:
        self.prepare()
        if self._issue:
            self.key = self.issue_key("test key")
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(signal.SIGQUIT)  # a second sooner than by SIGTERM
        self._sock.close()
        self._lines = self.log
        self._log.close()

    @property
    def pid(self) -> int:
        """The master's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> list[str]:
        """The lines it has written so far; all of them once it was left."""
        if not self._log.closed:
            self._lines = Path(self._log.name).read_text().splitlines(keepends=True)
        return self._lines

    @property
    def exit_code(self) -> int | None:
        """The master's exit code, None while it runs."""
        return None if self._process is None else self._process.poll()

    def prepare(self) -> None:
        """Make the store ready; a worker refuses models it has not heard of, so ask for them."""
        prepare(self._settings())
        with self.parts() as parts:
            parts.refresher.refresh()

    def start(self) -> None:
        """Start gunicorn and wait until it answers."""
        fd = self._sock.fileno()
        self._process = subprocess.Popen(
            [*self._around, sys.executable, "-m", "gunicorn", "-c", "gateway/gunicorn.conf.py",
             "--bind", f"fd://{fd}", "wsgi:app"],
            cwd=ROOT, env=self.environ, pass_fds=[fd], text=True,
            stderr=self._log if self._stderr is None else self._stderr,
        )  # fmt: skip
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{self.url}/readyz", timeout=START_S).ok:
                    return
        self.stop(signal.SIGKILL)
        raise RuntimeError("the gateway did not start:\n" + "".join(self.log[-40:]))

    def stop(self, how: signal.Signals = signal.SIGTERM, timeout_s: float = 60.0) -> int | None:
        """End it; give the exit code."""
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        return process.returncode

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of the project with this gateway's environment."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environ,
            check=check,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @contextlib.contextmanager
    def parts(self) -> Iterator[Services]:
        """Give services of this process on the gateway's database. What they do in a moment costs
        a command seconds, as it imports everything anew."""
        made = make(self._settings())
        try:
            yield made
        finally:
            for server in made.scheduler.servers.values():
                server.client.close()
            made.store.database.close()

    def issue_key(self, name: str, **fields: Any) -> str:
        """Make a key, for all models where nothing else is said; give its secret."""
        with self.parts() as parts:
            return parts.keys.issue({"name": name, "allow": ["*"], **fields}, SYSTEM)[1]

    def issue_token(self, role: Role = "owner") -> str:
        """Make a token of the admin API; give its secret."""
        with self.parts() as parts:
            return parts.admins.tokens.issue("tests", role, SYSTEM)[1]

    def _settings(self) -> Settings:
        return Settings.load(self.environ, None)
