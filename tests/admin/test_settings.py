"""Settings: every one has words, is checked, takes effect, and is written down."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime
from html import unescape

import pytest
from flask import Flask

from fake_ollama import FakeOllama
from gateway.admin.forms.settings import TABS, names_of
from gateway.schemas import convert
from gateway.schemas.settings import RuntimeSettings
from gateway.store.coordination import workers
from gateway.version import REPOSITORY
from gateway.web.context import Services, of
from tests.admin.conftest import ACTOR, PASSWORD, Visitor, account


def given(behaviour: RuntimeSettings, tab: str) -> dict[str, str]:
    """Return a tab's form as a browser would send it back unchanged."""
    values = {name: getattr(behaviour, name) for name in names_of(tab)}
    return {
        name: "y" if value is True else str(value / 1000 if name.endswith("_ms") else value)
        for name, value in values.items()
        if value is not False
    }


def test_every_setting_stands_on_exactly_one_tab() -> None:
    shown = [name for tab in TABS for name in names_of(tab)]

    assert sorted(shown) == sorted(field.name for field in fields(RuntimeSettings))


@pytest.mark.parametrize("tab", TABS)
def test_sending_a_tab_unchanged_changes_nothing(untouched: Visitor, tab: str) -> None:
    settings = of(untouched.app).settings
    before = settings.behaviour()
    answer = untouched.post(f"/admin/settings/{tab}", given(before, tab))

    assert answer.status_code == 303
    assert settings.behaviour() == before


CHANGES = [
    ("general", "public_url", "https://ai.example.org", "https://ai.example.org"),
    ("general", "display_timezone", "Asia/Shanghai", "Asia/Shanghai"),
    ("api", "reasoning_field", "both", "both"),
    ("api", "idle_timeout_s", "900", 900),
    ("api", "request_timeout_ms", "90", 90_000),
    ("api", "stream_commit_ms", "0.25", 250),
    ("privacy", "body_retention_days", "3", 3),
    ("limits", "max_images", "0", 0),
]


def test_a_changed_setting_is_in_force(admin: Visitor, parts: Services) -> None:
    for tab, name, text, value in CHANGES:
        admin.post(f"/admin/settings/{tab}", given(parts.settings.behaviour(), tab) | {name: text})

        assert getattr(parts.settings.behaviour(), name) == value
        title = convert.meta_of(convert.fields_of(RuntimeSettings)[name]).title
        assert f"<dt>{title}</dt>" in unescape(admin.get("/admin/settings/audit").text)


def test_a_switch_is_switched_off_by_its_absence(admin: Visitor, parts: Services) -> None:
    sent = given(parts.settings.behaviour(), "api")
    del sent["allow_remote_images"]
    admin.post("/admin/settings/api", sent)

    assert not parts.settings.behaviour().allow_remote_images


WRONG = [
    ("general", "public_url", "ai.example.org"),
    ("general", "display_timezone", "Mars/Olympus"),
    ("general", "fallback_model", "no-such-model"),
    ("api", "idle_timeout_s", "0"),
    ("api", "request_timeout_ms", "86401"),
    ("api", "request_timeout_ms", "0.0001"),
    ("api", "stream_commit_ms", "Infinity"),
    ("api", "idle_timeout_s", "soon"),
    ("api", "reasoning_field", "thoughts"),
    ("api", "cors_allow_origins", "chat.example.org/path"),
    ("privacy", "usage_max_rows", "5"),
    ("limits", "max_body_mb", "999999999999999999999"),
]


@pytest.mark.parametrize(("tab", "name", "text"), WRONG)
def test_a_wrong_setting_is_told_at_its_field(
    untouched: Visitor, tab: str, name: str, text: str
) -> None:
    settings = of(untouched.app).settings
    before = settings.behaviour()
    answer = untouched.post(f"/admin/settings/{tab}", given(before, tab) | {name: text})

    field = answer.text.partition(f'id="setting-{name}"')[2].partition('id="setting-')[0]

    assert answer.status_code == 200
    assert "invalid-feedback" in field
    assert text in field or name in {"reasoning_field", "fallback_model"}
    assert settings.behaviour() == before


def test_the_defaults_can_be_restored(admin: Visitor, parts: Services) -> None:
    parts.settings.update({"max_images": 3, "idle_timeout_s": 77}, ACTOR)
    admin.post("/admin/settings/limits/reset")

    assert parts.settings.behaviour().max_images == RuntimeSettings().max_images
    assert parts.settings.behaviour().idle_timeout_s == 77


