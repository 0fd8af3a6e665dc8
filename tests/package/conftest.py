"""An environment with nothing in it but our wheel, and a gateway it serves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from fake_ollama import FakeOllama
from tests.support.process import ROOT
from tests.support.servers import free_port

UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of an environment with nothing in it but the wheel."""
    folder = tmp_path_factory.mktemp("package")
    run([UV, "build", "--wheel", "--out-dir", folder, ROOT])
    (wheel,) = folder.glob("*.whl")
    run([UV, "venv", "--python", sys.executable, folder / "venv"])
    programs = folder / "venv" / "bin"
    run([UV, "pip", "install", "--python", programs / "python", wheel])
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


def run(command: list[str | Path], **kwargs: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **kwargs)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)
