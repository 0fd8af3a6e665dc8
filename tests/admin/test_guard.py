"""Nothing of the console opens for strangers, other sites, API keys, or roles that may not."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from gateway.admin.read_only import OWN_AFFAIRS
from gateway.auth.views import OPEN
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, PASSWORD, Visitor, account
from tests.admin.forms import Form, forms_of

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


def _pages(app: Flask) -> list[str]:
    """Return the addresses of pages, but for streams and files."""
    found = [path for endpoint, path in rules(app, "GET") if endpoint.startswith("admin.")]
    return [path for path in found if not re.search(r"events|export|configuration|json", path)]


def _takes_a_form(app: Flask, path: str) -> bool:
    try:
        app.url_map.bind("localhost").match(path, method="POST")
    except HTTPException:
        return path == "/admin/welcome"
    return True


def _may_send(app: Flask, form: Form, page: str) -> bool:
    path = (form.action or page).partition("?")[0]
    endpoint, _ = app.url_map.bind("localhost").match(path, method="POST")
    return endpoint in OWN_AFFAIRS or endpoint in {"auth.logout", "auth.preferences"}


@pytest.mark.usefixtures("served")
def test_a_viewer_finds_no_form_to_send_but_for_the_own_account(
    app: Flask, parts: Services
) -> None:
    account(parts, "vera", "viewer")
    parts.keys.issue({"name": "one"}, ACTOR)
    vera = Visitor(app)
    vera.login("vera", PASSWORD)
    looked_at, disabled, sendable = 0, 0, []
    for path in _pages(app):
        answer = vera.get(path)
        looked_at += answer.status_code == 200
        for form in forms_of(answer.text):
            disabled += form.method == "post" and not form.enabled
            if form.method == "post" and form.enabled and not _may_send(app, form, path):
                sendable.append((path, form.action, form.enabled))

    assert looked_at > 20
    assert disabled > 3
    assert sendable == []
    assert "Read only" in vera.get("/admin/models/1/names").text


CLOSED_TO_VIEWERS = [
    "/admin/keys/new",
    "/admin/keys/1/edit",
    "/admin/keys/1/rotate",
    "/admin/keys/1/delete",
    "/admin/servers/new",
    "/admin/models/1/copy",
    "/admin/models/1/delete",
    "/admin/settings/security/admins/new",
    "/admin/settings/security/tokens/new",
    "/admin/welcome",
]


def test_pages_that_are_only_for_changes_are_closed_to_viewers(app: Flask, parts: Services) -> None:
    account(parts, "vera", "viewer")
    vera = Visitor(app)
    vera.login("vera", PASSWORD)
    statuses = {path: vera.get(path).status_code for path in CLOSED_TO_VIEWERS}

    assert set(statuses.values()) == {403}


@pytest.mark.usefixtures("served")
def test_no_link_leads_a_viewer_to_a_closed_page(app: Flask, parts: Services) -> None:
    account(parts, "vera", "viewer")
    parts.keys.issue({"name": "one"}, ACTOR)
    vera = Visitor(app)
    vera.login("vera", PASSWORD)
    found = set()
    for path in _pages(app):
        answer = vera.get(path)
        links = re.findall(r'href="(/admin/[^"?#]*)', answer.text)
        found |= {(path, link) for link in links if answer.status_code == 200}
    forms = {link for _, link in found if _takes_a_form(app, link)}
    closed = {link for link in forms if vera.get(link).status_code == 403}

    assert {(path, link) for path, link in found if link in closed} == set()


def test_only_owners_manage_accounts(app: Flask, parts: Services) -> None:
    account(parts, "ada", "admin")
    ada = Visitor(app)
    ada.login("ada", PASSWORD)
    statuses = [
        ada.get("/admin/settings/security/admins/new").status_code,
        ada.post("/admin/settings/security/admins/1", {"role": "viewer"}).status_code,
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
