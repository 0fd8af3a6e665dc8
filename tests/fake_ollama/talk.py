"""A small client that shows the wire as it is, with bare sockets where http.client is too kind."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fake_ollama import FakeOllama

TIMEOUT_S = 10
USER = [{"role": "user", "content": "When is low tide?"}]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.body.splitlines() if line.strip()]

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]

    @property
    def type(self) -> str | None:
        return self.headers.get("Content-Type")

    @property
    def error(self) -> str:
        return str(self.json["error"])

    @property
    def content(self) -> str:
        """The text of all lines of a chat or generate answer."""
        return "".join(
            line["message"]["content"] if "message" in line else line["response"]
            for line in self.lines
        )

    @property
    def thinking(self) -> str:
        return "".join(line.get("message", line).get("thinking", "") for line in self.lines)

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [
            call for line in self.lines for call in line.get("message", line).get("tool_calls", ())
        ]


def send(
    ollama: FakeOllama,
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """One request on a connection of its own. Bytes go as they are, all else as JSON."""
    connection = http.client.HTTPConnection(ollama.host, ollama.port, timeout=TIMEOUT_S)
    try:
        return on(connection, method, path, body, headers)
    finally:
        connection.close()


def on(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """One request on this connection."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, data, headers or {})
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def chat(ollama: FakeOllama, model: str, messages: Any = USER, **fields: Any) -> Answer:
    return send(ollama, "POST", "/api/chat", {"model": model, "messages": messages, **fields})


def generate(ollama: FakeOllama, model: str, prompt: str = "Low tide?", **fields: Any) -> Answer:
    return send(ollama, "POST", "/api/generate", {"model": model, "prompt": prompt, **fields})


def request_bytes(path: str, body: Any) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def chat_bytes(model: str, **fields: Any) -> bytes:
    return request_bytes("/api/chat", {"model": model, "messages": USER, **fields})


@contextmanager
def opened(ollama: FakeOllama, data: bytes) -> Iterator[socket.socket]:
    """A socket on which the bytes were sent."""
    with socket.create_connection((ollama.host, ollama.port), TIMEOUT_S) as sock:
        sock.sendall(data)
        yield sock


def read_to_end(sock: socket.socket) -> bytes:
    """All bytes until FIN. Raises ConnectionResetError after an RST."""
    data = b""
    while piece := sock.recv(65_536):
        data += piece
    return data


def read_until(sock: socket.socket, mark: bytes) -> bytes:
    """Bytes until the mark has come. Raises AssertionError when the connection ends before."""
    data = b""
    while mark not in data:
        piece = sock.recv(65_536)
        assert piece, f"ended before {mark!r}: {data!r}"
        data += piece
    return data
