"""Starting: one line and exit code 2 for what is wrong, an old database brought along."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from fake_ollama import FakeOllama
from gateway import start
from gateway.config import ConfigError, Settings
from gateway.runtime.database import Store
from gateway.runtime.workers import OBSERVED_S, wait_until_alone
from gateway.store.coordination import workers
from gateway.store.database import schema
from gateway.store.database.engine import Database
from gateway.version import VERSION
from tests.support.process import ROOT
from tests.support.servers import free_port, running_redis

_FOREIGN = ("GATEWAY_", "OLLAMA_", "ADMIN_", "DATABASE_", "REDIS_", "SESSION_", "PROMETHEUS_")


def environ(folder: Path, **more: str) -> dict[str, str]:
    """Give an environment with nothing of the machine's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {
        **kept,
        "DATA_DIR": str(folder / "data"),
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "PYTHONPATH": str(ROOT),
        "OLLAMA_URL": "none",
        **more,
    }


def run_start(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the start command until it ends."""
    return subprocess.run(
        [sys.executable, "-m", "gateway.start", *arguments],
        cwd=folder,
        env=environ(folder, **more),
        capture_output=True,
        text=True,
        timeout=60,
    )


VALUES = {
    "a port that is no number": ({"PORT": "http"}, "PORT: must be a whole number"),
    "a host nobody has": ({"HOST": "192.0.2.1"}, "HOST: cannot listen on 192.0.2.1"),
    "workers without Redis": ({"WEB_CONCURRENCY": "4"}, "REDIS_URL: must be set for WEB_CONC"),
    "a PostgreSQL that is not there": (
        {"DATABASE_URL": "postgresql://user:hush@127.0.0.1:1/db"},
        "DATABASE_URL: database postgresql",
    ),
    "a folder that is not there": (
        {"DATABASE_URL": "sqlite:////proc/nowhere/gateway.db"},
        "DATABASE_URL: database /proc/nowhere/gateway.db cannot be opened",
    ),
    "a data folder that is a file": ({"DATA_DIR": "/etc/hostname"}, "DATA_DIR: /etc/hostname"),
}


def check_refusal(done: subprocess.CompletedProcess[str], expected: str) -> None:
    """Raise unless the start ended with exit code 2 and one line that says `expected`."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith(f"ollama2openai: {expected}"), done.stderr
    assert "hush" not in done.stderr


@pytest.mark.parametrize(("more", "expected"), VALUES.values(), ids=VALUES)
def test_a_wrong_value_stops_the_start_with_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: dict[str, str],
    expected: str,
) -> None:
    given = environ(tmp_path, **more)
    for name in {*os.environ} - {*given}:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(os, "execv")  # it would become gunicorn
    code = start.main([])
    said = capsys.readouterr()

    check_refusal(subprocess.CompletedProcess([], code, said.out, said.err), expected)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "serve "),
        (["--version"], 0, f"ollama2openai {VERSION}"),
        (["--port", "80"], 2, "No such option"),
        (["serve", "--prepare", "now"], 2, "unexpected extra argument"),
        (["sreve"], 2, "No such command 'sreve'"),
    ],
)
def test_an_argument_that_is_no_command_starts_nothing(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        start.main(arguments)

    assert ended.value.code == code
    assert said in "".join(capsys.readouterr())


@pytest.mark.process
def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        check_refusal(run_start(tmp_path, PORT=port), f"PORT: {port} on 127.0.0.1 is in use")


@pytest.mark.process
def test_a_damaged_database_stops_the_start_with_one_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "gateway.db").write_bytes(b"no database at all" * 400)

    check_refusal(run_start(tmp_path), "DATABASE_URL: database ")


