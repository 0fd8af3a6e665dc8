"""Servers that look like Ollama and keep each call waiting at a place of its own."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

from gateway.runtime import tasks
from gateway.runtime.tasks import Event

MODELS = ("silent", "slow", "flood", "quick", "tools", "vectors", "twice")
LINES = 20
_LONG = json.dumps({"message": {"content": "x" * 8_000}, "done": False}).encode() + b"\n"
_LINE = b'{"message":{"content":"word "},"done":false}\n'
_DONE = b'{"message":{"content":""},"done":true,"done_reason":"stop","eval_count":1}\n'
_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Maze:
    """A server. What it does with a call is written in the name of the model:

    silent   never answers                      slow     some lines, then nothing
    flood    lines without an end               quick    a whole answer
    tools    words where a call was asked for, then `slow`
    vectors  half the vectors                   twice    `slow`, where another server failed
    paced    `LINES` lines, each when `pace` is released, then the end

    `turn` changes what all of them do: "deaf" reads nothing, "dying" resets every connection,
    "closed" accepts none.
    """

    def __init__(self, *models: str) -> None:
        self.pace = threading.Semaphore(0)
        self._models = models
        self._turn = ""
        self._over = Event()
        self._fillers = contextlib.ExitStack()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self._acceptor = tasks.spawn(self._accept)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def turn(self, how: str) -> None:
        """Be as this from here on."""
        self._turn = how
        if how == "closed":
            self._acceptor.interrupt("closed")
            assert self._acceptor.wait(10)
            self._listener.listen(0)
            for _ in range(4):
                filler = self._fillers.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(self._listener.getsockname())

    def let_go(self) -> None:
        """End the connections that are read no more."""
        self._over.set()
        self._over = Event()

    def close(self) -> None:
        """End the server."""
        self.let_go()
        self._acceptor.interrupt("over")
        assert self._acceptor.wait(10)
        self._fillers.close()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            tasks.spawn(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        over = self._over
        with sock, contextlib.suppress(OSError):
            if self._turn == "deaf":
                over.wait()
                return
            for path, body in _requests(sock):
                if self._turn == "dying":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                if path in ("/api/chat", "/api/generate", "/api/embed"):
                    self._answer(sock, body)
                else:
                    _send_json(sock, self._describe(path))

    def _describe(self, path: str) -> Any:
        if path == "/api/version":
            return {"version": "0.33.0"}
        if path == "/api/show":
            return {"capabilities": ["completion", "tools", "embedding"], "model_info": {}}
        names = self._models if path == "/api/tags" else ()
        return {"models": [{"name": f"{name}:latest", "digest": name} for name in names]}

    def _answer(self, sock: socket.socket, body: Any) -> None:
        kind = body["model"].removesuffix(":latest")
        if kind == "silent" or (kind == "vectors" and len(body["input"]) > 1):
            _until_left(sock)
        sock.sendall(_HEAD)
        if kind == "flood":
            while True:
                sock.sendall(_chunk(_LONG * 8))
        if kind == "paced":
            for _ in range(LINES):
                self.pace.acquire()
                sock.sendall(_chunk(_LINE))
            sock.sendall(_chunk(_DONE) + b"0\r\n\r\n")
            return
        if kind == "quick" or (kind == "tools" and "format" not in body):
            for _ in range(3):
                sock.sendall(_chunk(_LINE))
                tasks.Event().wait(0.001)
            sock.sendall(_chunk(_DONE) + b"0\r\n\r\n")
            return
        sock.sendall(_chunk(b'{"embeddings":[[1' if kind == "vectors" else _LINE * 2))
        _until_left(sock)


def _requests(sock: socket.socket) -> Iterator[tuple[str, Any]]:
    """Yield path and body of each request of a connection."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            part = sock.recv(65_536)
            if not part:
                return
            data += part
        head, _, data = data.partition(b"\r\n\r\n")
        fields = head.lower().split(b"\r\n")
        lengths = [line for line in fields if line.startswith(b"content-length:")]
        length = int(lengths[0].partition(b":")[2]) if lengths else 0
        while len(data) < length:
            part = sock.recv(65_536)
            if not part:
                return
            data += part
        body, data = data[:length], data[length:]
        yield head.split(b" ")[1].decode(), json.loads(body) if body else None


def _send_json(sock: socket.socket, value: Any) -> None:
    data = json.dumps(value).encode()
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data))


def _chunk(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def _until_left(sock: socket.socket) -> None:
    while sock.recv(65_536):
        pass
    raise ConnectionResetError
