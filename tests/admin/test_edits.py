"""Two people who change one thing, and a session that ends while a form is open."""

from __future__ import annotations

from html import unescape
from urllib.parse import unquote

import pytest
from flask import Flask

from gateway.web.context import Services
from tests.admin.conftest import ACTOR, PASSWORD, Visitor, account
from tests.admin.forms import form_with


@pytest.fixture
def bea(app: Flask, parts: Services) -> Visitor:
    """A second owner."""
    account(parts, "bea", "owner")
    visitor = Visitor(app)
    visitor.login("bea", PASSWORD)
    return visitor


MORE = {"anyway": "1", "from": "json"}
FORMS = {
    "key": ("/admin/keys/1/edit", "name", "of bea", "Name: one → of bea"),
    "settings": ("/admin/settings/limits", "max_body_mb", "77", " → 77"),
    "names": ("/admin/models/1/names", "display_name", "of-bea", " → of-bea"),
    "parameters": ("/admin/models/1/parameters", "override", '{"seed": 7}', 'none → {"seed":7}'),
    "server": ("/admin/servers/1", "name", "of bea", " → of bea"),
    "account": ("/admin/settings/security/admins/3", "role", "viewer", "Role: admin → viewer"),
}


@pytest.mark.usefixtures("served")
def test_the_second_of_two_admins_is_shown_what_the_first_changed(
    app: Flask, parts: Services, admin: Visitor, bea: Visitor
) -> None:
    parts.keys.issue({"name": "one"}, ACTOR)
    account(parts, "cem", "admin")
    for path, name, value, told in FORMS.values():
        mine = form_with(admin.get(path).text, name)
        hers = form_with(bea.get(path).text, name)
        saved = bea.post(path, {**hers.values, name: value, **MORE})
        typed = {**mine.values, **MORE}
        refused = admin.post(path, typed)
        again = form_with(refused.text, name)

        assert saved.status_code == 303, path
        assert refused.status_code == 200, path
        assert "bea changed this at" in refused.text, path
        assert told in unescape(refused.text), path
        assert again.values.get(name) == mine.values.get(name), path
        assert admin.post(path, {**again.values, **MORE}).status_code == 303, path


def test_who_is_alone_saves_twice(admin: Visitor, parts: Services) -> None:
    parts.keys.issue({"name": "one"}, ACTOR)
    for name in ("two", "three"):
        form = form_with(admin.get("/admin/keys/1/edit").text, "name")
        answer = admin.post("/admin/keys/1/edit", {**form.values, "name": name})

        assert answer.status_code == 303
    assert parts.keys.get(1).name == "three"


def test_another_tab_of_settings_is_no_conflict(admin: Visitor, bea: Visitor) -> None:
    mine = form_with(admin.get("/admin/settings/limits").text, "max_body_mb")
    hers = form_with(bea.get("/admin/settings/privacy").text, "usage_retention_days")
    bea.post("/admin/settings/privacy", {**hers.values, "usage_retention_days": "33"})
    answer = admin.post("/admin/settings/limits", {**mine.values, "max_body_mb": "55"})

    assert answer.status_code == 303


def test_a_form_after_the_session_ended_leads_to_the_sign_in_and_back(
    app: Flask, admin: Visitor, parts: Services
) -> None:
    parts.keys.issue({"name": "one"}, ACTOR)
    page = "/admin/keys/1/edit?open=limits"
    admin.get(page)
    came_from = {"Referer": f"http://localhost{page}"}
    parts.admins.end_session(1, parts.admins.sessions(1)[0].id, ACTOR)
    ended = admin.post("/admin/keys/1/edit", {"name": "typed"}, headers=came_from)
    admin.token = "of another session"
    signed_out = admin.post("/admin/keys/1/edit", {"name": "typed"}, headers=came_from)
    stranger = admin.post(
        "/admin/keys/1/edit", {"name": "typed"}, headers={"Referer": "https://evil.example/x"}
    )

    wanted = "/auth/login?next=/admin/keys/1/edit?open%3Dlimits"
    assert unquote(ended.headers["Location"]) == unquote(wanted)
    assert unquote(signed_out.headers["Location"]) == unquote(wanted)
    assert stranger.headers["Location"] == "/auth/login"
    assert parts.keys.get(1).name == "one"
