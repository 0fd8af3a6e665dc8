"""The audit log: each entry a sentence, filters, and a file no spreadsheet is tricked by."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from gateway.admin.audit import views
from gateway.admin.audit.changes import changes_of, rows
from gateway.admin.audit.words import ACTIONS, KINDS, sentence
from gateway.core.admin import AUDIT_ACTIONS, AUDIT_KINDS, AuditEntry
from gateway.store import audit
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, Visitor

NOW = datetime.now(UTC)


def entry(action: str, **more: object) -> AuditEntry:
    values = {"object_kind": action.partition(".")[0], "object_id": "7", "object_name": "First key"}
    return AuditEntry(1, NOW, "admin", "ada", "10.0.0.1", action, **{**values, **more})  # type: ignore[arg-type]  # a test's shorthand


def test_every_action_and_kind_of_object_has_its_words(app: Flask) -> None:
    assert set(ACTIONS) == set(AUDIT_ACTIONS)
    assert set(KINDS) == set(AUDIT_KINDS)
    with app.test_request_context():
        for action in AUDIT_ACTIONS:
            words = sentence(entry(action, object_kind="key", after={"attempts": 2}))

            assert words, action
            assert "%" not in words, action
            assert action not in words, action


SENTENCES = [
    (entry("key.create"), "ada created the key “First key”"),
    (entry("login"), "ada signed in"),
    (
        entry("login.failed", object_name="root", after={"attempts": 3}),
        "3 failed sign-ins as “root”",
    ),
    (
        entry("login.failed", object_id="", object_name=audit.UNKNOWN_USER, after={"attempts": 1}),
        "1 failed sign-in with an unknown user name",
    ),
    (entry("settings.update", object_name="", object_id=""), "ada changed settings"),
]


def test_an_entry_is_a_sentence(app: Flask) -> None:
    with app.test_request_context():
        assert [sentence(one) for one, _ in SENTENCES] == [words for _, words in SENTENCES]


def test_a_new_key_shows_what_was_chosen_for_it_and_no_more(app: Flask, parts: Services) -> None:
    parts.keys.issue({"name": "First key", "requests_per_minute": 30, "notes": ""}, ACTOR)
    (found,) = parts.store.read(audit.page, object_kind="key")
    with app.test_request_context():
        changes = {change.title: (change.old, change.new) for change in changes_of(found)}

    assert changes == {"Name": (None, "First key"), "Requests per minute": (None, "30")}


def test_values_are_told_in_words(app: Flask, parts: Services) -> None:
    key, _ = parts.keys.issue({"name": "one"}, ACTOR)
    parts.keys.update(key.id, {"enabled": False, "owner": "Ada", "tags": ["a", "b"]}, ACTOR)
    with app.test_request_context():
        (newest, *_rest) = rows(parts.store.read(audit.page, object_kind="key"))

    assert newest.sentence == "admin changed the key “one”"
    assert [(one.title, one.old, one.new) for one in newest.changes] == [
        ("Enabled", "yes", "no"),
        ("Owner", "none", "Ada"),
        ("Tags", "none", "a, b"),
    ]


def test_the_log_is_filtered_by_object_action_and_user(admin: Visitor, parts: Services) -> None:
    parts.keys.issue({"name": "one"}, ACTOR)
    page = admin.get("/admin/settings/audit?object_kind=key&action=key.create&actor=admin").text
    others = [
        admin.get(f"/admin/settings/audit?{query}").text
        for query in ("object_kind=model", "action=key.delete", "actor=nobody")
    ]

    assert "created the key “one”" in page
    assert all("created the key" not in other for other in others)
    assert f"{NOW:%Y-}" in page


def test_the_filter_of_sign_ins_shows_no_failed_ones(app: Flask, admin: Visitor) -> None:
    Visitor(app).login("admin", "not the password")
    page = admin.get("/admin/settings/audit?action=login").text

    assert "admin signed in" in page
    assert "1 failed sign-in" not in page


def test_the_export_is_csv_without_formulas(admin: Visitor, parts: Services) -> None:
    parts.keys.issue({"name": "=HYPERLINK(1)"}, ACTOR)
    answer = admin.get("/admin/settings/audit/export.csv?object_kind=key")
    (line,) = csv.DictReader(io.StringIO(answer.text))

    assert answer.headers["Content-Disposition"] == 'attachment; filename="audit.csv"'
    assert line["action"] == "key.create"
    assert line["object_name"] == "'=HYPERLINK(1)"
    assert '"name":"=HYPERLINK(1)"' in line["after"]


def test_the_export_is_bounded(
    admin: Visitor, parts: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "_PAGE", 2)
    monkeypatch.setattr(views, "MOST_EXPORTED", 4)
    for number in range(7):
        parts.keys.issue({"name": f"key {number}"}, ACTOR)
    lines = admin.get("/admin/settings/audit/export.csv").text.splitlines()

    assert len(lines) == 5


def test_the_rows_of_an_attack_stay_few(parts: Services) -> None:
    at = NOW + timedelta(minutes=5)
    for number in range(200):
        ip = f"203.0.113.{number}"
        parts.store.write(audit.failed_login, "login.failed", None, ip, now=at)

    assert len(parts.store.read(audit.page, action="login.failed")) == 1
