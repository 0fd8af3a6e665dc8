"""Nothing of the console opens for strangers, other sites, API keys, or roles that may not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from flask import Flask
from werkzeug.routing import Rule

from gateway.admin import OWN_AFFAIRS
from gateway.auth.views import OPEN
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, PASSWORD, Visitor, account

CONSOLE = ("admin.", "auth.")
SAMPLES = {"int": "1", "default": "x"}


def address(rule: Rule) -> str:
    """Give an address that fits a rule."""
    path = re.sub(r"<id:\w+>", "1", rule.rule)
    return re.sub(r"<\w+>", "x", path)


def rules(app: Flask, method: str) -> Iterator[tuple[str, str]]:
    """Give (endpoint, address) of the console's routes that take a method."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(CONSOLE) and method in (rule.methods or ()):
            yield rule.endpoint, address(rule)


def test_strangers_are_sent_to_the_login(app: Flask, visitor: Visitor) -> None:
    opened = {
        endpoint: visitor.get(path).headers.get("Location", "")
        for endpoint, path in rules(app, "GET")
        if endpoint not in OPEN and not endpoint.endswith(".static")
    }

    assert len(opened) > 30
    assert {endpoint for endpoint, to in opened.items() if "/auth/login" not in to} == set()


def test_a_form_of_a_stranger_changes_nothing(app: Flask, visitor: Visitor) -> None:
    visitor.get("/auth/login")
    answers = {
        endpoint: visitor.post(path)
        for endpoint, path in rules(app, "POST")
        if endpoint not in OPEN
    }

    assert len(answers) > 25
    assert {
        name for name, a in answers.items() if "/auth/login" not in a.headers["Location"]
    } == set()


def test_a_form_without_the_token_is_refused(app: Flask, admin: Visitor, parts: Services) -> None:
    parts.keys.issue({"name": "one"}, ACTOR)
    statuses = {
        endpoint: admin.client.post(path, data={"to": "off"}).status_code
        for endpoint, path in rules(app, "POST")
    }

    assert {name for name, status in statuses.items() if status != 400} == set()
    assert [key.enabled for key in parts.keys.search()] == [True]


ELSEWHERE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://["},
]


def test_another_site_cannot_send_a_form_even_with_the_token(
    admin: Visitor, parts: Services
) -> None:
    key, _ = parts.keys.issue({"name": "one"}, ACTOR)
    for headers in ELSEWHERE:
        answer = admin.post(f"/admin/keys/{key.id}/enabled", {"to": "off"}, headers=headers)

        assert answer.status_code == 400, headers
        assert parts.keys.get(key.id).enabled, headers


def test_an_api_key_opens_no_page(app: Flask, parts: Services) -> None:
    _, secret = parts.keys.issue({"name": "one"}, ACTOR)
    headers = {"Authorization": f"Bearer {secret}", "x-api-key": secret}
    answer = app.test_client().get("/admin/keys", headers=headers)

    assert answer.status_code == 303


def test_the_cookie_opens_no_endpoint_of_the_api(admin: Visitor) -> None:
    answer = admin.client.get("/v1/models")

    assert answer.status_code == 401


def test_a_viewer_sees_all_and_changes_nothing(app: Flask, parts: Services) -> None:
    account(parts, "vera", "viewer")
    parts.keys.issue({"name": "one"}, ACTOR)
    vera = Visitor(app)
    vera.login("vera", PASSWORD)
    pages = {
        path: vera.get(path).status_code for path in ("/admin/", "/admin/keys", "/admin/keys/1")
    }
    changes = {
        endpoint: vera.post(path).status_code
        for endpoint, path in rules(app, "POST")
        if endpoint.startswith("admin.") and endpoint not in OWN_AFFAIRS
    }

    assert set(pages.values()) == {200}
    assert {name for name, status in changes.items() if status != 403} == set()
    assert "btn btn-primary" not in vera.get("/admin/keys").text


def test_only_owners_manage_accounts(app: Flask, parts: Services) -> None:
    account(parts, "ada", "admin")
    ada = Visitor(app)
    ada.login("ada", PASSWORD)
    statuses = [
        ada.get("/admin/settings/security/admins/new").status_code,
        ada.post("/admin/settings/security/admins/1", {"to": "viewer"}).status_code,
        ada.post("/admin/settings/security/admins/1/delete").status_code,
        ada.get("/admin/settings/security/tokens/new").status_code,
    ]

    assert statuses == [403] * 4
    assert parts.admins.accounts.get(1).role == "owner"


def test_every_page_carries_the_protective_headers(app: Flask, admin: Visitor) -> None:
    bare = {}
    for endpoint, path in [*rules(app, "GET"), ("gone", "/admin/nothing-here")]:
        headers = admin.get(path).headers
        policy = headers.get("Content-Security-Policy", "")
        good = (
            "frame-ancestors 'none'" in policy
            and "unsafe" not in policy
            and headers.get("X-Frame-Options") == "DENY"
            and headers.get("X-Content-Type-Options") == "nosniff"
            and headers.get("Cache-Control") == "no-store"
        )
        if not good and not endpoint.endswith("static"):
            bare[endpoint] = dict(headers)

    assert bare == {}
