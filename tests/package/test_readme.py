"""The first screen of the README, pasted from top to bottom into one shell, in both languages."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.docs.reading import ROOT, blocks

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]
INSTALLS = {"docker", "alias", "pipx", "git", "cd", "make"}
"""First words of lines that install or serve: what they do is done by the fixtures."""


@pytest.mark.parametrize(
    "name", ["README.md", pytest.param("README.zh.md", marks=pytest.mark.slow)]
)
def test_its_commands_reach_an_answer(
    url: str, programs: Path, tmp_path: Path, environ: dict[str, str], name: str
) -> None:
    texts = [block.text for block in blocks("bash") if block.page == ROOT / name]
    lines = [line for text in texts for line in text.splitlines() if not _installs(line)]
    script = "\n".join(["set -euo pipefail", *lines])
    path = f"{programs}:{environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**environ, "PATH": path},
        capture_output=True,
        text=True,
    )

    assert len(lines) == 2
    assert done.returncode == 0, done.stderr
    assert re.search(r'"role":\s*"assistant"', done.stdout)
    assert f"{url.replace('127.0.0.1', 'localhost')}/v1/chat/completions" in done.stderr


def _installs(line: str) -> bool:
    words = shlex.split(line)
    return words[0] in INSTALLS or words == ["ollama2openai"]
