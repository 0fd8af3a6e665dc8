"""Start and stop what is measured: the gateway, nginx, the naive baseline, and the fake itself.

Each target is a process tree of its own on a free port of 127.0.0.1, with its files and its log in
a temporary folder. Only processes started here are ended, by their process id.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from benchmarks import measure, wire

ROOT = Path(__file__).resolve().parent.parent
START_S = 40.0
STREAMS = 2_500  # connections each target must be able to hold
SLOTS = 1_024  # calls the fake runs at once: nobody waits in line while the cost is measured
_KEY = re.compile(r"sk-[A-Za-z0-9_-]{20,}")
_NGINX = """
daemon off;
user {user};
worker_processes {workers};
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 64m;
    client_body_buffer_size 256k;
    upstream ollama {{
        server 127.0.0.1:{upstream};
        keepalive 2048;
        keepalive_requests 1000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://ollama;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 600s;
        }}
    }}
}}
"""


@dataclass(slots=True)
class Target:
    """A running target. `dialect` builds the requests it understands."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    folder: Path
    dialect: wire.Dialect
    key: str = ""
    database: str = ""

    @property
    def pid(self) -> int:
        """Return the root of the process tree."""
        return self.process.pid

    def stop(self) -> None:
        """End the process tree and remove its folder."""
        end(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Target:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def fake(more_models: int = 0, also: Sequence[str] = ()) -> Target:
    """Start the fast fake Ollama; as a target it is the direct way, without a gateway.

    Its catalogue is lengthened by `more_models` and by the names in `also`.
    """
    command = [sys.executable, "-m", "benchmarks.fast_ollama", "--more-models", str(more_models)]
    command += ["--also", *also]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    return Target("direct", port, process, _folder(), wire.ollama())


def nginx(upstream: int, workers: int = 1) -> Target:
    """Start Debian's nginx as a pass-through to the fake."""
    folder, port = _folder(), free_port()
    folder.chmod(0o755)
    user = "www-data" if os.geteuid() == 0 else "nobody"
    text = _NGINX.format(folder=folder, port=port, upstream=upstream, workers=workers, user=user)
    (folder / "nginx.conf").write_text(text)
    binary = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if binary is None:
        raise FileNotFoundError("nginx is not installed (Debian: apt-get install nginx-light)")
    process = _start([binary, "-c", str(folder / "nginx.conf")], folder, {})
    return _ready(Target("nginx", port, process, folder, wire.ollama()), "/api/version")


def naive(upstream: int) -> Target:
    """Start the obvious Flask gateway under gunicorn with one gevent worker."""
    folder, port = _folder(), free_port()
    command = [sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", "1"]
    command += ["--worker-connections", str(STREAMS), "--backlog", "4096", "-t", "120"]
    command += ["--no-control-socket", "-b", f"127.0.0.1:{port}", "benchmarks.naive:app"]
    process = _start(command, folder, {"OLLAMA_URL": f"http://127.0.0.1:{upstream}"})
    return _ready(Target("naive", port, process, folder, wire.openai("")), "/v1/models")


def ours(
    upstream: int, workers: int = 1, database: str = "", extra: dict[str, str] | None = None
) -> Target:
    """Start the gateway as it is deployed, with an empty database and a key of its own.

    `database` names an existing database instead; `extra` adds environment variables.
    """
    folder, port = _folder(), free_port()
    url = database or f"sqlite:///{folder}/gateway.db"
    variables = {
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "OLLAMA_URL": f"http://127.0.0.1:{upstream}",
        "DATABASE_URL": url,
        "DATA_DIR": str(folder / "data"),
        "SESSION_SECRET": "benchmark-only-0123456789abcdef0123456789abcdef",
        "WEB_CONCURRENCY": str(workers),
        "GRACEFUL_TIMEOUT": "5",
    } | (extra or {})
    run_module(["gateway.start", "serve", "--prepare"], variables)
    run_module(["benchmarks.seed", url, "slots", str(SLOTS)], {})
    key = issue_key(variables)
    config = next(
        ROOT / p for p in ("gunicorn.conf.py", "gateway/gunicorn.conf.py") if (ROOT / p).exists()
    )
    serve = [sys.executable, "-m", "gunicorn", "-c", str(config), "wsgi:app"]
    process = _start(serve, folder, variables)
    target = Target("ours", port, process, folder, wire.openai(key), key, url)
    _ready(target, "/v1/models", key, b'"quick')
    measure.wait_until_quiet(target.pid)  # it asks its server about each model meanwhile
    return target


def issue_key(variables: dict[str, str], name: str = "bench") -> str:
    """Issue an API key by the command line and return it."""
    printed = run_module(["flask", "--app", "wsgi", "key", "create", name], variables)
    found = _KEY.search(printed)
    if not found:
        raise RuntimeError(f"key create printed no key: {printed!r}")
    return found[0]


def environment(variables: dict[str, str]) -> dict[str, str]:
    """Return what a target finds around it: bytecode is kept, as wherever it is deployed; else
    compiling at the start leaves its traces in the memory that is measured."""
    found = os.environ | variables
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    return found


def run_module(module: list[str], variables: dict[str, str]) -> str:
    """Run a module with its arguments and return what it printed; raises when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", *module],
        cwd=ROOT,
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(module)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def end(process: subprocess.Popen[bytes], grace_s: float = 15.0) -> None:
    """Ask a process to end, and make it after `grace_s`."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="bench-"))


def _start(command: list[str], folder: Path, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment(variables), stdout=log, stderr=subprocess.STDOUT
        )


def _ready(target: Target, path: str, key: str = "", holds: bytes = b"") -> Target:
    """Wait until a GET answers 200 with `holds` in it; else stop the target and raise with its log.

    The gateway answers before it has asked its server for the models, so it is asked for one.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    gone_by = time.monotonic() + START_S
    while time.monotonic() < gone_by and target.process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=5)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            if answer.status == 200 and holds in answer.read():
                connection.close()
                return target
        connection.close()
        time.sleep(0.05)
    log = (target.folder / "log").read_text(errors="replace")[-4_000:]
    target.stop()
    raise RuntimeError(f"{target.name} did not answer on {path}:\n{log}")
