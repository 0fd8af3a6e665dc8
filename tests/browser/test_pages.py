"""Every page in both themes: accessible, quiet, on its own, and never wider than its screen."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import axe, visit
from tests.support.process import Gateway

pytestmark = pytest.mark.slow

PAGES = {
    "dashboard": "/admin/",
    "playground": "/admin/playground",
    "models": "/admin/models",
    "model": "/admin/models/1",
    "names": "/admin/models/1/names",
    "parameters": "/admin/models/1/parameters",
    "model-usage": "/admin/models/1/usage",
    "keys": "/admin/keys",
    "new-key": "/admin/keys/new",
    "key": "/admin/keys/1",
    "rotate": "/admin/keys/1/rotate",
    "revoke": "/admin/keys/1/revoke",
    "usage": "/admin/usage?group=model&range=30d",
    "percentiles": "/admin/usage?metric=first_token&range=30d",
    "requests": "/admin/requests",
    "request": "/admin/requests/req_00000000000000000000000000000001",
    "servers": "/admin/servers",
    "server": "/admin/servers/1",
    "settings": "/admin/settings",
    "api": "/admin/settings/api",
    "security": "/admin/settings/security",
    "two-factor": "/admin/settings/security/two-factor",
    "audit": "/admin/settings/audit",
    "backup": "/admin/settings/backup",
    "observability": "/admin/settings/observability",
    "about": "/admin/settings/about",
    "welcome": "/admin/welcome?step=key",
    "nothing": "/admin/nothing",
}
RUN = """async () => (await axe.run({ resultTypes: ["violations"] })).violations
  .filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => one.id + ": " + one.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | "))
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_shuts_anybody_out(browser: Browser, busy: Gateway, theme: str) -> None:
    tab = visit(browser, busy.url, theme=theme)
    found: dict[str, Any] = {}
    tab.open("/auth/login")
    tab.page.evaluate(axe())
    found["login"] = tab.page.evaluate(RUN)
    tab.login()
    for name, path in PAGES.items():
        tab.open(path)
        tab.page.evaluate(axe())
        found[name] = tab.page.evaluate(RUN)
    tab.context.close()

    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    ("width", "language"),
    [(1440, "en"), (390, "zh"), (360, "en")],
    ids=["desk", "phone-zh", "small"],
)
def test_pages_are_quiet_and_fit(
    browser: Browser, busy: Gateway, width: int, language: str
) -> None:
    tab = visit(browser, busy.url, width=width, language=language)
    tab.login()
    wide = {}
    for name, path in PAGES.items():
        tab.open(path)
        tab.page.wait_for_load_state("load")
        found = tab.page.evaluate("document.documentElement.scrollWidth")
        if found > width:
            wide[name] = found
    complaints = [one for one in tab.complaints if "404" not in one]
    tab.context.close()

    assert wide == {}
    assert complaints == []
    assert tab.foreign == []


def test_the_first_load_is_light(browser: Browser, busy: Gateway) -> None:
    tab = visit(browser, busy.url)
    sizes: dict[str, int] = {}
    tab.page.on(
        "response",
        lambda answer: (
            sizes.update({answer.url: len(answer.body())}) if "/static/" in answer.url else None
        ),
    )
    tab.login()
    tab.page.wait_for_load_state("networkidle")
    own = {url: size for url, size in sizes.items() if "/bootstrap/" not in url}
    total = sum(own.values())
    tab.context.close()

    assert 20_000 < total <= 300_000


def test_pages_work_without_scripts(browser: Browser, busy: Gateway) -> None:
    tab = visit(browser, busy.url, scripts=False)
    tab.login()
    tab.open("/admin/keys/new")
    tab.page.fill("#name", "made without scripts")
    tab.page.click("main button.btn-primary")
    secret = tab.page.inner_text("#secret")
    tab.open("/admin/usage")
    tab.page.select_option("#f-metric", "tokens")
    tab.page.click("main .filters form[data-auto] button")
    table = tab.page.locator("main details table").count()
    tab.page.click("header .dropdown > button >> nth=1")
    tab.page.click("button[value=zh]")
    heading = tab.page.inner_text("h1")
    tab.context.close()

    assert secret.startswith("sk-o2a-")
    assert table == 1
    assert heading == "用量"