@pytest.mark.parametrize("port", [1, 1023])
def test_a_port_for_root_only_is_explained(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    def bind(self: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(ConfigError, match="set PORT to one above 1023"):
        start._check_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["::1", "[::1]", "127.0.0.1", "0.0.0.0"])
def test_every_form_of_an_address_can_be_listened_on(host: str) -> None:
    start._check_port(host, free_port())


@pytest.mark.parametrize("workers", [1, 2])
def test_several_workers_share_a_folder_for_their_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.delenv(start.METRICS_DIR, raising=False)
    old = tmp_path / "metrics" / "3000" / "counter_1.db"
    old.parent.mkdir(parents=True)
    old.touch()
    folder = start._metrics_folder(Settings(data_dir=tmp_path, web_concurrency=workers))

    assert (folder is None) == (workers == 1)
    assert old.exists() == (workers == 1)


class Serving:
    """The start command, serving."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.environ = environ(folder, **more)
        self.url = f"http://127.0.0.1:{self.environ['PORT']}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway.start"],
            cwd=ROOT,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def banner(self) -> str:
        """Read what is said before serving."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "Anthropic" in line:
                break
        return "".join(lines)

    def wait_ready(self) -> requests.Response:
        """Wait until it is ready; the loop ends with the process or with the test's time limit."""
        while self.process.poll() is None:
            with suppress(requests.ConnectionError):
                answer = requests.get(f"{self.url}/readyz", timeout=30)
                if answer.ok:
                    return answer
                assert answer.json()["status"] == "starting"
        raise AssertionError("the gateway ended")

    def kill_all(self) -> None:
        """End it and its worker at once, as a power cut does."""
        worker = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for pid in (self.process.pid, *map(int, worker.split())):
            os.kill(pid, signal.SIGKILL)
        self.process.wait(5)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait(5)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    started: list[Serving] = []

    def make(**more: str) -> Serving:
        started.append(Serving(tmp_path, **more))
        return started[-1]

    yield make
    for serving in started:
        serving.end()


@pytest.mark.process
def test_it_serves_refuses_a_second_process_and_ends_in_order(
    tmp_path: Path, serve: Callable[..., Serving], ollama: FakeOllama
) -> None:
    serving = serve(OLLAMA_URL=ollama.url)
    banner = serving.banner()
    ready = serving.wait_ready()

    check_refusal(run_start(tmp_path), "REDIS_URL: must be set: process ")
    assert f"http://localhost:{serving.environ['PORT']}/admin/" in banner
    assert ready.status_code == 200
    assert serving.end() == 0


@pytest.mark.process
def test_an_ollama_beside_it_is_found_once(tmp_path: Path, ollama: FakeOllama) -> None:
    where = {"OLLAMA_URL": "", "OLLAMA_HOST": ollama.url.removeprefix("http://")}
    first, second = (run_start(tmp_path, "serve", "--prepare", **where) for _ in range(2))
    listed = run_start(tmp_path, "server", "list", **where)

    assert f"was found at {ollama.url}." in first.stdout
    assert second.stdout.strip() == ""
    assert listed.stdout.count(ollama.url) == 1


@pytest.mark.process
def test_without_an_ollama_the_start_says_what_to_do(tmp_path: Path) -> None:
    nothing = {"OLLAMA_URL": "", "OLLAMA_HOST": f"127.0.0.1:{free_port()}"}
    done = run_start(tmp_path, "serve", "--prepare", **nothing)

    assert "No Ollama was found. Start it" in done.stdout
    assert done.returncode == 0


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.services
def test_a_restart_forgets_the_counts_of_the_run_before(
    serve: Callable[..., Serving], tmp_path: Path
) -> None:
    port = str(free_port())
    with running_redis() as redis:
        workers = {"WEB_CONCURRENCY": "2", "REDIS_URL": redis.url, "PORT": port}
        first = serve(**workers)
        first.wait_ready()
        folder = tmp_path / "data" / "metrics" / port
        before = {file.name for file in folder.iterdir()}
        first.end()
        second = serve(**workers)
        second.wait_ready()
        second.end()

    assert before
    assert not before & {file.name for file in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.process
def test_a_process_that_was_killed_keeps_none_from_starting(
    tmp_path: Path, serve: Callable[..., Serving]
) -> None:
    first = serve()
    first.wait_ready()
    first.kill_all()

    second = serve()

    assert second.wait_ready().ok
    assert second.end(signal.SIGINT) == 0


BEATS = {
    "serving elsewhere": ("there:1", [0, 3, 6, 9], "there:1"),
    "draining": ("there:1", [0, 12], ""),
    "killed on another machine": ("there:1", [0], ""),
    "ended on this machine": ("here:1", [0, 3, 6, 9], ""),
}


@pytest.mark.parametrize(("worker", "beats", "expected"), BEATS.values(), ids=BEATS)
def test_a_process_that_goes_on_is_told_from_one_that_ends(
    tmp_path: Path, worker: str, beats: list[int], expected: str
) -> None:
    """Heartbeats come at these seconds; a start looks for ten."""
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    schema.upgrade(url)
    database = Database.open(url)
    store = Store(database)
    began = datetime(2030, 5, 15, tzinfo=UTC)
    passed_s = 0.0
    left = list(beats)

    def sleep(seconds: float) -> None:
        nonlocal passed_s
        passed_s += seconds
        tell()

    def tell() -> None:
        while left and left[0] <= passed_s:
            at = began + timedelta(seconds=left.pop(0))
            store.write(workers.record, worker, started_at=began, now=at)

    tell()
    found = wait_until_alone(
        store,
        worker="here:2",
        is_alive=lambda pid: False,
        now=lambda: began + timedelta(seconds=passed_s),
        clock=lambda: passed_s,
        sleep=sleep,
    )
    database.close()

    assert found == expected
    assert passed_s <= OBSERVED_S
