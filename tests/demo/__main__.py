"""Starts the demo, says how to look around, and cleans up when it ends."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import requests

from fake_ollama import FakeOllama, demo_models
from gateway.config import Settings
from tests.demo.house import GPU_GB, Made, furnish
from tests.demo.visitors import Visitors

ROOT = Path(__file__).resolve().parent.parent.parent
_TOKEN_S = (0.02, 0.06)
_PROGRESS_S = 0.25
_START_S = 60.0
_FOREIGN = ("GATEWAY_", "OLLAMA_", "ADMIN_", "DATABASE_URL", "REDIS_URL", "PROMETHEUS_")


def main(arguments: list[str] | None = None) -> int:
    """Run until Ctrl-C or SIGTERM; give the gateway's exit code if it ends by itself."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="default: 3000, or the next free one")
    parser.add_argument("--quiet", action="store_true", help="nobody keeps asking questions")
    chosen = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="o2a-demo-")))
        ollamas = [
            stack.enter_context(
                FakeOllama(
                    demo_models(),
                    token_delay_s=_TOKEN_S,
                    progress_delay_s=_PROGRESS_S,
                    gpu_bytes=GPU_GB * 1024**3,
                )
            )
            for _ in range(2)
        ]
        port = chosen.port or _free_port(chosen.host)
        password = secrets.token_urlsafe(9)
        environ = _environ(folder, chosen.host, port, password)
        _say("making two weeks of history ...")
        subprocess.run(
            [sys.executable, "-m", "gateway.start", "serve", "--prepare"],
            cwd=ROOT,
            env=environ,
            check=True,
        )
        addresses = dict(zip(("workstation", "basement"), (o.url for o in ollamas), strict=True))
        made = furnish(Settings.load(environ, None), addresses)
        gateway = subprocess.Popen(
            [sys.executable, "-m", "gateway.start"],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours: the gateway is asked to end in order
        )
        stack.callback(_end, gateway)
        url = f"http://{'localhost' if chosen.host == '127.0.0.1' else chosen.host}:{port}"
        if not _wait_ready(f"http://127.0.0.1:{port}", gateway, ended):
            return gateway.poll() or 0
        _say(_welcome(url, password, made))
        if not chosen.quiet:
            visitors = Visitors(f"http://127.0.0.1:{port}", made.secrets)
            visitors.start()
            stack.callback(visitors.stop)
        while not ended.wait(0.5):
            if gateway.poll() is not None:
                return gateway.returncode
        _say("\nthe demo ends and leaves nothing behind ...")
    return 0


def _environ(folder: Path, host: str, port: int, password: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {
        **kept,
        "DATA_DIR": str(folder),
        "HOST": host,
        "PORT": str(port),
        "ADMIN_USERNAME": "admin",
        "ADMIN_PASSWORD": password,
        "DATABASE_URL": f"sqlite:///{folder / 'gateway.db'}",
        "OLLAMA_URL": "",
        "REDIS_URL": "",
        "LOG_LEVEL": "warning",
        "GATEWAY_DEMO": "yes",
    }


def _free_port(host: str) -> int:
    for port in (*range(3000, 3010), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("there is no free port")


def _wait_ready(url: str, gateway: subprocess.Popen[bytes], ended: threading.Event) -> bool:
    until_s = time.monotonic() + _START_S
    while time.monotonic() < until_s and gateway.poll() is None:
        try:
            if requests.get(f"{url}/readyz", timeout=5).ok:
                return True
        except requests.RequestException:
            pass
        if ended.wait(0.1):
            return False
    _say("the gateway did not start")
    return False


def _end(gateway: subprocess.Popen[bytes]) -> None:
    """Ask it to end; a second INT does not wait for streams."""
    if gateway.poll() is None:
        gateway.send_signal(signal.SIGINT)
    try:
        gateway.wait(15)
    except subprocess.TimeoutExpired:
        gateway.kill()
        gateway.wait(5)


def _welcome(url: str, password: str, made: Made) -> str:
    key = made.secrets["Open WebUI"]
    return f"""
  Ollama2OpenAI - DEMO: the models are fake and the history is made up.

  Console   {url}/admin/
  Log in    admin / {password}

  OpenAI    {url}/v1
  Anthropic {url}
  Key       {key}

  Try it:

  curl {url}/v1/chat/completions \\
    -H "Authorization: Bearer {key}" \\
    -d '{{"model": "{made.model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'

  Ctrl-C ends the demo and removes everything it made.
"""


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
