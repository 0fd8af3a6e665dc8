"""A certificate for servers of tests."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

from tests.ollama.raw_server import RawServer


def make_certificate(folder: Path) -> Path:
    """Return a certificate for 127.0.0.1 that signs itself, with its key in the same file."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
            "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:TRUE",
            "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    whole = folder / "both.pem"
    whole.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return whole


def tls_server(certificate: Path, *connections: Any) -> RawServer:
    """Return a server behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return RawServer(*connections, tls=context)
