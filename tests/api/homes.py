"""Gateways at home, whose clients have no key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from gateway import create_app
from gateway.config import Settings
from gateway.core.admin import SYSTEM
from gateway.schemas.key import Key
from gateway.web.context import Services, of
from tests.support.database import prepare

INSIDE, OUTSIDE = "192.168.1.20", "198.51.100.7"
HOME = "192.168.1.0/24"


class Home:
    """A gateway at home, and its clients, which have no key."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.parts: Services = of(app)

    def issue(self, name: str = "Home", cidrs: tuple[str, ...] = (HOME,), **more: Any) -> Key:
        """Issue an anonymous key."""
        return self.issued(name, cidrs, **more)[0]

    def issued(
        self, name: str = "Home", cidrs: tuple[str, ...] = (HOME,), **more: Any
    ) -> tuple[Key, str]:
        """Issue an anonymous key; return it with its secret."""
        fields = {"name": name, "cidrs": list(cidrs), "anonymous": True, **more}
        return self.parts.keys.issue(fields, SYSTEM)

    def send(
        self, path: str = "/v1/models", address: str = INSIDE, body: Any = None, **headers: str
    ) -> TestResponse:
        """Send a request without a key; read its answer to the end. `x_api_key` is `x-api-key`."""
        with self.app.test_client().open(
            path,
            method="GET" if body is None else "POST",
            json=body,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            environ_base={"REMOTE_ADDR": address},
        ) as answer:
            answer.get_data()
        return answer

    def status(self, address: str = INSIDE, **headers: str) -> int:
        """Return the status of a request for the models."""
        return self.send("/v1/models", address, **headers).status_code


def opened(folder: Path, ollama_url: str, **environ: str) -> Home:
    """Return a gateway on a folder of its own, with environment variables."""
    settings = Settings.load({"DATA_DIR": str(folder), "OLLAMA_URL": ollama_url, **environ}, None)
    prepare(settings)
    return Home(create_app(settings))


def close(home: Home) -> None:
    """Let go of servers and database."""
    for server in home.parts.scheduler.servers.values():
        server.client.close()
    home.parts.store.database.close()
