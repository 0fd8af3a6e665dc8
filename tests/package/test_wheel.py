"""The wheel alone, in an empty environment and folder: it serves, and its commands work."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import requests

from tests.package.conftest import run

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]


def test_it_answers_a_call_and_shows_its_pages(
    url: str, programs: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    key = run(
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
