"""What the fault tests share."""

from __future__ import annotations

from typing import Any

from fake_ollama import FakeOllama, Fault, Script
from tests.fake_ollama.talk import chat_bytes, opened, read_to_end

MODEL = "llama3.2"
WORDS = ["One", " two", " three"]


def scripted(ollama: FakeOllama, *faults: Fault | str, **fields: Any) -> None:
    ollama.script(MODEL, Script(content=WORDS, fault=faults, **fields))


def raw(ollama: FakeOllama, **fields: Any) -> bytes:
    """Everything the server sends on one connection until FIN."""
    with opened(ollama, chat_bytes(MODEL, **fields)) as sock:
        return read_to_end(sock)


def body_lines(data: bytes) -> list[bytes]:
    return [part for part in data.partition(b"\r\n\r\n")[2].split(b"\r\n") if part[:1] == b"{"]
