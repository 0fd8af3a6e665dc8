"""The server: sockets, threads, and the API that tests use."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
import traceback
from collections.abc import Iterable, Iterator

from fake_ollama.board import Board, Hold, Point, Recorded, Waiter
from fake_ollama.exchange import Exchange
from fake_ollama.library import CloudState, Library
from fake_ollama.models import DEFAULT_MODELS, PULLABLE, FakeModel
from fake_ollama.names import parse_name
from fake_ollama.options import LoadKey
from fake_ollama.refusals import ConnectionOver, Gone, Refused
from fake_ollama.routes import serve
from fake_ollama.routes_control import PREFIX
from fake_ollama.scheduler import Load, Runner, Scheduler, load_counts
from fake_ollama.scripts import ScriptBook, Scripted
from fake_ollama.watcher import Watcher
from fake_ollama.wire import Connection, Reply, Request
from fake_ollama.witness import Witness

_CACHED_SINCE = (0, 33, 2)


class FakeOllama(Witness):
    """An Ollama without models. ``with FakeOllama() as ollama: ... ollama.url ...``

    Leaving the ``with`` raises AssertionError if the fake itself broke while answering.
    """

    def __init__(
        self,
        models: Iterable[FakeModel] = DEFAULT_MODELS,
        *,
        version: str = "0.33.0",
        host: str = "127.0.0.1",
        port: int = 0,
        cloud: CloudState = "on",
        online: bool = True,
        pullable: Iterable[FakeModel] = PULLABLE,
        token_delay_s: tuple[float, float] = (0.0, 0.0),
        progress_delay_s: float = 0.0,
        default_num_ctx: int = 4096,
        keep_alive_s: float = 300.0,
        max_queue: int = 512,
        max_loaded: int = 3,
        gpu_bytes: int | None = None,
        seed: int = 7,
    ) -> None:
        self.version = version
        self.host = host
        self.port = port
        self.online = online
        self.progress_delay_s = progress_delay_s
        self.default_num_ctx = default_num_ctx
        self.gpu_bytes = gpu_bytes
        self.rng = random.Random(seed)
        self.blobs: set[str] = set()
        self.crashes: list[str] = []
        self.scripts = ScriptBook()
        self.library = Library(models, cloud)
        super().__init__(Board())
        self.scheduler = Scheduler(
            self.board,
            self.now,
            keep_alive_s=keep_alive_s,
            max_queue=max_queue,
            max_loaded=max_loaded,
        )
        self._models = self.library.all()
        self._cloud = cloud
        self._pullable = {model.key: model for model in (*DEFAULT_MODELS, *pullable)}
        self._token_delay_s = token_delay_s
        self._ahead_s = 0.0
        self._listener: socket.socket | None = None
        self._watcher: Watcher | None = None
        self._connections: dict[Connection, threading.Thread] = {}
        self._accepted = 0
        self._acceptor: threading.Thread | None = None

    # Life

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self) -> FakeOllama:
        """Listen; after ``stop`` on the same port as before."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port))
        listener.listen(1024)
        self.port = listener.getsockname()[1]
        self.board.stopping = False
        self._listener = listener
        self._watcher = Watcher()
        self._acceptor = threading.Thread(
            target=self._accept, args=(listener,), name="fake-ollama-accept", daemon=True
        )
        self._acceptor.start()
        return self

    def stop(self) -> None:
        """Die: refuse new connections and break the open ones with RST. Models leave memory."""
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        with self.board.changed:
            self.board.stopping = True
            self.board.frozen = False
            self.board.changed.notify_all()
            open_ones = dict(self._connections)
        self._end(open_ones)
        if self._watcher is not None:
            self._watcher.close()
        self.scheduler.unload_all()

    def _end(self, connections: dict[Connection, threading.Thread]) -> None:
        if self._acceptor is not None:
            self._acceptor.join(5)
        for how, patience_s in ((socket.SHUT_RD, 1.0), (socket.SHUT_RDWR, 5.0)):
            alive = {one: thread for one, thread in connections.items() if thread.is_alive()}
            for connection in alive:
                connection.wake(how)
            for thread in alive.values():
                thread.join(patience_s)

    def freeze(self) -> None:
        """Answer nothing, though connections are accepted by the system: a stopped process."""
        self.board.frozen = True

    def thaw(self) -> None:
        self.board.frozen = False
        self.board.notify()

    def reset(self) -> None:
        """Forget scripts, holds, requests, loads, and changes to the models."""
        self.scripts.clear()
        self.board.clear()
        self.scheduler.clear()
        self.library.replace_all(self._models)
        self.library.cloud = self._cloud
        self.thaw()

    def __enter__(self) -> FakeOllama:
        return self.start()

    def __exit__(self, kind: object, *exc: object) -> None:
        self.stop()
        if kind is None and self.crashes:
            raise AssertionError("the fake broke:\n" + "\n".join(self.crashes))

    # Scripts and gates

    def script(self, target: str, *scripts: Scripted) -> None:
        """Say how a target answers: a model, a path such as ``/api/tags``, or ``*``.

        Scripts are used in order; the last stays in force.
        """
        self.scripts.write(target, scripts)

    def hold(self, target: str, at: Point = 0) -> Hold:
        """Stop answers before the headers (0), after so many lines, or at the ``"load"``."""
        return self.board.hold(target, at)

    def release(self, target: str | None = None) -> int:
        """Open the gates of a target, or all of them; gives how many."""
        return self.board.release(target)

    def advance(self, seconds: float) -> None:
        """Let the clock of ``keep_alive`` run ahead."""
        with self.board.changed:
            self._ahead_s += seconds
            self.board.changed.notify_all()

    def now(self) -> float:
        return time.time() + self._ahead_s

    # What happened

    @property
    def loads(self) -> list[Load]:
        """Every load of a model, oldest first."""
        with self.board.changed:
            return list(self.scheduler.loads)

    def load_count(self, name: str) -> int:
        return load_counts(self.loads, _short(name))

    def reload_count(self, name: str) -> int:
        """How often changed load-time options threw the model out and loaded it again."""
        return load_counts(self.loads, _short(name), "options")

    def loaded(self) -> list[str]:
        """The names of the models in memory."""
        return [runner.model.short for runner in self.scheduler.running()]

    def busiest(self, name: str) -> int:
        """The most requests of a model that ever ran at once."""
        return self.scheduler.busiest.get(_short(name), 0)

    # For the routes

    def pace(self) -> float:
        """Seconds until the next token."""
        low, high = self._token_delay_s
        return self.rng.uniform(low, high) if high else 0.0

    @property
    def version_numbers(self) -> tuple[int, ...]:
        parts = self.version.split("-")[0].split(".")
        return tuple(int(part) for part in parts if part.isdigit())

    @property
    def counts_cached(self) -> bool:
        return self.version_numbers >= _CACHED_SINCE

    def offered(self, name: str) -> FakeModel | None:
        """The model the fake registry has under a name."""
        parsed = parse_name(name)
        return None if parsed is None else self._pullable.get(parsed.key)

    @contextlib.contextmanager
    def slot(
        self,
        model: FakeModel,
        key: LoadKey,
        keep_alive_s: float | None,
        exchange: Exchange,
        load_delay_s: float | None,
    ) -> Iterator[Runner]:
        """Hold one of the model's slots. A remote model has no runner here, and never waits."""
        if model.remote:
            yield Runner(model, key, 0.0, 0.0)
            return
        delay_s = model.load_delay_s if load_delay_s is None else load_delay_s
        runner = self.scheduler.acquire(model, key, keep_alive_s, exchange.waiter, delay_s)
        self.board.update(exchange.recorded, running=True)
        exchange.holds(lambda: self.scheduler.release(runner))
        try:
            yield runner
        finally:
            exchange.give_back()

    # Threads

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self._accepted += 1
            connection = Connection(sock, self._accepted)
            thread = threading.Thread(
                target=self._converse, args=(connection,), name="fake-ollama", daemon=True
            )
            with self.board.changed:
                if self.board.stopping:
                    connection.reset()
                    return
                self._connections[connection] = thread
            thread.start()

    def _converse(self, connection: Connection) -> None:
        try:
            while (request := connection.read_request()) is not None:
                self._answer(connection, request)
        except (ConnectionOver, Gone, ValueError):
            pass
        finally:
            if self.board.stopping:
                connection.reset()
            else:
                connection.close()
            with self.board.changed:
                self._connections.pop(connection, None)

    def _answer(self, connection: Connection, request: Request) -> None:
        waiter = Waiter(self.board, (request.path, "*"))
        recorded = self._record(connection, request)
        exchange = Exchange(
            self.board, recorded, request, Reply(connection, request, waiter), waiter
        )
        watcher = self._watcher
        if watcher is not None:
            connection.before_close = lambda: watcher.unwatch(connection.sock)
            watcher.watch(connection.sock, waiter.leave)
        try:
            waiter.wait_until(lambda: not self.board.frozen or request.path.startswith(PREFIX))
            self._guarded(exchange)
        except Gone:
            self.board.update(recorded, disconnected=True, finished=False)
            raise
        except ConnectionOver:
            self.board.update(recorded, finished=True)
            raise
        finally:
            if watcher is not None:
                watcher.unwatch(connection.sock)
        self.board.update(recorded, finished=True)
        if exchange.reply.dress.close_on_reuse:
            connection.wait_readable()
            connection.reset()
            raise ConnectionOver

    def _guarded(self, exchange: Exchange) -> None:
        try:
            serve(self, exchange)
        except Refused as refused:
            exchange.refuse(refused)
        except (Gone, ConnectionOver):
            raise
        except Exception as exc:
            self.crashes.append(traceback.format_exc())
            if not exchange.reply.begun:
                exchange.send_json(500, {"error": f"the fake broke: {exc!r}"})
            exchange.reply.connection.reset()
            raise ConnectionOver from exc

    def _record(self, connection: Connection, request: Request) -> Recorded:
        try:
            body = json.loads(request.body) if request.body else None
        except (ValueError, RecursionError):
            body = None

        def make(number: int) -> Recorded:
            return Recorded(
                number,
                connection.number,
                request.method,
                request.path,
                request.query,
                request.headers,
                request.body,
                time.monotonic(),
                body,
                str(body.get("model") or body.get("name") or "") if isinstance(body, dict) else "",
            )

        if request.path.startswith(PREFIX):
            return make(-1)
        return self.board.record(make)


def _short(name: str) -> str:
    parsed = parse_name(name)
    return name if parsed is None else parsed.short
