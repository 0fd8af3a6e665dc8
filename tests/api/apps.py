"""The application in this process before fake servers, and its answers on every API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, Protocol

import orjson
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway import create_app
from gateway.config import Settings
from gateway.core.admin import SYSTEM
from gateway.core.requests import CallDetail
from gateway.store.usage import request_queries
from gateway.web.context import Services, of
from tests.support.database import prepare

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
APIS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello?"}]}),
    "completions": ("/v1/completions", {"prompt": "Hello?"}),
    "responses": ("/v1/responses", {"input": "Hello?"}),
    "messages": (
        "/v1/messages",
        {"messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 50},
    ),
}


class App:
    """The application with a key, and a caller."""

    def __init__(self, flask: Flask) -> None:
        self.services: Services = of(flask)
        self.wsgi = flask.wsgi_app
        self._flask = flask
        self._client = flask.test_client()
        self.use_key()

    def use_key(self, **fields: Any) -> None:
        """Call with a new key from here on."""
        _, self._key = self.services.keys.issue({"name": "test", **fields}, SYSTEM)

    def stranger(self) -> FlaskClient:
        """Return a caller without a key."""
        return self._flask.test_client()

    def set(self, **changes: Any) -> None:
        """Change settings."""
        self.services.settings.update(changes, SYSTEM)

    def rest(self) -> None:
        """Forget what was noted against the servers, as if they had been started again."""
        scheduler, now = self.services.scheduler, datetime.now(UTC)
        for server in scheduler.servers.values():
            scheduler.on_probe_failure(server, now, "rest", certain=True)
            scheduler.on_probe_success(server, now, {}, 1.0, "0.33.0")

    def ask(self, api: str, **more: Any) -> TestResponse:
        """Call a generating API and read its answer to the end."""
        path, body = APIS[api]
        return self.post(path, {"model": "llama3.2", **body, **more})

    def post(self, path: str, body: dict[str, Any], **headers: str) -> TestResponse:
        """Post a body and read the answer to its end."""
        return self.send("POST", path, json=body, headers=headers)

    def send(
        self, method: str, path: str, headers: Mapping[str, str] = NO_HEADERS, **sent: Any
    ) -> TestResponse:
        """Send a request with the key and read the answer to its end."""
        fields = {"Authorization": f"Bearer {self._key}", **headers}
        with self._client.open(path, method=method, headers=fields, **sent) as answer:
            answer.get_data()
        return answer

    def open(self, path: str, body: dict[str, Any]) -> TestResponse:
        """Post a body and leave the answer to be read, and to be closed."""
        return self._client.post(path, json=body, headers={"Authorization": f"Bearer {self._key}"})

    def get(self, path: str) -> TestResponse:
        """Get what stands at a path."""
        return self.send("GET", path)

    def record(self, answer: TestResponse) -> CallDetail:
        """Return what is kept of the call that got this answer."""
        usage = self.services.usage
        usage.start()
        usage.flush(5)
        usage.stop()
        request_id = answer.headers["x-request-id"]
        return self.services.store.read(request_queries.detail, request_id)


class Address(Protocol):
    """Something that answers like Ollama."""

    @property
    def url(self) -> str: ...


def ollama_at(url: str) -> Address:
    """Return a server of another process."""
    return SimpleNamespace(url=url)


@contextmanager
def application(folder: Path, *ollamas: Address) -> Iterator[App]:
    """Return the application before these servers; their models are known."""
    urls = ",".join(ollama.url for ollama in ollamas)
    settings = Settings.load({"DATA_DIR": str(folder), "OLLAMA_URL": urls})
    prepare(settings)
    flask = create_app(settings)
    try:
        of(flask).refresher.refresh()
        yield App(flask)
    finally:
        for server in of(flask).scheduler.servers.values():
            server.client.close()
        of(flask).store.database.close()


def told(answer: TestResponse) -> dict[str, Any]:
    """Return the error of an answer, whether it is the body or the end of a stream."""
    if answer.is_json:
        found: dict[str, Any] = answer.get_json()["error"]
        return found
    frames = [line for line in answer.get_data().splitlines() if line.startswith(b"data: {")]
    last = orjson.loads(frames[-1].removeprefix(b"data: "))
    return dict(last.get("error") or last["response"]["error"])
