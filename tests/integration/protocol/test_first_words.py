"""What has come is told at once: the first words never wait for the second."""

from __future__ import annotations

import pytest

from fake_ollama import FakeOllama, Script
from tests.integration.conftest import Caller
from tests.support.asking import GENERATING
from tests.support.wire import post

pytestmark = pytest.mark.process


@pytest.mark.parametrize("name", GENERATING)
def test_the_first_words_are_told_while_the_second_are_awaited(
    caller: Caller, ollama: FakeOllama, name: str
) -> None:
    endpoint = GENERATING[name]
    ollama.script("llama3.2", Script(content=["first", "second"]))
    with ollama.hold("llama3.2", at=1):
        wire = caller.wire()
        wire.send(post(endpoint.path, endpoint.with_(stream=True), caller.key))
        status, headers = wire.head()
        pieces = wire.body(headers)
        told = b""
        for piece in pieces:
            told += piece
            if b"first" in told:
                break
    rest = b"".join(pieces)

    assert status == 200
    assert b"second" not in told
    assert b"second" in rest
