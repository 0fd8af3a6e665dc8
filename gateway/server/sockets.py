"""What is done to the connections of clients, under the server's own reading and writing."""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import suppress

from gevent import monkey

LINGER_S = 2.0
QUIET_S = 0.5
_PIECE_BYTES = 64 * 1024
_poll = monkey.get_original("select", "poll")  # gevent's would let others run
_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux


def send_at_once(sock: socket.socket) -> None:
    """Send small pieces without waiting for more: each is a token somebody waits for.

    gunicorn asks for this on the listening socket. That accepted ones take it over is the habit of
    Linux and BSD, and promised by nobody.
    """
    with suppress(OSError):  # no TCP, or gone already
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def bound_writing(sock: socket.socket, limit_s: float) -> None:
    """Have the system end the connection when its client takes nothing for `limit_s` seconds.

    Does nothing where the system has no TCP_USER_TIMEOUT (macOS).
    """
    if _USER_TIMEOUT is not None:
        with suppress(OSError):  # no TCP, or gone already
            sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, int(limit_s * 1000))


def is_silent(sock: socket.socket) -> bool:
    """Whether nothing has come that was not read yet. Never waits."""
    poller = _poll()
    poller.register(sock.fileno(), select.POLLIN)
    return not poller.poll(0)


def end_reading(sock: socket.socket) -> None:
    """End a connection as if its client had closed it; what is being written is not disturbed.

    Through a descriptor of our own: gevent's `shutdown` of the socket itself would wake its reader
    with an error that the server takes for a fault.
    """
    with suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as own:
        own.shutdown(socket.SHUT_RD)


def linger(sock: socket.socket) -> None:
    """Read and drop what still comes, until nothing came for QUIET_S, at most for LINGER_S.

    Who closes while a client still sends makes the system answer with a reset, and the client never
    reads why it was refused.
    """
    until_s = time.monotonic() + LINGER_S
    with suppress(OSError):
        sock.settimeout(QUIET_S)
        while time.monotonic() < until_s and sock.recv(_PIECE_BYTES):
            pass
