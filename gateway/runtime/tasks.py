"""Tasks, events and real threads: what the gateway runs beside a request.

Only this module and `server/` know gevent. `spawn` and `Every` start greenlets, `run_blocking`
leaves the event loop for a real thread: for work that computes or blocks in C (argon2, SQLite,
large exports).

**Cancelling.** A `Task` is work that can be cancelled at every point where it blocks. `interrupt`
only asks; a callback of the event loop delivers, and looks at that moment whether the task has
begun, has not ended and is not shielded. What is raised is `Cancelled`, which is no `Exception`:
libraries that catch `Exception` or `OSError` cannot take it for a failure of their own and repeat
what they did. The reason is kept on the task and never raised in it.

    begun      the work has started: a task that is cancelled before never runs
    shielded   what must not be cut off runs inside `shield`; `check` follows it
    ended      nothing is delivered any more
"""

from __future__ import annotations

import logging
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

import gevent
from gevent import get_hub, monkey
from gevent import getcurrent as getcurrent  # its `dead` says whether it has ended
from gevent.event import Event as Event  # a flag to wait for; used instead of `threading.Event`
from gevent.lock import BoundedSemaphore

from gateway.errors import Unavailable

log = logging.getLogger(__name__)

LARGE_BYTES = 128 * 1024
"""Work on more may take longer than streams should wait."""
LARGE_VECTORS_BYTES = 4 << 20
"""Vectors take 5 ms a megabyte, and a third more when a thread reads them."""

P = ParamSpec("P")
T = TypeVar("T")


class Cancelled(BaseException):
    """Raised in a task that was interrupted, wherever it waits. Caught by `Task` alone, and by
    whoever ends one attempt of it and goes on with the next."""


