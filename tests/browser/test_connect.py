"""An application is chosen and tested in a browser."""

from __future__ import annotations

from playwright.sync_api import expect

from gateway.web.context import Services
from tests.admin.conftest import ACTOR
from tests.browser.conftest import Visit


def test_an_app_is_chosen_and_tested(tab: Visit, parts: Services) -> None:
    key, _secret = parts.keys.issue({"name": "to connect"}, ACTOR)
    tab.open(f"/admin/keys/{key.id}")
    tab.page.get_by_role("link", name="Choose an app and test it").click()
    tab.page.select_option("#app", "opencode")
    tab.page.wait_for_url("**app=opencode**")
    tab.page.select_option("#model", "gemma3:4b")
    tab.page.wait_for_url("**model=gemma3**")
    warning = tab.page.locator(".alert", has_text="has no tools, but opencode needs them")
    expect(warning).to_be_visible()
    tab.page.click("#test button")
    results = tab.page.locator("#test .list-group-item")

    expect(results).to_have_count(2)
    expect(results.first).to_contain_text("Streams: yes, first token after")
    expect(results.last).to_contain_text("does not support tools")
