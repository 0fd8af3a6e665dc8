"""A fake Ollama that costs as little as Python can: one thread, one epoll, bytes made beforehand.

It says where it listens on its first line of output. Paced streams lie on a heap by the time their
next token is due; each has its own phase, so that the tokens of many streams do not arrive together
more than those of many real models would. A burst is written a block at a time whenever its socket
takes more. `GET /bench` tells what was opened, sent and broken off, to check a load against.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import itertools
import re
import select
import signal
import socket
import sys
import time
from functools import lru_cache

import orjson

from benchmarks import replies

DEFAULT_MODELS = [
    "quick",
    "embed",
    *(f"paced-20-{count}" for count in (50, 100, 200, 400)),
    *(f"paced-10-{count}" for count in (50, 100, 200)),
    *("paced-2-60", "paced-200-4", "paced-50-100"),
    *(f"burst-{count}" for count in (100, 1000, 2000, 5000, 10000)),
    "flood-2000",
]
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_MODEL = re.compile(rb'"(?:model|name)" *: *"([^"]+)"')
_WHOLE = re.compile(rb'"stream" *: *false')
_GOLDEN = 0.618_033_988_75  # its multiples modulo 1 spread evenly, however many are taken

_script = lru_cache(maxsize=None)(replies.script)
_embeddings = lru_cache(maxsize=8)(replies.embeddings)
_show = lru_cache(maxsize=None)(replies.show)


class Connection:
    """One client: what came in, what must go out, the stream it is in."""

    __slots__ = ("incoming", "left", "outgoing", "script", "sock", "wants_write")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.incoming = bytearray()
        self.outgoing = b""
        self.script: replies.Script | None = None
        self.left = 0
        self.wants_write = False


class FastOllama:
    """The server: `port` is known once built, `serve` runs until `stop`."""

    def __init__(self, models: list[str], port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._poll = select.epoll()
        self._poll.register(self._listener.fileno(), select.EPOLLIN)
        self._open: dict[int, Connection] = {}
        self._due: list[tuple[int, int, Connection]] = []
        self._order = itertools.count()
        self._running = True
        self._fixed = {
            b"GET /api/tags": replies.tags(models),
            b"GET /api/ps": replies.running(models[:3]),
            b"GET /api/version": replies.answer(b'{"version":"0.12.0"}'),
            b"GET /": replies.answer(b"Ollama is running"),
            b"HEAD /": replies.answer(b""),
        }
        self.opened = self.sent = self.broken = 0

    def stop(self) -> None:
        """Let `serve` return."""
        self._running = False

    def serve(self) -> None:
        """Answer until stopped."""
        listener = self._listener.fileno()
        while self._running:
            for fd, mask in self._poll.poll(self._wait_s(), 1024):
                if fd == listener:
                    self._accept()
                    continue
                connection = self._open.get(fd)
                if connection is None:
                    continue
                if mask & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                    self._read(connection)
                if mask & select.EPOLLOUT and fd in self._open:
                    self._write(connection)
            self._send_due()

    def _wait_s(self) -> float:
        if not self._due:
            return 1.0
        return max(0.0, (self._due[0][0] - time.monotonic_ns()) / 1e9)

    def _accept(self) -> None:
        for _ in range(256):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open[sock.fileno()] = Connection(sock)
            self._poll.register(sock.fileno(), select.EPOLLIN)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._close(connection)
            return
        connection.incoming += data
        head_end = connection.incoming.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = bytes(connection.incoming[:head_end])
        length = _LENGTH.search(head)
        total = head_end + 4 + (int(length[1]) if length else 0)
        if len(connection.incoming) < total:
            return
        body = bytes(connection.incoming[head_end + 4 : total])
        del connection.incoming[:total]
        self._answer(connection, head[: head.index(b" ", head.index(b" ") + 1)], body)

    def _answer(self, connection: Connection, route: bytes, body: bytes) -> None:
        fixed = self._fixed.get(route)
        if fixed is not None:
            self._send(connection, fixed)
        elif route == b"GET /bench":
            counts = {"opened": self.opened, "sent": self.sent, "broken": self.broken}
            self._send(connection, replies.answer(orjson.dumps(counts)))
        elif route == b"POST /api/embed":
            texts = orjson.loads(body)["input"]
            count = len(texts) if isinstance(texts, list) else 1
            self._send(connection, _embeddings(count))
        elif route == b"POST /api/show":
            self._send(connection, _show(_model(body)))
        elif route in {b"POST /api/chat", b"POST /api/generate"}:
            self._generate(connection, _model(body), route.endswith(b"chat"), body)
        else:
            self._send(connection, replies.answer(b'{"error":"not found"}', b"404 Not Found"))

    def _generate(self, connection: Connection, model: str, chat: bool, body: bytes) -> None:
        try:
            script = _script(model, chat)
        except KeyError:
            text = replies.answer(b'{"error":"model not found"}', b"404 Not Found")
            self._send(connection, text)
            return
        if _WHOLE.search(body):
            self.sent += script.count
            self._send(connection, script.whole)
            return
        self.opened += 1
        if not script.interval_ns and script.count < script.together:
            self.sent += script.count
            self._send(connection, replies.STREAM_HEAD + script.rest + script.end)
            return
        connection.script, connection.left = script, script.count
        if not script.interval_ns:
            self._send(connection, replies.STREAM_HEAD)
            self._watch(connection, True)
            return
        now = time.monotonic_ns()
        first = script.token % (now // 1_000)
        connection.left -= 1
        self.sent += 1
        if connection.left:
            self._send(connection, replies.STREAM_HEAD + first)
            phase = int(self.opened * _GOLDEN % 1 * script.interval_ns)
            self._plan(connection, now + script.interval_ns // 2 + phase)
        else:
            connection.script = None
            self._send(connection, replies.STREAM_HEAD + first + script.end)

    def _plan(self, connection: Connection, due_ns: int) -> None:
        heapq.heappush(self._due, (due_ns, next(self._order), connection))

    def _send_due(self) -> None:
        due, now = self._due, time.monotonic_ns()
        while due and due[0][0] <= now:
            planned, _, connection = heapq.heappop(due)
            script = connection.script
            if script is None:
                continue  # the reader left
            now = time.monotonic_ns()
            connection.left -= 1
            self.sent += 1
            data = script.token % (now // 1_000)
            if connection.left:
                self._plan(connection, planned + script.interval_ns)
            else:
                connection.script = None
                data += script.end
            self._send(connection, data)

    def _send(self, connection: Connection, data: bytes) -> None:
        if connection.outgoing:
            connection.outgoing += data
            return
        try:
            taken = connection.sock.send(data)
        except BlockingIOError:
            taken = 0
        except ConnectionError:
            self._close(connection)
            return
        if taken < len(data):
            connection.outgoing = data[taken:]
            self._watch(connection, True)

    def _write(self, connection: Connection) -> None:
        waiting, connection.outgoing = connection.outgoing, b""
        if waiting:
            self._send(connection, waiting)
            return
        script = connection.script
        if script is None or script.interval_ns:
            self._watch(connection, False)
            return
        if connection.left >= script.together:
            connection.left -= script.together
            self.sent += script.together
            self._send(connection, script.block)
            return
        self.sent += connection.left
        connection.left, connection.script = 0, None
        self._send(connection, script.rest + script.end)

    def _watch(self, connection: Connection, writes: bool) -> None:
        if connection.wants_write != writes and connection.sock.fileno() in self._open:
            connection.wants_write = writes
            mask = select.EPOLLIN | (select.EPOLLOUT if writes else 0)
            self._poll.modify(connection.sock.fileno(), mask)

    def _close(self, connection: Connection) -> None:
        if connection.script is not None:
            self.broken += 1
            connection.script = None
        if self._open.pop(connection.sock.fileno(), None) is not None:
            connection.sock.close()  # also takes it off the epoll


def _model(body: bytes) -> str:
    found = _MODEL.search(body)
    return found[1].decode().removesuffix(":latest") if found else ""


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="A fast fake Ollama for measurements.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--more-models", type=int, default=0, help="lengthen the catalogue")
    parser.add_argument("--also", nargs="*", default=[], help="further names to list")
    options = parser.parse_args()
    more = [f"model-{n:04d}" for n in range(options.more_models)]
    models = list(dict.fromkeys([*DEFAULT_MODELS, *options.also, *more]))
    server = FastOllama(models, options.port)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    signal.signal(signal.SIGINT, lambda *_: server.stop())
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    gc.disable()  # nothing here makes cycles
    server.serve()


if __name__ == "__main__":
    main()
