"""An application on a store of its own, and its admin API with tokens of each role."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from gateway.core.admin import CLI, Role
from gateway.web.context import Services, of
from tests.support.document import check_answer
from tests.test_cli import close, make_app

Call: TypeAlias = Callable[..., TestResponse]
ROLES: tuple[Role, ...] = ("viewer", "admin", "owner")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    made = make_app(tmp_path / "data")
    yield made
    close(made)


@pytest.fixture
def parts(app: Flask) -> Services:
    return of(app)


@pytest.fixture
def call(app: Flask) -> Call:
    """Call the API with a token of a role (owner unless said otherwise)."""
    return caller(app)


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application that no test changes."""
    made = make_app(tmp_path_factory.mktemp("untouched") / "data")
    yield made
    close(made)


@pytest.fixture(scope="session")
def refused(untouched: Flask) -> Call:
    """Call the API of an application that no test changes."""
    return caller(untouched)


def caller(app: Flask) -> Call:
    """Return what calls the API of an application."""
    parts = of(app)
    secrets = {role: parts.admins.tokens.issue(role, role, CLI)[1] for role in ROLES}
    client = app.test_client()

    def send(
        method: str, path: str, body: Any = None, *, role: Role | None = "owner", **more: Any
    ) -> TestResponse:
        headers = {} if role is None else {"Authorization": f"Bearer {secrets[role]}"}
        headers |= more.pop("headers", {})
        whole = f"/api/admin/v1{path}"
        answer = client.open(whole, method=method, json=body, headers=headers, **more)
        if answer.status_code < 400:
            check_answer(method, whole, answer)
        return answer

    return send
