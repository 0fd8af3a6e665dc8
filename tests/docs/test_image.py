"""The image's content, made by the very commands of the Dockerfile in a clean folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from fake_ollama import FakeOllama
from tests.docs.dockerfile import Dockerfile
from tests.docs.reading import ROOT
from tests.support.servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.process, pytest.mark.timeout(900)]

MOST_BYTES = 150_000_000
_FOREIGN = ("GATEWAY_", "OLLAMA_", "ADMIN_", "DATABASE_", "REDIS_", "SESSION_", "PYTHON")


def environ(**more: str) -> dict[str, str]:
    """Give an environment with nothing of this machine's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, **more}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder /app as the build stage leaves it; the image takes its `.venv`."""
    folder = tmp_path_factory.mktemp("image") / "app"
    folder.mkdir()
    for word, rest in Dockerfile().stages[0]:
        if word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                _copy(ROOT / source, folder / target)
        elif word == "RUN":
            command = rest.replace("python -m venv", _venv(), 1)
            done = subprocess.run(
                ["sh", "-ec", command], cwd=folder, env=environ(), capture_output=True, text=True
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return folder


def _venv() -> str:
    return f"{sys.executable} -m venv"


def _copy(source: Path, target: Path) -> None:
    """Copy as the build does: what .dockerignore names stays out."""
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(source, target, ignore=ignored)
    else:
        shutil.copy(source, target / source.name if target.is_dir() else target)


def test_it_is_small_and_has_no_tools_to_build_with(app: Path) -> None:
    installed = (app / ".venv").rglob("*")
    size = sum(file.lstat().st_size for file in installed if not file.is_dir())
    sys.stdout.write(f"\n  the image's content is {size / 1e6:.0f} MB\n")

    assert size <= MOST_BYTES
    assert not list(app.glob(".venv/bin/pip*"))


def test_it_serves_and_its_health_check_tells(
    app: Path, ollama: FakeOllama, tmp_path: Path
) -> None:
    programs = app / ".venv" / "bin"
    port = free_port()
    env = environ(
        DATA_DIR=str(tmp_path / "data"), PORT=str(port), HOST="127.0.0.1", OLLAMA_URL=ollama.url
    )
    check = [str(programs / "python"), "-m", "gateway.healthcheck"]
    before = subprocess.run(check, cwd=tmp_path, env=env)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(programs / "ollama2openai")], cwd=tmp_path, env=env, stdout=log, stderr=log
        )
        try:
            while subprocess.run(check, cwd=tmp_path, env=env).returncode:
                assert process.poll() is None, (tmp_path / "log").read_text()
            login = {
                language: requests.get(
                    f"http://127.0.0.1:{port}/auth/login",
                    headers={"Accept-Language": language},
                    timeout=30,
                )
                for language in ("en", "zh-CN")
            }
            style = requests.get(f"http://127.0.0.1:{port}/static/gateway.css", timeout=30)
        finally:
            process.terminate()
            code = process.wait(60)

    assert before.returncode == 1
    assert {page.status_code for page in login.values()} == {200}
    assert "密码" in login["zh-CN"].text
    assert "Password" in login["en"].text
    assert style.status_code == 200
    assert code == 0
