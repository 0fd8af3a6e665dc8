"""Signing in through an OpenID provider, as a browser sees it: there and back by real redirects."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from fake_ollama import FakeOllama
from tests.browser.conftest import visit
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIdProvider
from tests.support.process import Gateway


def test_the_way_to_the_provider_and_back(
    browser: Browser, ollama_with_models: FakeOllama, tmp_path: Path
) -> None:
    with OpenIdProvider() as provider:
        environ = {
            "OIDC_ISSUER": provider.url,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "OIDC_ADMINS": "gateway-admins",
            "OIDC_NAME": "Keycloak",
        }
        started = Gateway(tmp_path, ollama_url=ollama_with_models.url, env=environ, issue_key=False)
        with started as gateway:
            tab = visit(browser, gateway.url)
            tab.open("/admin/keys?q=some")
            tab.page.get_by_role("link", name="Sign in with Keycloak").click()
            expect(tab.page).to_have_title("Provider")
            tab.page.click("#agree")
            tab.page.wait_for_url("**/admin/keys?q=some")
            expect(tab.page.locator("h1")).to_have_text("Keys")
            tab.open("/admin/settings/security")
            expect(tab.page.get_by_text("You sign in through")).to_be_visible()

            assert tab.complaints == []
            assert [url for url in tab.foreign if not url.startswith(provider.url)] == []
            tab.context.close()
