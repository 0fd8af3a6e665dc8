"""Which addresses are tried for an Ollama server, and which of them is taken."""

from __future__ import annotations

import socket

import pytest

from fake_ollama import FakeOllama
from gateway.ollama import nearby
from tests.support.servers import free_port


@pytest.mark.parametrize(
    ("named", "first"),
    [
        ("", "http://localhost:11434"),
        ("0.0.0.0", "http://localhost:11434"),
        ("0.0.0.0:8080", "http://localhost:8080"),
        ("[::]:8080", "http://localhost:8080"),
        ("192.168.1.5", "http://192.168.1.5:11434"),
        ("http://gpu", "http://gpu"),
        ("https://gpu/ollama/", "https://gpu/ollama"),
        ("http://user:secret@gpu", "http://localhost:11434"),
        ("169.254.169.254", "http://localhost:11434"),
    ],
)
def test_the_host_of_ollama_s_own_command_comes_first(named: str, first: str) -> None:
    urls = nearby.candidates({"OLLAMA_HOST": named})

    assert urls[0] == first
    assert set(nearby.USUAL) <= set(urls)
    assert len(set(urls)) == len(urls)


def test_the_first_that_answers_as_ollama_is_taken(ollama: FakeOllama) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = nearby.find([nobody, silent_url, ollama.url])
        nothing = nearby.find([nobody, silent_url])

    assert found == (ollama.url, ollama.version)
    assert nothing is None
