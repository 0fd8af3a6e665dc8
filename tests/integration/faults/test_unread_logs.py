"""Nobody reads what the gateway writes: it serves, and it ends when it is told to (P8)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from fake_ollama import FakeOllama
from tests.support.process import Gateway

pytestmark = pytest.mark.process


@pytest.mark.slow
def test_a_gateway_whose_output_nobody_reads_serves_and_ends(
    tmp_path: Path, ollama: FakeOllama
) -> None:
    reader, full = os.pipe()
    os.set_blocking(full, False)
    with suppress(BlockingIOError):
        while os.write(full, b"x" * 4096):  # as much as a write to a pipe is all or nothing
            pass
    os.set_blocking(full, True)
    with Gateway(tmp_path, ollama_url=ollama.url, stderr=full) as gateway:
        answers = [
            requests.get(f"{gateway.url}/v1/models", headers=headers, timeout=30).status_code
            for headers in ({"Authorization": f"Bearer {gateway.key}"}, {}) * 20
        ]
        code = gateway.stop()
    os.close(full)
    os.close(reader)

    assert answers == [200, 401] * 20
    assert code == 0
