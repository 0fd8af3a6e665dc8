"""The console on a database of its own, and a visitor with cookies."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from fake_ollama import FakeOllama
from gateway import create_app
from gateway.config import Settings
from gateway.core.admin import Actor, Role
from gateway.web.context import Services, of
from tests.support.database import prepare

PASSWORD = "correct horse battery"
ACTOR = Actor("admin", "admin", 1)
_TOKEN = re.compile(r'name="csrf-token" content="([^"]+)"')


class Visitor:
    """Somebody at a browser: keeps cookies, sends the page's token with every form."""

    def __init__(self, app: Flask, address: str = "127.0.0.1") -> None:
        self.app = app
        self.client = app.test_client()
        self.address = address
        self._token = ""

    @property
    def token(self) -> str:
        """The token that forms of this session carry; a page is opened where none was yet."""
        for path in ("/admin/settings/about", "/auth/login"):
            if not self._token:
                self.get(path)
        return self._token

    @token.setter
    def token(self, token: str) -> None:
        self._token = token

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        """Open a page."""
        answer = self.client.get(path, environ_base={"REMOTE_ADDR": self.address}, **kwargs)
        found = _TOKEN.search(answer.text) if "html" in (answer.content_type or "") else None
        if found:
            self._token = found.group(1)
        return answer

    def post(self, path: str, data: dict[str, Any] | None = None, **kwargs: Any) -> TestResponse:
        """Send a form of this site."""
        fields = {"csrf_token": self.token, **(data or {})}
        return self.client.post(
            path, data=fields, environ_base={"REMOTE_ADDR": self.address}, **kwargs
        )

    def login(self, username: str = "admin", password: str = PASSWORD) -> TestResponse:
        """Sign in."""
        self.get("/auth/login")
        answer = self.post("/auth/login", {"username": username, "password": password})
        self._token = ""
        return answer


def settings_for(folder: Path, **environ: str) -> Settings:
    """Give settings on a data folder."""
    values = {"DATA_DIR": str(folder), "ADMIN_PASSWORD": PASSWORD, "LOG_LEVEL": "info", **environ}
    return Settings.load({name: value for name, value in values.items() if value}, None)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a migrated database that has the first account."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare(settings_for(folder))
    return folder


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the documented first password still in force."""
    folder = tmp_path_factory.mktemp("fresh")
    prepare(settings_for(folder, ADMIN_PASSWORD=""))
    return folder


def application(source: Path, folder: Path, **environ: str) -> Flask:
    """Make an application on a copy of a prepared folder."""
    shutil.copytree(source, folder)
    return create_app(settings_for(folder, **environ))


@pytest.fixture(scope="session")
def with_models(
    prepared: Path, shared_ollama: FakeOllama, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same with the shared fake Ollama as its server, models listed."""
    folder = tmp_path_factory.mktemp("with_models") / "data"
    made = application(prepared, folder)
    shared_ollama.reset()
    of(made).servers.create({"url": shared_ollama.url, "name": "workstation"}, ACTOR)
    close(made)
    return folder


@pytest.fixture
def app(request: pytest.FixtureRequest, prepared: Path, tmp_path: Path) -> Iterator[Flask]:
    """The application, with models for a test that is `served`; nothing runs in the background."""
    is_served = "served" in request.fixturenames
    source = request.getfixturevalue("with_models") if is_served else prepared
    made = application(source, tmp_path / "data")
    yield made
    close(made)


@pytest.fixture
def first_app(fresh: Path, tmp_path: Path) -> Iterator[Flask]:
    """The application as it is after the very first start."""
    made = application(fresh, tmp_path / "data", ADMIN_PASSWORD="")
    yield made
    close(made)


def close(app: Flask) -> None:
    """Let go of the database."""
    of(app).store.database.close()


@pytest.fixture
def parts(app: Flask) -> Services:
    """The services of the application."""
    return of(app)


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    """Somebody who has not signed in."""
    return Visitor(app)


@pytest.fixture
def admin(app: Flask) -> Visitor:
    """The owner, signed in."""
    visitor = Visitor(app)
    visitor.login()
    return visitor


@pytest.fixture(scope="session")
def untouched(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """The owner, signed in at an application that no test changes."""
    made = application(prepared, tmp_path_factory.mktemp("untouched") / "data")
    visitor = Visitor(made)
    visitor.login()
    yield visitor
    close(made)


@pytest.fixture
def served(parts: Services, shared_ollama: FakeOllama) -> FakeOllama:
    """A fake Ollama that the gateway knows as its server, models listed."""
    shared_ollama.reset()
    parts.refresher.refresh()
    return shared_ollama


def account(parts: Services, username: str, role: Role) -> None:
    """Add an account that need not choose a new password."""
    parts.admins.accounts.create(username, PASSWORD, role, ACTOR, must_change=False)
