"""Embeddings that a model cannot make."""

from __future__ import annotations

from pathlib import Path

import pytest

from fake_ollama import FakeOllama, Script, error
from tests.api.apps import application, told

TEXT = "This server does not support embeddings. Start it with `--embeddings`"


@pytest.mark.parametrize("status", [500, 501])
def test_a_chat_model_makes_no_embeddings(tmp_path: Path, ollama: FakeOllama, status: int) -> None:
    ollama.script("llama3.2", Script(fault=error(status, TEXT)))
    with application(tmp_path, ollama) as app:
        answer = app.post("/v1/embeddings", {"model": "llama3.2", "input": "Hello?"})

    assert answer.status_code == 400
    assert told(answer) == {
        "message": "This model does not make embeddings: choose an embedding model.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "embeddings_not_supported",
    }
