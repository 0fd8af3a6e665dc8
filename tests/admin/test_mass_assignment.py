"""A form or a body with fields it does not have changes nothing by them: no role, id or secret."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from flask import Flask

from gateway.core.admin import CLI, Role
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, PASSWORD, Visitor, account
from tests.admin.test_guard import rules

NUMBER, TEXT = 471123, "f0rged"
FORGED: dict[str, Any] = {
    **dict.fromkeys(("id", "key_id", "admin_id", "user_id", "lineage_id", "rotated_from"), NUMBER),
    **dict.fromkeys(("used", "reserved", "epoch", "totp_last_step", "counter_id"), NUMBER),
    **dict.fromkeys(("digest", "secret", "prefix", "last4", "password_hash", "totp_secret"), TEXT),
    **dict.fromkeys(("created_at", "last_used_at", "revoked_at"), "1999-04-07T11:23:00Z"),
    **dict.fromkeys(("legacy", "is_owner", "totp_enabled", "must_change_password"), True),
}
ROLES = "SELECT username, role, password_hash, enabled FROM account ORDER BY id"
TOKENS = "SELECT name, role FROM admin_token ORDER BY id"


@pytest.fixture
def look(app: Flask, parts: Services) -> Callable[[str], list[Any]]:
    """Ask the database itself; an empty query gives all of it as text."""

    def look(query: str) -> list[Any]:
        with closing(sqlite3.connect(parts.config.data_dir / "gateway.db")) as connection:
            return connection.execute(query).fetchall() if query else list(connection.iterdump())

    return look


def _forged(look: Callable[[str], list[Any]]) -> list[str]:
    return [line for line in look("") if TEXT in line or str(NUMBER) in line or "1999-04" in line]


@pytest.mark.parametrize("role", ["viewer", "admin", "owner"])
def test_no_form_takes_a_field_it_does_not_have(
    app: Flask, parts: Services, look: Callable[[str], list[Any]], role: Role
) -> None:
    account(parts, "ada", role)
    parts.keys.issue({"name": "one"}, ACTOR)
    before = look(ROLES)
    more = {} if role == "owner" else {"role": "owner"}
    answers = {}
    visitor = Visitor(app)
    for endpoint, path in rules(app, "POST"):
        named = {"name": f"of {endpoint}", "url": "http://10.0.0.9:1", "username": "ada"}
        answer = visitor.post(path, {**named, **FORGED, **more})
        if answer.headers.get("Location", "").startswith("/auth/login"):  # by the one before
            visitor.login("ada", PASSWORD)
            answer = visitor.post(path, {**named, **FORGED, **more})
        answer.close()
        answers[endpoint] = answer.status_code

    assert len(answers) > 40
    assert {endpoint for endpoint, status in answers.items() if status >= 500} == set()
    assert _forged(look) == []
    assert look(ROLES)[: len(before)] == before or role == "owner"


BODIES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/keys", {"name": "more"}),
    ("PATCH", "/keys/1", {"name": "other"}),
    ("POST", "/keys/1/rotate", {"grace_hours": 1}),
    ("POST", "/servers", {"name": "box", "url": "http://10.0.0.9:1"}),
    ("PATCH", "/settings", {"max_n": 2}),
    ("POST", "/accounts", {"username": "eve", "password": PASSWORD, "role": "viewer"}),
    ("PATCH", "/accounts/2", {"role": "owner"}),
    ("POST", "/tokens", {"name": "t", "role": "owner"}),
    ("POST", "/pulls", {"model": "m"}),
    ("POST", "/config", {"keys": [{"name": "k"}]}),
    ("POST", "/config", {"keys": [{"name": "k", **FORGED}]}),
    ("POST", "/config", {"admins": [{"username": "eve", "role": "owner"}]}),
    ("POST", "/config", {"servers": [{"name": "box", "url": "http://10.0.0.9:1", **FORGED}]}),
    ("POST", "/config", {"settings": FORGED}),
]


@pytest.mark.parametrize("role", ["admin", "owner"])
def test_no_body_takes_a_field_it_does_not_have(
    app: Flask, parts: Services, look: Callable[[str], list[Any]], role: Role
) -> None:
    account(parts, "ada", "admin")
    parts.keys.issue({"name": "one"}, ACTOR)
    secret = parts.admins.tokens.issue("of a test", role, CLI)[1]
    before = look(ROLES), look(TOKENS)
    for method, path, body in BODIES:
        answer = app.test_client().open(
            f"/api/admin/v1{path}",
            method=method,
            json={**body, **FORGED},
            headers={"Authorization": f"Bearer {secret}"},
        )

        assert answer.status_code in (400, 403), (path, body)
        assert answer.get_json()["error"]["param"] or answer.status_code == 403, (path, body)
        assert _forged(look) == [], (path, body)
        assert (look(ROLES), look(TOKENS)) == before, (path, body)
