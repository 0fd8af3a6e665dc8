"""Tasks, events and real threads: what the gateway runs beside a request.

Only this module and `server/` know gevent. `spawn` and `every` start greenlets, `run_blocking`
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

import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

import gevent
from gevent import get_hub, getcurrent, monkey
from gevent.event import Event as Event  # a flag to wait for; used instead of `threading.Event`

P = ParamSpec("P")
T = TypeVar("T")


class Cancelled(BaseException):
    """Raised in a task that was interrupted, wherever it waits. Caught by `Task` alone, and by
    whoever ends one attempt of it and goes on with the next."""


class Task(Generic[T]):
    """Work in a greenlet of its own, with a context of its own: Flask's does not live on in it.

    `reason` is why it was interrupted; None while it was not.
    """

    __slots__ = (
        "_asked",
        "_begun",
        "_done",
        "_error",
        "_greenlet",
        "_loop",
        "_result",
        "_shields",
        "_work",
        "reason",
    )

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._begun = False
        self._asked = False
        self._shields = 0
        self._done = Event()
        self._result: T | None = None
        self._error: BaseException | None = None
        self.reason: object = None
        self._loop = get_hub().loop
        self._greenlet = gevent.spawn(Context().run, self._run)

    def _run(self) -> None:
        self._begun = True
        _current.set(self)
        try:
            if self.reason is None:
                self._result = self._work()
        except BaseException as error:  # the outermost frame: handed to whoever asks for the result
            self._error = error.with_traceback(None) if isinstance(error, Cancelled) else error
        finally:
            self._done.set()

    @property
    def ended(self) -> bool:
        """Whether nothing of the work runs any more."""
        return bool(self._done.is_set())

    @property
    def error(self) -> BaseException | None:
        """What the work raised, if it did."""
        return self._error

    def interrupt(self, reason: object) -> None:
        """Cancel the work, for the first reason given. From anywhere, also a real thread; never
        blocks."""
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
        if self._error is not None:
            raise self._error
        return cast(T, self._result)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Hold back delivery while the block runs."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1


_current: ContextVar[Task[Any] | None] = ContextVar("task", default=None)


def current() -> Task[Any] | None:
    """Return the task this runs in, if any."""
    return _current.get()


@contextmanager
def shield() -> Iterator[None]:
    """Let what the block does not be cut off; what was asked for meanwhile is raised after it. The
    block must be bounded in time by itself."""
    task = _current.get()
    if task is None:
        yield
        return
    with task.shielded():
        yield
    task.check()


def spawn(function: Callable[..., T], *args: Any) -> Task[T]:
    """Start `function` beside the caller."""
    return Task(lambda: function(*args))


def every(seconds: float, function: Callable[[], None], name: str) -> Event:
    """Call `function` again and again, `seconds` apart, until the returned event is set."""
    stop = Event()

    def loop() -> None:
        while not stop.wait(seconds):
            function()

    gevent.spawn(loop).name = name
    return stop


def this_greenlet() -> Any:
    """Return the running greenlet; its `dead` tells whether it has ended."""
    return getcurrent()


def patched() -> bool:
    """Return whether the standard library of this process waits cooperatively."""
    return bool(monkey.is_module_patched("socket"))


def run_blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function` in a real thread and wait for it without holding the event loop. Raises what
    it raises."""
    if not patched():
        return function(*args, **kwargs)
    result: T = get_hub().threadpool.apply(function, args, kwargs)
    return result


class Poll(Protocol):
    """What `select.poll()` gives."""

    def register(self, fd: int, eventmask: int) -> None: ...
    def unregister(self, fd: int) -> None: ...
    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]: ...


def real_poll() -> Poll:
    """Return the system's own poll object, which never waits cooperatively: use it with timeout
    0."""
    if not patched():
        return select.poll()
    maker: Callable[[], Poll] = monkey.get_original("select", "poll")
    return maker()


def system_thread(work: Callable[[], None]) -> None:
    """Run `work` in a thread of the system that the event loop knows nothing of. It must touch
    nothing cooperative: no lock, socket or sleep of the patched library."""
    monkey.get_original("_thread", "start_new_thread")(work, ())
