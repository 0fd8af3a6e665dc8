"""Where alerts go in tests: an HTTP server and a mail server that keep what they get, on threads,
and ports that hang."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """An HTTP server; `got` are (path, headers, JSON body). It answers with `status`, to which a
    redirect adds `location`."""

    url: str = ""
    status: int = 200
    location: str = ""
    got: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    @property
    def bodies(self) -> list[Any]:
        """What came, as JSON."""
        return [body for _, _, body in self.got]


@contextmanager
def webhook(status: int = 200, location: str = "") -> Iterator[Webhook]:
    """A running webhook."""
    kept = Webhook(status=status, location=location)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            kept.got.append((self.path, dict(self.headers), json.loads(raw)))
            self.send_response(kept.status)
            if kept.location:
                self.send_header("Location", kept.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass
class Mailbox:
    """A mail server of one line each; `mails` are whole messages, `commands` what was said."""

    url: str = ""
    refuses: str = ""
    """The command that is answered with an error, such as `RCPT`."""
    tls: ssl.SSLContext | None = None
    """Offers STARTTLS, and takes a password after it."""
    mails: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


@contextmanager
def mailbox(refuses: str = "", tls: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """A running mail server, without encryption unless `tls` is given."""
    kept = Mailbox(refuses=refuses, tls=tls)
    listener = socket.create_server(("127.0.0.1", 0))
    kept.url = f"smtp://127.0.0.1:{listener.getsockname()[1]}"
    thread = threading.Thread(target=_serve_mail, args=(listener, kept), daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        listener.close()


def _serve_mail(listener: socket.socket, kept: Mailbox) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, suppress(OSError):
            _talk(connection, kept)


def _talk(connection: socket.socket, kept: Mailbox) -> None:
    connection.sendall(b"220 ready\r\n")
    if _commands(connection, kept) == "STARTTLS":
        assert kept.tls is not None
        connection.sendall(b"220 go on\r\n")
        with kept.tls.wrap_socket(connection, server_side=True) as private:
            _commands(private, kept)


def _commands(connection: socket.socket, kept: Mailbox) -> str:
    """Serve commands until QUIT or STARTTLS; return that."""
    lines = connection.makefile("rb", buffering=0)
    offers = b"AUTH PLAIN" if isinstance(connection, ssl.SSLSocket) else b"STARTTLS"
    for raw in lines:
        line = raw.decode().strip()
        kept.commands.append(line)
        word = line.partition(" ")[0].upper()
        if kept.refuses and word == kept.refuses:
            connection.sendall(b"550 no\r\n")
        elif word == "DATA":
            connection.sendall(b"354 go on\r\n")
            mail = b""
            while not mail.endswith(b"\r\n.\r\n"):
                mail += lines.readline()
            kept.mails.append(mail.decode())
            connection.sendall(b"250 taken\r\n")
        elif word == "QUIT":
            connection.sendall(b"221 bye\r\n")
            return word
        elif word == "STARTTLS":
            return word
        elif word == "EHLO" and kept.tls is not None:
            connection.sendall(b"250-mail.test\r\n250 " + offers + b"\r\n")
        elif word == "AUTH":
            connection.sendall(b"235 welcome\r\n")
        else:
            connection.sendall(b"250 ok\r\n")
    return ""


@contextmanager
def hanging() -> Iterator[int]:
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
