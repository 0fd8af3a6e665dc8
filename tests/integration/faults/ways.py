"""What lies between a gateway and its servers: a name server that hangs, and a proxy with TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from types import TracebackType

from tests.support.process import ROOT

_NAMES = """\
import _socket, os, time

_real, _sleep = _socket.getaddrinfo, time.sleep

def _slow(host, *args, **kwargs):
    if str(host).endswith(".internal"):
        for _ in range(1200):
            if not os.path.exists(os.environ["NAMES_HANG"]):
                break
            _sleep(0.05)
        host = "127.0.0.1"
    return _real(host, *args, **kwargs)

_socket.getaddrinfo = _slow
"""


class Names:
    """Lets all names under `.internal` lead to this machine, or hang."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_NAMES)
        self._flag = folder / "hang"
        self.environ = {"PYTHONPATH": f"{folder}:{ROOT}", "NAMES_HANG": str(self._flag)}

    def hang(self) -> None:
        """Answer no question any more, for at most a minute each."""
        self._flag.touch()

    def answer(self) -> None:
        """Answer again, also the questions that wait."""
        self._flag.unlink(missing_ok=True)


def certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 that signs itself, with its key in the same file."""
    key, cert, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
            "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:TRUE",
            "-keyout", str(key), "-out", str(cert),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    return both


class TlsFront:
    """A proxy with TLS in front of a plain server on this machine. A context manager; `agreed`
    and `refused` count the connections that were and were not made safe."""

    def __init__(self, certificate: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = 0
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self.agreed = 0
        self.refused = 0

    def before(self, url: str) -> str:
        """Stand in front of a server; give the address for it."""
        self._port = int(url.rpartition(":")[2])
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> TlsFront:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, plain)

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(30)
        try:
            near = self._context.wrap_socket(plain, server_side=True)
        except OSError:  # the other side did not like the certificate
            self.refused += 1
            plain.close()
            return
        self.agreed += 1
        far = socket.create_connection(("127.0.0.1", self._port), 30)
        self._open += [near, far]
        back = threading.Thread(target=_copy, args=(far, near), daemon=True)
        back.start()
        _copy(near, far)
        back.join(30)


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Hand on what comes until it ends, then hang up on both sides."""
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    for sock in (source, target):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
