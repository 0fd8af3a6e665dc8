"""The one place that knows the time: looks at all active calls of this process, a few times a
second.

    client gone       POLLRDHUP of its socket                        -> cancel
    client too slow   it takes nothing for `client_write_timeout_s`  -> cancel, shut it down
    server silent     a limit of the attempt, `Attempt.overdue`      -> abort the attempt
    nothing to send   for `sse_comment_interval_s`                   -> a ping
    no first token    for `stream_commit_ms`                         -> a ping: the head leaves
    cancelled         a producer still runs, or the client stands    -> ask again, shut it down

No read or write has a timer of its own. The monitor never waits and never logs a call: it cancels,
aborts, nudges, and shuts connections down. Each call is looked at in its own `try`; the loop is
started again if it dies, and `/readyz` fails while it does not look.

Where the system has no POLLRDHUP (macOS), a connection that is readable is peeked at instead: a
client that leaves behind a pipelined request is then noticed at the next write.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gateway.errors import ClientGone
from gateway.runtime import tasks
from gateway.schemas.settings import RuntimeSettings

if TYPE_CHECKING:
    from gateway.calls.active_call import ActiveCall

log = logging.getLogger(__name__)

INTERVAL_S: Final = 0.2
STALE_S: Final = 5.0
IDLE_S: Final = 2.0
"""So long the loop goes on without calls."""
POLLRDHUP: Final[int | None] = getattr(select, "POLLRDHUP", None)
_GONE: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL


class _Watch:
    """What the monitor remembers of a call between two looks. Times are monotonic seconds."""

    def __init__(self, call: ActiveCall, fd: int, now_s: float) -> None:
        self.call = call
        self.fd = fd
        self.started_s = self.quiet_s = self.said_s = self.taken_s = now_s
        self.quiet = 0
        self.taken = 0
        self.warned = False


@dataclass(eq=False)
class Monitor:
    """Watches the active calls of this process. `behaviour` returns the settings in force.

    `loop` is the task that looks, once there was a call.
    """

    behaviour: Callable[[], RuntimeSettings]
    interval_s: float = INTERVAL_S
    clock: Callable[[], float] = time.monotonic
    loop: tasks.Task[None] | None = None
    _watched: dict[ActiveCall, _Watch] = field(default_factory=dict)
    _by_fd: dict[int, _Watch] = field(default_factory=dict)
    _poll: select.poll = field(default_factory=tasks.real_poll)
    _looked_s: float | None = None
    _left_over: set[tasks.Task[None]] = field(default_factory=set)
    _task: tasks.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._watched)

    @property
    def is_late(self) -> bool:
        """Whether calls are active and nobody has looked at them for seconds."""
        return bool(self._watched) and self.clock() - (self._looked_s or 0.0) > STALE_S

    def watch(self, call: ActiveCall) -> None:
        """Look at a call until `unwatch`. The loop runs while there are calls."""
        sock = call.caller.sock
        fd = -1 if sock is None else sock.fileno()
        now_s = self.clock()
        self._watched[call] = watch = _Watch(call, fd, now_s)
        if fd >= 0:
            self._by_fd[fd] = watch
            self._poll.register(fd, select.POLLIN if POLLRDHUP is None else POLLRDHUP)
        if self._task is None:
            self._looked_s = now_s
            self._task = tasks.spawn(self._supervise)

    def unwatch(self, call: ActiveCall) -> None:
        """Look at a call no longer, before the descriptor of its connection is closed. Producers
        that have not ended yet are interrupted again and again."""
        self._left_over.update(task for task in call.tasks if not task.ended)
        watch = self._watched.pop(call, None)
        if watch is not None and self._by_fd.get(watch.fd) is watch:
            del self._by_fd[watch.fd]
            with suppress(KeyError, OSError):
                self._poll.unregister(watch.fd)

    def _supervise(self) -> None:
        while not self._is_idle:
            self.loop = tasks.spawn(self._loop)
            self.loop.wait(None)
            if self.loop.error is not None:
                log.error("the call monitor ended and is started again")
        self._task = None

    def _loop(self) -> None:
        idle_s = 0.0
        while idle_s < IDLE_S:
            time.sleep(self.interval_s)
            idle_s = idle_s + self.interval_s if self._is_idle else 0.0
            try:
                self.look()
            except Exception as error:
                tasks.note_failure("looking at the active calls", error)

    @property
    def _is_idle(self) -> bool:
        return not self._watched and not self._left_over

    def look(self) -> None:
        """Look once at every call."""
        self._looked_s = now_s = self.clock()
        for task in list(self._left_over):
            if task.ended:
                self._left_over.discard(task)
            else:
                task.kick()
        if not self._watched:
            return
        behaviour = self.behaviour()
        for fd, event in self._poll.poll(0):
            watch = self._by_fd.get(fd)
            try:
                if watch is not None and self._has_left(watch, event):
                    watch.call.cancel(ClientGone("The client closed the connection."))
            except Exception:
                log.exception("looking at a client's connection failed")
        for watch in list(self._watched.values()):
            try:
                self._look_at(watch, behaviour, now_s)
            except Exception:
                log.exception("looking at an active call failed")

    def _has_left(self, watch: _Watch, event: int) -> bool:
        """Whether a client is gone; its socket is not asked about again then."""
        if POLLRDHUP is None and not event & _GONE and not _peek_is_end(watch.fd):
            return False
        del self._by_fd[watch.fd]
        self._poll.unregister(watch.fd)
        return True

    def _look_at(self, watch: _Watch, behaviour: RuntimeSettings, now_s: float) -> None:
        call = watch.call
        if call.consumer.dead:
            tasks.spawn(call.close)
            return
        channel = call.channel
        moved = channel.taken != watch.taken
        if moved or channel.is_reading:
            watch.taken, watch.taken_s = channel.taken, now_s
        if call.reason is not None:
            self._end(watch, moved)
            return
        for attempt in list(call.attempts):
            error = attempt.overdue(now_s, is_held_up=channel.is_full)
            if error is not None:
                attempt.abort(error)
        if not call.prepared.call.stream:
            return
        if call.committed and now_s - watch.taken_s >= behaviour.client_write_timeout_s:
            call.cancel(ClientGone("The client took nothing of the answer."))
            _shut_down(watch.fd)
            return
        self._keep_alive(watch, behaviour, now_s)

    def _keep_alive(self, watch: _Watch, behaviour: RuntimeSettings, now_s: float) -> None:
        call = watch.call
        channel = call.channel
        if channel.put_count != watch.quiet:
            watch.quiet = channel.put_count
            watch.quiet_s = watch.said_s = now_s
            return
        margin_s = self.interval_s  # the next look would be too late
        if not call.committed:
            if now_s - watch.started_s >= behaviour.stream_commit_ms / 1000 - margin_s:
                watch.quiet_s = now_s
                channel.nudge(loud=False)
        elif now_s - watch.quiet_s >= behaviour.sse_comment_interval_s - margin_s:
            following_s = now_s + behaviour.sse_comment_interval_s
            is_loud = following_s - watch.said_s > behaviour.sse_chunk_interval_s
            watch.quiet_s = now_s
            watch.said_s = now_s if is_loud else watch.said_s
            channel.nudge(loud=is_loud)

    def _end(self, watch: _Watch, moved: bool) -> None:
        """See to it that a cancelled call ends."""
        call = watch.call
        for task in call.tasks:
            if not task.ended:
                task.kick()
        if watch.warned and call.committed and not moved and not call.channel.is_reading:
            _shut_down(watch.fd)  # it stands in a write that nobody takes
        watch.warned = True


def _peek_is_end(fd: int) -> bool:
    """Whether the peer of a readable connection has closed it."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        sock.setblocking(False)
        try:
            return not sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True


def _shut_down(fd: int) -> None:
    """End a connection so that whoever writes to it wakes as if the client had done it.

    Through a descriptor of our own: `shutdown` of the socket that is waited for would wake the
    waiting one with an error the server takes for a fault of ours.
    """
    if fd >= 0:
        with suppress(OSError), socket.socket(fileno=os.dup(fd)) as own:
            own.shutdown(socket.SHUT_RDWR)
