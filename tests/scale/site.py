"""A whole installation on this machine: what `deploy/compose.scale.yml` describes, without Docker.

nginx runs with the very file of `deploy/`; only addresses and folders are put in.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

import pytest
import requests

from gateway.config import Settings
from tests.support.process import ROOT
from tests.support.servers import Process, free_port, running_postgres, running_redis

START_S = 90.0
_FOREIGN = ("GATEWAY_", "OLLAMA_", "ADMIN_", "PROMETHEUS_", "OTEL_")


class Node:
    """One gateway, started as an operator starts it."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        folder.mkdir(mode=0o700)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"
        self.environ = {**environ, "DATA_DIR": str(folder / "data"), "PORT": str(self.port)}
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start it, without waiting."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway.start"],
                cwd=ROOT,
                env=self.environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Wait until it can serve."""
        until_s = time.monotonic() + START_S
        assert self.process is not None
        while time.monotonic() < until_s and self.process.poll() is None:
            with suppress(requests.RequestException):
                if requests.get(f"{self.url}/readyz", timeout=5).ok:
                    return
        raise AssertionError(f"a gateway did not start:\n{self.log.read_text()[-3000:]}")

    def stop(self, timeout_s: float = 80.0) -> int:
        """End it in order; give its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """End master and workers at once, as a power cut does."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


class Site:
    """Four gateways behind nginx, sharing PostgreSQL and Redis. A context manager."""

    def __init__(self, folder: Path, ollama_url: str, nodes: int = 4) -> None:
        self.folder = folder
        self._ollama_url = ollama_url
        self._count = nodes
        self._stack = ExitStack()
        self.nodes: list[Node] = []
        self.url = ""

    def __enter__(self) -> Site:
        with self._stack as stack:
            postgres = stack.enter_context(running_postgres())
            redis = stack.enter_context(running_redis())
            kept = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
            self.environ = {
                **kept,
                "DATABASE_URL": postgres.url().replace("+psycopg", ""),
                "REDIS_URL": redis.url,
                "SESSION_SECRET": "the same for all gateways",
                "OLLAMA_URL": self._ollama_url,
                "ADMIN_PASSWORD": "correct horse battery",
                "TRUSTED_PROXIES": "1",
                "HOST": "127.0.0.1",
                "PYTHONPATH": str(ROOT),
            }
            for number in range(self._count):
                self.nodes.append(Node(self.folder / f"node{number}", self.environ))
            for node in self.nodes:  # all at once: the schema is made by one of them
                node.launch()
                stack.callback(self._end, node)
            for node in self.nodes:
                node.wait_ready()
            stack.callback(self._start_nginx().stop, signal.SIGTERM)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def settings(self) -> Settings:
        """Give settings for a further process of this site."""
        environ = {**self.environ, "DATA_DIR": str(self.folder / "operator")}
        return Settings.load(environ, None)

    def command(self, *arguments: str) -> str:
        """Run an operator's command; give what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "wsgi", *arguments],
            cwd=ROOT,
            env={**self.environ, "DATA_DIR": str(self.folder / "operator")},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout.strip()

    def _end(self, node: Node) -> None:
        if node.process is not None and node.process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                node.stop(20.0)

    def _start_nginx(self) -> Process:
        binary = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
        if binary is None:
            pytest.skip("nginx is not installed: apt-get install nginx")
        folder = self.folder / "nginx"
        folder.mkdir(mode=0o755)
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text(configured(folder, port, [node.port for node in self.nodes]))
        process = Process([binary, "-c", str(config), "-p", str(folder)], None, folder)
        process.start(port)
        self.url = f"http://127.0.0.1:{port}"
        return process


def configured(folder: Path, port: int, gateways: list[int]) -> str:
    """Give `deploy/nginx.conf` for this machine: addresses, folders, no resolver of Docker's."""
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    servers = "\n".join(
        f"        server 127.0.0.1:{gateway} max_fails=2 fail_timeout=5s;" for gateway in gateways
    )
    for pattern, replacement in (
        (r"^ *server gateway:3000 .*$", servers),
        (r"^ *resolver .*$", ""),
        (r"listen 3000;", f"listen 127.0.0.1:{port};"),
        (r"^http \{", f"http {{\n    access_log off;\n{_folders(folder)}"),
        (r"^worker_processes auto;", _head(folder)),
    ):
        text, found = re.subn(pattern, replacement, text, flags=re.M)
        assert found == 1, pattern
    return text


def _head(folder: Path) -> str:
    user = "user root;\n" if os.geteuid() == 0 else ""
    return (
        f"{user}daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nworker_processes 1;"
    )


def _folders(folder: Path) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "\n".join(f"    {kind}_temp_path {folder}/{kind};" for kind in kinds)
