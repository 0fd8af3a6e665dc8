"""The demo as a newcomer meets it: started, looked at, ended."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.process import ROOT
from tests.support.servers import free_port

START_S = 90.0
END_S = 30.0


class Demo:
    """A running demo and what it printed so far."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.lines: list[str] = []
        self._welcomed = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.demo", "--port", str(self.port), "--quiet"],
            cwd=ROOT, env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._welcomed.wait(START_S), "".join(self.lines)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def end(self) -> int:
        """End it as Ctrl-C does; give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait(5)
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if "Ctrl-C" in line:
                self._welcomed.set()
        self._welcomed.set()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    made = Demo(tmp_path)
    yield made
    made.end()


@pytest.mark.process
def test_the_demo_answers_shows_its_history_and_leaves_nothing(demo: Demo, tmp_path: Path) -> None:
    said = re.search(r"curl (\S+) .*?Bearer (\S+)\" .*?-d '(.+?)'\n", demo.text, re.S)
    login = re.search(r"Log in +(\S+) / (\S+)", demo.text)
    assert said, demo.text
    assert login, demo.text
    answer = requests.post(
        said[1].replace("localhost", "127.0.0.1"),
        data=said[3],
        headers={"Authorization": f"Bearer {said[2]}"},
        timeout=30,
    )
    with requests.Session() as browser:
        page = browser.get(f"{demo.url}/auth/login", timeout=30).text
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        assert token, page
        form = {"csrf_token": token[1], "username": login[1], "password": login[2]}
        home = browser.post(f"{demo.url}/auth/login", data=form, timeout=30)
        usage = browser.get(f"{demo.url}/admin/usage", timeout=30)
    code = demo.end()

    assert answer.json()["choices"][0]["message"]["content"]
    assert home.url.startswith(f"{demo.url}/admin"), home.url
    assert "Demo: the models are fake" in home.text
    assert "Coding agent" in usage.text
    assert code == 0
    assert "DEMO" in demo.text
    assert not list(tmp_path.iterdir())