def test_one_setting_gets_its_default_back(admin: Visitor, parts: Services) -> None:
    parts.settings.update({"max_images": 3, "max_tools": 7, "request_timeout_ms": 90_000}, ACTOR)
    page = admin.get("/admin/settings/limits").text
    answer = admin.post("/admin/settings/limits/reset", {"name": "max_images"})
    elsewhere = admin.post("/admin/settings/limits/reset", {"name": "idle_timeout_s"})

    assert "Default: 100" in page
    assert "Default: 600 s" in admin.get("/admin/settings/api").text
    assert answer.headers["Location"] == "/admin/settings/limits#setting-max_images"
    assert parts.settings.behaviour().max_images == 100
    assert parts.settings.behaviour().max_tools == 7
    assert elsewhere.status_code == 400


FOUND = [
    ("idle timeout", {"idle_timeout_s"}),
    ("MAX_IMAGES", {"max_images"}),
    ("queue model", {"queue_max_waiting"}),
    ("no such words", set()),
]


@pytest.mark.parametrize(("query", "wanted"), FOUND)
def test_settings_are_found_by_their_words(
    untouched: Visitor, query: str, wanted: set[str]
) -> None:
    page = untouched.get("/admin/settings", query_string={"q": query}).text

    assert set(re.findall(r"#setting-(\w+)", page)) == wanted


def test_settings_are_found_in_the_language_of_the_visitor(untouched: Visitor) -> None:
    headers = {"Accept-Language": "zh"}
    page = untouched.get("/admin/settings?q=无输出超时", headers=headers).text

    assert "#setting-idle_timeout_s" in page


def test_the_fallback_model_is_chosen_from_those_there_are(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    parts.settings.update({"fallback_model": "gone"}, ACTOR)
    page = admin.get("/admin/settings").text
    field = page.partition('name="fallback_model"')[2].partition("</select>")[0]
    names = {model.display_name for model in parts.catalog.models()}

    assert set(re.findall(r'value="([^"]*)"', field)) == {"", "gone", *names}


def test_a_number_has_its_unit_behind_it_and_no_star(untouched: Visitor) -> None:
    page = untouched.get("/admin/settings/api").text
    field = page.partition('id="setting-request_timeout_ms"')[2].partition('id="setting-')[0]

    assert 'value="600"' in field
    assert '<span class="input-group-text">s</span>' in field
    assert "required" not in field


def test_about_leads_to_help_and_says_since_when_it_runs(admin: Visitor, parts: Services) -> None:
    began = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    parts.store.write(workers.record, "one", started_at=began, now=datetime.now(UTC))
    page = admin.get("/admin/settings/about").text
    menu = page.partition("Signed in as")[2].partition("Sign out")[0]

    assert "2026-01-02 03:04:05" in page
    assert {"/docs", "/openapi.json", REPOSITORY, f"{REPOSITORY}/blob/main/CHANGELOG.md"} <= {
        *re.findall(r'href="([^"]+)"', page)
    }
    assert {"/docs", "/admin/settings/about"} <= {*re.findall(r'href="([^"]+)"', menu)}


def test_an_account_is_added_and_must_choose_a_password(
    app: Flask, admin: Visitor, parts: Services
) -> None:
    fields = {"username": "Ada", "role": "viewer", "password": PASSWORD}
    admin.post("/admin/settings/security/admins/new", fields)
    ada = Visitor(app)
    answer = ada.login("ada", PASSWORD)

    assert answer.headers["Location"] == "/auth/password"
    assert parts.admins.accounts.find("ada").role == "viewer"  # type: ignore[union-attr]  # just added


def test_a_session_is_ended_from_the_list(app: Flask, admin: Visitor, parts: Services) -> None:
    other = Visitor(app)
    other.login()
    sessions = parts.admins.sessions(1)
    admin.post(f"/admin/settings/security/sessions/{max(s.id for s in sessions)}/end")

    assert other.get("/admin/keys").status_code == 303
    assert admin.get("/admin/keys").status_code == 200


def test_a_session_of_somebody_else_is_out_of_reach(
    app: Flask, admin: Visitor, parts: Services
) -> None:
    account(parts, "ada", "admin")
    ada = Visitor(app)
    ada.login("ada", PASSWORD)
    mine = parts.admins.sessions(1)[0].id
    ada.post(f"/admin/settings/security/sessions/{mine}/end")

    assert admin.get("/admin/keys").status_code == 200


def test_a_token_is_shown_once_and_revoked(admin: Visitor, parts: Services) -> None:
    fields = {"name": "ci", "role": "viewer", "lifetime": "30"}
    answer = admin.post("/admin/settings/security/tokens/new", fields)
    first = admin.get(answer.headers["Location"]).text
    second = admin.get(answer.headers["Location"])
    secret = first.split('id="secret">')[1].split("<")[0]
    token = parts.admins.tokens.find(secret)
    admin.post(f"/admin/settings/security/tokens/{token.id}/revoke")

    assert second.status_code == 303
    assert parts.admins.tokens.all()[0].revoked_at is not None
