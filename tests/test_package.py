"""The wheel alone, in an empty environment and folder: it serves, and its commands work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.fake_ollama import FakeOllama
from tests.process import ROOT
from tests.servers import free_port

UV = Path(sys.executable).with_name("uv")
pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of an environment with nothing in it but the wheel."""
    folder = tmp_path_factory.mktemp("package")
    _run([UV, "build", "--wheel", "--out-dir", folder, ROOT])
    (wheel,) = folder.glob("*.whl")
    _run([UV, "venv", "--python", sys.executable, folder / "venv"])
    programs = folder / "venv" / "bin"
    _run([UV, "pip", "install", "--python", programs / "python", wheel])
    return programs


@pytest.fixture
def environ(tmp_path: Path, ollama: FakeOllama) -> dict[str, str]:
    """The environment of a new user: an empty folder, an Ollama the command can find."""
    return {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "OLLAMA_HOST": ollama.url,
    }


@pytest.fixture
def url(programs: Path, tmp_path: Path, environ: dict[str, str]) -> Iterator[str]:
    """The address of the gateway, served by the bare command."""
    address = f"http://127.0.0.1:{environ['PORT']}"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [programs / "ollama2openai"], cwd=tmp_path, env=environ, stdout=log, stderr=log
        )
        try:
            while not _is_ready(address):
                assert process.poll() is None, (tmp_path / "log").read_text()
            yield address
        finally:
            process.terminate()
            process.wait(60)


def _is_ready(address: str) -> bool:
    with suppress(requests.ConnectionError):
        return requests.get(f"{address}/readyz", timeout=10).ok
    return False


def _run(command: list[str | Path], **kwargs: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **kwargs)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


def test_it_answers_a_call_and_shows_its_pages(
    url: str, programs: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    key = _run(
        [programs / "ollama2openai", "key", "create", "first"], cwd=tmp_path, env=environ
    ).strip()
    answer = requests.post(
        f"{url}/v1/chat/completions",
        headers={"Authorization": f"Bearer {key}"},
        json={"model": "llama3.2", "messages": [{"role": "user", "content": "Hello!"}]},
        timeout=30,
    )
    login = requests.get(f"{url}/auth/login", headers={"Accept-Language": "zh-CN"}, timeout=30)
    style = requests.get(f"{url}/static/gateway.css", timeout=30)

    assert answer.json()["choices"][0]["message"]["content"]
    assert "密码" in login.text
    assert style.status_code == 200
    assert (tmp_path / ".local" / "share" / "ollama2openai" / "gateway.db").is_file()


@pytest.mark.parametrize(
    ("variable", "value", "extra"),
    [
        ("DATABASE_URL", "postgresql://user:hush@127.0.0.1/db", "postgresql"),
        ("REDIS_URL", "redis://:hush@127.0.0.1:6379/0", "redis"),
    ],
)
def test_an_extra_that_is_not_installed_is_named(
    programs: Path, tmp_path: Path, environ: dict[str, str], variable: str, value: str, extra: str
) -> None:
    done = subprocess.run(
        [programs / "ollama2openai"],
        cwd=tmp_path,
        env={**environ, variable: value},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"pip install 'ollama2openai[{extra}]'" in done.stderr
    assert "hush" not in done.stderr
