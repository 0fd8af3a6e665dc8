"""The application in this process, before a fake Ollama."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import urllib3
from flask.testing import FlaskClient

from fake_ollama import FakeOllama, Script
from gateway import create_app
from gateway.config import Settings
from gateway.core.admin import Actor
from gateway.web.context import of
from tests.support.database import prepare


def _short(body: dict[str, Any]) -> Script:
    """Answer in a few words, and in JSON where that is asked for."""
    return Script() if body.get("format") else Script(content="All is well.")


class Errors(logging.Handler):
    """Keeps what is logged as an error: nothing a caller sends may cause any."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


class Target:
    """The application with a key, and what it logged."""

    def __init__(self, client: FlaskClient, key: str, errors: Errors) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {key}"}
        self.errors = errors.found

    def post(self, path: str, raw: bytes) -> tuple[int, Any, bytes]:
        """Send a body; give status, headers and the whole answer."""
        answer = self._client.post(path, data=raw, headers=self._headers)
        with answer:
            return answer.status_code, answer.headers, answer.get_data()

    def send(self, wanted: dict[str, Any]) -> requests.Response:
        """Send a request as `requests` would, and give its answer."""
        prepared = requests.Request(
            wanted["method"],
            wanted["url"],
            headers={**dict(wanted["headers"]), **self._headers},
            params=wanted.get("params"),
            data=wanted.get("data"),
            json=wanted.get("json"),
        ).prepare()
        given = self._client.open(
            prepared.path_url,
            method=prepared.method,
            data=prepared.body,
            headers=dict(prepared.headers),
        )
        answer = requests.Response()
        answer.status_code = given.status_code
        answer.headers.update(dict(given.headers))
        answer.raw = urllib3.HTTPResponse(headers=dict(given.headers), status=given.status_code)
        answer._content = given.get_data()
        answer.request = prepared
        answer.url = prepared.url or ""
        return answer


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The application, ready to be asked anything."""
    folder = tmp_path_factory.mktemp("fuzz")
    with FakeOllama() as ollama:
        ollama.script("*", _short)
        settings = Settings.load(
            {"DATA_DIR": str(folder), "OLLAMA_URL": ollama.url, "LOG_LEVEL": "error"}, None
        )
        prepare(settings)
        app = create_app(settings)
        parts = of(app)
        parts.refresher.refresh()
        actor = Actor("cli", "tests")
        _, key = parts.keys.issue({"name": "fuzz", "allow": ["*"]}, actor)
        parts.settings.update({"request_timeout_ms": 20_000, "stream_commit_ms": 2000}, actor)
        errors = Errors()
        logging.getLogger().addHandler(errors)
        parts.usage.start()  # hundreds of thousands of calls leave as many records
        yield Target(app.test_client(), key, errors)
        parts.usage.stop()
        logging.getLogger().removeHandler(errors)
        parts.store.database.close()
