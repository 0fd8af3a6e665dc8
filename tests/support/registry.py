"""A registry of models: a real HTTP server that answers everything in one way."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MANIFEST = {
    "schemaVersion": 2,
    "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 561},
    "layers": [
        {"mediaType": "application/vnd.ollama.image.model", "size": 2_019_377_376},
        {"mediaType": "application/vnd.ollama.image.template", "size": 1_429},
        {"mediaType": "application/vnd.ollama.image.license", "size": 7_711},
    ],
}


class Registry(ThreadingHTTPServer):
    """A registry that knows every model, unless it is told otherwise. `asked` are paths and headers
    of what came."""

    daemon_threads = True
    status = 200
    body = json.dumps(MANIFEST).encode()
    delay_s = 0.0
    location = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict[str, str]]] = []

    def __enter__(self) -> Registry:
        run = {"poll_interval": 0.01}
        threading.Thread(target=self.serve_forever, kwargs=run, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        time.sleep(self.server.delay_s)
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *args: Any) -> None:
        pass
