"""What was typed outlives the end of a session, in every form and without its passwords."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from gateway.web.context import Services
from tests.admin.conftest import ACTOR
from tests.browser.conftest import Visit
from tests.support.process import ADMIN_PASSWORD

pytestmark = pytest.mark.slow


def _end_sessions(parts: Services) -> None:
    for one in parts.admins.sessions(1):
        parts.admins.end_session(1, one.id, ACTOR)


def _sign_in_again(tab: Visit) -> None:
    tab.page.fill("#username", "admin")
    tab.page.fill("#password", ADMIN_PASSWORD)
    tab.page.click("main button.btn-primary")


def test_a_form_is_filled_again_after_the_session_ended(tab: Visit, parts: Services) -> None:
    key, _ = parts.keys.issue({"name": "outlives"}, ACTOR)
    tab.open(f"/admin/keys/{key.id}/edit?open=limits")
    tab.page.fill("#name", "typed by hand")
    tab.page.fill("#requests_per_minute", "77")
    tab.page.check("input[name=access][value=some]")
    _end_sessions(parts)
    tab.page.click("main form button.btn-primary")
    expect(tab.page.locator("#password")).to_be_visible()
    _sign_in_again(tab)
    tab.page.wait_for_url("**/edit?open=limits")
    expect(tab.page.locator(".toast.text-bg-info")).to_be_visible()

    assert tab.page.input_value("#name") == "typed by hand"
    assert tab.page.input_value("#requests_per_minute") == "77"
    assert tab.page.is_checked("input[name=access][value=some]")
    assert parts.keys.get(key.id).name == "outlives"
    assert tab.page.evaluate("sessionStorage.length") == 0


def test_passwords_are_not_kept(tab: Visit, parts: Services) -> None:
    tab.open("/admin/settings/security/admins/new")
    tab.page.fill("#username", "newcomer")
    tab.page.fill("#password", "a secret that is typed")
    _end_sessions(parts)
    tab.page.click("main form button.btn-primary")
    expect(tab.page.locator("h1")).to_have_text("Sign in")
    kept = tab.page.evaluate("JSON.stringify(sessionStorage)")
    _sign_in_again(tab)
    tab.page.wait_for_url("**/admins/new")

    assert "newcomer" in kept
    assert "a secret that is typed" not in kept
    assert tab.page.input_value("#username") == "newcomer"
    assert tab.page.input_value("#password") == ""
