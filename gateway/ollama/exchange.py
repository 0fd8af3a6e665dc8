"""One request and its answer on one connection: its time limits and how it is cancelled."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from gateway.errors import ClientGone

RECV_BYTES: Final = 65_536


class ReadWait(Protocol):
    """Reads from one socket, again and again, waiting until something is there."""

    def read(self, timeout_s: float) -> bytes | None:
        """Return what is there, at most RECV_BYTES, or comes within `timeout_s`; None when nothing
        came, b"" at the end. Raises OSError."""
        ...

    def is_quiet(self) -> bool:
        """Whether the peer is still there and has said nothing: looks, without taking or
        waiting."""
        ...

    def close(self) -> None:
        """Forget the socket."""
        ...


class PlainReads:
    """Reads with a timeout of the socket: where nobody waits more cheaply, and for TLS."""

    __slots__ = ("_sock",)

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def read(self, timeout_s: float) -> bytes | None:
        """See `ReadWait`."""
        self._sock.settimeout(timeout_s)
        try:
            return self._sock.recv(RECV_BYTES)
        except TimeoutError:
            return None

    def is_quiet(self) -> bool:
        """See `ReadWait`."""
        self._sock.settimeout(0)
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except OSError as error:
            return isinstance(error, BlockingIOError)
        return False

    def close(self) -> None:
        """See `ReadWait`; nothing is held."""


MakeWait: TypeAlias = Callable[[socket.socket], ReadWait | None]
"""Gives a cheaper way to read than `recv` with a timeout, or None."""


class Stalled(Exception):
    """A time limit passed; its sentence is for callers."""


class Exchange:
    """One request and its answer on one connection: time limits, cancel flag, what was received.

    `idle_s` is the longest silence: until the first record `first_s`, where that is given, then the
    one given. `deadline_s` is in monotonic seconds. `tells_sent` asks for one more step, when the
    request has been sent and nothing was waited for yet. `cancel` may be called from anywhere, the
    rest by the greenlet that makes the call.
    """

    __slots__ = (
        "_later_idle_s",
        "_lock",
        "_sock",
        "_total_s",
        "begun",
        "cancelled",
        "connect_s",
        "deadline_s",
        "idle_s",
        "read_wait",
        "received",
        "reused",
        "tells_sent",
        "want_fresh",
    )

    def __init__(
        self,
        connect_s: float,
        idle_s: float,
        total_s: float | None,
        first_s: float | None = None,
    ) -> None:
        self.connect_s = connect_s
        self.idle_s = idle_s if first_s is None else first_s
        self.deadline_s = None if total_s is None else time.monotonic() + total_s
        self.begun = False
        self._later_idle_s = idle_s
        self._total_s = total_s
        self.cancelled = False
        self.received = False
        self.reused = False
        self.want_fresh = False
        self.tells_sent = False
        self.read_wait: MakeWait | None = None
        self._sock: socket.socket | None = None
        self._lock = threading.Lock()

    def attach(self, sock: socket.socket) -> None:
        """Take a socket that this call alone uses from now on. Raises ClientGone after a cancel."""
        with self._lock:
            self._sock = sock
            if self.cancelled:
                raise ClientGone("the call was cancelled")

    def detach(self) -> None:
        """Let go of the socket, before anybody else may use it."""
        with self._lock:
            self._sock = None

    def cancel(self) -> None:
        """Wake whoever waits on the socket; every later step ends with ClientGone."""
        with self._lock:
            self.cancelled = True
            if self._sock is not None:
                _shut_down(self._sock)

    def begin(self) -> None:
        """Record the first record: from now on other limits hold."""
        self.begun = True
        self.idle_s = self._later_idle_s

    def silence(self) -> Stalled:
        """Return the failure for a silence of `idle_s`."""
        if self.begun:
            return Stalled(
                f"The Ollama server stopped answering: nothing came for {self.idle_s:g} seconds."
            )
        return Stalled(f"The Ollama server did not begin to answer within {self.idle_s:g} seconds.")

    def left_s(self, limit_s: float) -> float:
        """Return the seconds to wait at most: `limit_s`, or less when the whole call ends sooner.

        Raises Stalled when nothing is left.
        """
        if self.deadline_s is None:
            return limit_s
        left_s = self.deadline_s - time.monotonic()
        if left_s <= 0:
            if self.begun:
                raise Stalled(f"The answer was not finished within {self._total_s:g} seconds.")
            raise Stalled(
                f"The Ollama server did not begin to answer within {self._total_s:g} seconds."
            )
        return min(limit_s, left_s)


def _shut_down(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # already gone, which is what was wanted
