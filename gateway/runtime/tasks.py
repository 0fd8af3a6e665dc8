"""Work beside the request: greenlets, real threads, and the real poll.

The only module that knows of gevent. Under gunicorn's gevent worker the standard library is
patched: `threading` gives greenlets and
blocking reads are cooperative. What still needs care: work that holds the processor or blocks in
C (argon2, SQLite, big
exports) must leave the hub for a real thread, and polling thousands of client sockets wants the
system's own `poll`.
Without gevent (tests, the command line) the same functions use plain threads.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from gateway.ollama.exchange import ReadWait

P = ParamSpec("P")
T = TypeVar("T")

_BLOCKING_THREADS = 4
POLLRDHUP = getattr(select, "POLLRDHUP", 0x2000)


def patched() -> bool:
    """Return whether this process runs on gevent."""
    try:
        from gevent import monkey
    except ImportError:  # pragma: no cover - gevent is a dependency
        return False
    return bool(monkey.is_module_patched("socket"))


def run_blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function` in a real thread and wait for it without holding the hub. Raises what it
    raises."""
    if not patched():
        return function(*args, **kwargs)
    from gevent import get_hub

    result: T = get_hub().threadpool.apply(function, args, kwargs)
    return result


class Task(Generic[T]):
    """A running function: wait for its end for a bounded time, then take its result."""

    __slots__ = ("_done", "_error", "_result")

    def __init__(self) -> None:
        self._done = threading.Event()
        self._result: T | None = None
        self._error: BaseException | None = None

    def run(self, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        """Call `function` and keep what came of it."""
        try:
            self._result = function(*args)
        except BaseException as error:  # handed to whoever asks for the result
            self._error = error
        finally:
            self._done.set()

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for the end; False when it has not come within `timeout_s`."""
        return self._done.wait(timeout_s)

    def result(self) -> T:
        """Return the result. Raises what the function raised. Call only after `wait` said True."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # set before the event


def spawn(function: Callable[..., T], *args: Any) -> Task[T]:
    """Start `function` beside the caller: a greenlet under gevent, else a daemon thread."""
    task: Task[T] = Task()
    if patched():
        import gevent

        gevent.spawn(task.run, function, args)
    else:
        threading.Thread(target=task.run, args=(function, args), daemon=True).start()
    return task


def every(seconds: float, function: Callable[[], None], name: str) -> threading.Event:
    """Call `function` again and again, `seconds` apart, until the returned event is set."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(seconds):
            function()

    threading.Thread(target=loop, name=name, daemon=True).start()
    return stop


class Poll(Protocol):
    """What `select.poll()` gives."""

    def register(self, fd: int, eventmask: int) -> None: ...
    def unregister(self, fd: int) -> None: ...
    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]: ...


def real_poll() -> Poll:
    """Return the system's own poll object, which never waits cooperatively: use it with timeout
    0."""
    if patched():
        from gevent import monkey

        maker: Callable[[], Poll] = monkey.get_original("select", "poll")
        return maker()
    return select.poll()


def read_wait(sock: Any) -> ReadWait | None:
    """Return a cheap way to read from `sock`, None where reading with a timeout is as good.

    gevent's own way costs a failing system call and a timer object a wait. Here the wait comes
    first and one timer of the loop serves all: measured, a quarter of the cost of relaying a token.
    """
    return _waits().of(sock) if patched() else None


@lru_cache(maxsize=1)
def _waits() -> Any:
    from gateway.runtime.waits import Waits

    return Waits()


def system_thread(work: Callable[[], None]) -> None:
    """Run `work` in a thread of the system that the event loop knows nothing of. It must touch
    nothing cooperative: no lock, socket or sleep of the patched library."""
    if not patched():
        threading.Thread(target=work, daemon=True).start()
        return
    from gevent import monkey

    monkey.get_original("_thread", "start_new_thread")(work, ())


def yield_now() -> None:
    """Let others run."""
    time.sleep(0)


@lru_cache(maxsize=1)
def blocking_executor() -> ThreadPoolExecutor:
    """Return the shared pool for fire-and-forget blocking work."""
    if patched():
        from gevent.threadpool import ThreadPoolExecutor as RealThreads

        pool: ThreadPoolExecutor = RealThreads(_BLOCKING_THREADS)
        return pool
    return ThreadPoolExecutor(_BLOCKING_THREADS)