class Task(Generic[T]):
    """Work in a greenlet of its own, with a context of its own: Flask's does not live on in it.

    `reason` is why it was interrupted, None while it was not; `error` is what the work raised.
    """

    def __init__(self, function: Callable[..., T], *args: Any) -> None:
        self._begun = False
        self._asked = False
        self._shields = 0
        self._done = Event()
        self._result: T | None = None
        self.error: BaseException | None = None
        self.reason: object = None
        self._loop = get_hub().loop
        self._greenlet = gevent.spawn(Context().run, self._run, function, args)

    def _run(self, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        self._begun = True
        _current.set(self)
        try:
            if self.reason is None:
                self._result = function(*args)
        except BaseException as error:  # the outermost frame: handed to whoever asks for the result
            self.error = error.with_traceback(None) if isinstance(error, Cancelled) else error
        finally:
            self._done.set()

    @property
    def ended(self) -> bool:
        """Whether nothing of the work runs any more."""
        return bool(self._done.is_set())

    def interrupt(self, reason: object) -> None:
        """Cancel the work; the first reason stays. From anywhere, any thread; never blocks."""
        if self.reason is None:
            self.reason = reason
        self.kick()

    def resume(self) -> None:
        """Forget the reason: what was to be ended has ended, and the work goes on."""
        self.reason = None

    def kick(self) -> None:
        """Deliver once more what was asked for."""
        if not self._asked and self.reason is not None:
            self._asked = True
            self._loop.run_callback_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._asked = False
        if self.reason is not None and self._begun and not self.ended and not self._shields:
            self._greenlet.throw(Cancelled())

    def check(self) -> None:
        """Raise Cancelled where that was asked for and could not be delivered."""
        if self.reason is not None and not self._shields:
            raise Cancelled

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for the end; False when it has not come within `timeout_s`."""
        return bool(self._done.wait(timeout_s))

    def result(self) -> T:
        """Return the result. Raises what the work raised. Call only after `wait` said True."""
        if self.error is not None:
            raise self.error
        return cast(T, self._result)


_current: ContextVar[Task[Any] | None] = ContextVar("task", default=None)
current = _current.get
"""Return the task this runs in, if any."""
spawn = Task
"""Start a function beside the caller."""


@contextmanager
def shield() -> Iterator[None]:
    """Hold back an interrupt until the block has ended; it must be bounded in time by itself."""
    task = current()
    if task is None:
        yield
        return
    task._shields += 1
    try:
        yield
    finally:
        task._shields -= 1
    task.check()


@dataclass(frozen=True, slots=True)
class Failures:
    """How often a background job of this process failed, the kind of its last error, and when."""

    count: int
    error: str
    at: datetime


failures: dict[str, Failures] = {}
"""By name, the background jobs that failed."""


def note_failure(job: str, error: Exception, *, is_logged: bool = True) -> None:
    """Record that a background job failed, which goes on, and log it. From any thread."""
    if is_logged:
        log.error("%s failed", job, exc_info=error)
    count = failures[job].count if job in failures else 0
    failures[job] = Failures(count + 1, type(error).__name__, datetime.now(UTC))


@dataclass(eq=False)
class Every:
    """A background job: calls `function` again and again, `seconds` apart, from `start` to `stop`.
    What it raises is noted; as long as it is unavailable, that is logged once."""

    seconds: float
    function: Callable[[], object]
    name: str
    _end: Event = field(default_factory=Event)

    def start(self) -> None:
        """Begin, after the fork."""
        self._end = Event()
        gevent.spawn(self._loop, self._end).name = self.name

    def stop(self) -> None:
        """Call no more; a call under way ends by itself."""
        self._end.set()

    def _loop(self, end: Event) -> None:
        is_waiting = False
        while not end.wait(self.seconds):
            try:
                self.function()
                is_waiting = False
            except Unavailable as error:
                if not is_waiting:
                    log.warning("%s must wait: %s", self.name, error.message)
                is_waiting = True
                note_failure(self.name, error, is_logged=False)
            except Exception as error:
                note_failure(self.name, error)


def patched() -> bool:
    """Return whether the standard library of this process waits cooperatively."""
    return bool(monkey.is_module_patched("socket"))


def run_blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function` in a real thread, and wait without holding the event loop."""
    if not patched():
        return function(*args, **kwargs)
    result, error = get_hub().threadpool.apply(_held, (partial(function, *args, **kwargs),))
    if error is not None:
        raise error
    return cast(T, result)


def _held(work: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """Return what `work` returns, or raises: what is raised in a thread of gevent's, it prints."""
    try:
        return work(), None
    except Exception as error:  # raised again by the caller
        return None, error


def pause() -> None:
    """Yield to everything else that is ready to run."""
    gevent.sleep(0)


class Run(Protocol):
    """Runs a function and returns what it returns."""

    def __call__(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...


def run_here(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run short work at once."""
    return function(*args, **kwargs)


def run_in_turn(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run long work on Python's own objects in a real thread, one such work at a time: more would
    keep the event loop from the interpreter together."""
    if not patched():
        return function(*args, **kwargs)
    with _turns:
        return run_blocking(_in_thread, get_hub().loop, partial(function, *args, **kwargs))


def _in_thread(loop: Any, work: Callable[[], T]) -> T:
    _here.loop = loop
    try:
        return work()
    finally:
        _here.loop = None


def run_for(size: int) -> Run:
    """Return how vectors of `size` bytes of JSON are to be read or written."""
    return run_in_turn if size > LARGE_VECTORS_BYTES else run_here


def run_on_loop(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what waits cooperatively on the event loop, also for work that `run_in_turn` runs."""
    loop = getattr(_here, "loop", None)
    if loop is None:
        return function(*args, **kwargs)
    found: list[tuple[T | None, Exception | None]] = []
    done = monkey.get_original("_thread", "allocate_lock")()
    done.acquire()

    def work() -> None:
        found.append(_held(partial(function, *args, **kwargs)))
        done.release()

    loop.run_callback_threadsafe(gevent.spawn, work)
    done.acquire()
    result, error = found[0]
    if error is not None:
        raise error
    return cast(T, result)


_turns = BoundedSemaphore()
_here = monkey.get_original("threading", "local")()
"""What each real thread knows: the event loop it works for."""


def real_poll() -> select.poll:
    """Return the system's own poll object; use it with timeout 0, as it never yields."""
    if not patched():
        return select.poll()
    maker: Callable[[], select.poll] = monkey.get_original("select", "poll")
    return maker()


def system_thread(work: Callable[[], None]) -> None:
    """Run `work` in a thread of the system that the event loop knows nothing of. It must touch
    nothing cooperative: no lock, socket or sleep of the patched library."""
    monkey.get_original("_thread", "start_new_thread")(work, ())
