"""Keys in a browser: snippets for another model keep the secret that is shown only once."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Visit


def test_snippets_change_with_the_model_and_keep_the_new_key(tab: Visit) -> None:
    tab.open("/admin/keys/new")
    tab.page.fill("#name", "agent")
    tab.page.click("button:has-text('Create key')")
    tab.page.wait_for_load_state()
    secret = tab.page.inner_text("#secret")
    tab.page.select_option("#app", "claude")
    shown = tab.page.locator("[data-connect] .code-box")
    expect(shown).to_contain_text("ANTHROPIC_BASE_URL")
    expect(tab.page.locator("#app")).to_be_focused()
    tab.page.select_option("#model", "llava:7b")

    expect(shown).to_contain_text("claude --model llava:7b")
    expect(shown).to_contain_text(secret)
    expect(tab.page.locator("[data-connect]")).to_contain_text("llava:7b cannot call tools")
