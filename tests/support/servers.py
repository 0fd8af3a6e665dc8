"""Private PostgreSQL and Redis servers for tests: own folder, own free port, ended by their pid.

PostgreSQL refuses to run as root, so as root the server runs as the `postgres` user (Debian makes
it) or `nobody`. A test that needs a server and finds no binary is skipped loudly.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.store.database import schema

_START_S = 30.0


def free_port() -> int:
    """Give a port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _binary(name: str) -> str | None:
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return str(debian[0]) if debian else shutil.which(name)


def _unprivileged() -> pwd.struct_passwd | None:
    """Give whom PostgreSQL shall run as, where we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise AssertionError("no unprivileged user to run PostgreSQL as")


class Process:
    """A server process of ours; `stop` ends it, `freeze` and `thaw` suspend it."""

    def __init__(self, command: list[str], user: pwd.struct_passwd | None, folder: Path) -> None:
        self.command = command
        self.folder = folder
        self._user = user
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, ready_port: int) -> None:
        """Start, and wait until the port answers."""
        identity = (
            {}
            if self._user is None
            else {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        )
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **identity,
            )
        until_s = time.monotonic() + _START_S
        while time.monotonic() < until_s:
            assert self.process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", ready_port), 0.2),
            ):
                return
            time.sleep(0.02)
        raise AssertionError(f"{self.command[0]} did not start")

    def send(self, number: int) -> None:
        """Send a signal to the server and to what it started."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def stop(self, number: int = signal.SIGQUIT) -> None:
        """End the server and wait for it."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(5)
        self.process = None


class Postgres(Process):
    """A PostgreSQL of our own; `url(name)` makes an empty database and gives its address."""

    def __init__(self, folder: Path) -> None:
        initdb, server = _binary("initdb"), _binary("postgres")
        if initdb is None or server is None:
            pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
        user = _unprivileged()
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        identity = (
            {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        )
        data = folder / "data"
        subprocess.run(
            [initdb, "-D", str(data), "-U", "gateway", "-A", "trust", "-E", "UTF8",
             "--locale=C.UTF-8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **identity,
        )  # fmt: skip
        self.port = free_port()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "fsync": "off",
            "unix_socket_directories": str(folder),
            "max_connections": "200",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        super().__init__([server, "-D", str(data), *flags], user, folder)
        self._made = 0
        self._template = ""

    def start(self, ready_port: int | None = None) -> None:
        """Start, and wait until queries are answered."""
        import psycopg

        super().start(self.port)
        until_s = time.monotonic() + _START_S
        while time.monotonic() < until_s:
            with contextlib.suppress(psycopg.OperationalError), self._admin():
                return
            time.sleep(0.05)
        raise AssertionError("PostgreSQL does not answer")

    def freeze(self) -> None:
        """Suspend the server and its backends: connections stay, and nobody answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: int) -> None:
        """Signal the postmaster first, so that it starts no more backends, then those: each has
        a process group of its own."""
        assert self.process is not None
        master = self.process.pid
        os.kill(master, number)
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), number)

    def _admin(self):
        import psycopg

        return psycopg.connect(
            f"postgresql://gateway@127.0.0.1:{self.port}/postgres", autocommit=True
        )

    def url(self, template: str = "template1") -> str:
        """Make an empty database, or a copy of another, and give its address."""
        self._made += 1
        name = f"gateway_{self._made}"
        with self._admin() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return f"postgresql+psycopg://gateway@127.0.0.1:{self.port}/{name}"

    def migrated(self) -> str:
        """Make a database that is up to date and give its address."""
        if not self._template:
            url = self.url()
            schema.upgrade(url)
            self._template = url.rpartition("/")[2]
        return self.url(self._template)


class Redis(Process):
    """A Redis of our own, without persistence."""

    def __init__(self, folder: Path) -> None:
        server = shutil.which("redis-server")
        if server is None:
            pytest.skip("Redis is not installed: apt-get install redis-server")
        self.port = free_port()
        super().__init__(
            [
                server,
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                str(folder),
            ],
            None,
            folder,
        )

    @property
    def url(self) -> str:
        """The address for REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Give a running PostgreSQL and end it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-pg-"))
    server: Postgres | None = None
    try:
        server = Postgres(folder)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running_redis() -> Iterator[Redis]:
    """Give a running Redis and end it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-redis-"))
    server: Redis | None = None
    try:
        server = Redis(folder)
        server.start(server.port)
        yield server
    finally:
        if server is not None:
            server.stop(signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
