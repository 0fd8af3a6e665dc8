"""Every page in both themes: accessible, quiet, on its own, and never wider than its screen."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import VIOLATIONS, Visit, axe, visit
from tests.support.process import Gateway

pytestmark = pytest.mark.slow

PAGES = {
    "dashboard": "/admin/",
    "playground": "/admin/playground",
    "models": "/admin/models",
    "context": "/admin/models/context",
    "model": "/admin/models/1",
    "names": "/admin/models/1/names",
    "parameters": "/admin/models/1/parameters",
    "model-usage": "/admin/models/1/usage",
    "copy-model": "/admin/models/1/copy",
    "delete-model": "/admin/models/1/delete",
    "keys": "/admin/keys",
    "new-key": "/admin/keys/new",
    "key": "/admin/keys/1",
    "rotate": "/admin/keys/1/rotate",
    "key-edit": "/admin/keys/1/edit",
    "revoke": "/admin/keys/1/revoke",
    "connect": "/admin/connect",
    "usage": "/admin/usage?group=model&range=30d",
    "percentiles": "/admin/usage?metric=first_token&range=30d",
    "requests": "/admin/requests",
    "request": "/admin/requests/req_00000000000000000000000000000001",
    "servers": "/admin/servers",
    "server": "/admin/servers/1",
    "settings": "/admin/settings",
    "api": "/admin/settings/api",
    "alerts": "/admin/settings/alerts",
    "new-alert": "/admin/settings/alerts/new",
    "security": "/admin/settings/security",
    "new-account": "/admin/settings/security/admins/new",
    "two-factor": "/admin/settings/security/two-factor",
    "audit": "/admin/settings/audit",
    "backup": "/admin/settings/backup",
    "observability": "/admin/settings/observability",
    "about": "/admin/settings/about",
    "welcome-connect": "/admin/welcome?step=connect",
    "welcome-models": "/admin/welcome?step=models",
    "welcome": "/admin/welcome?step=key",
    "search": "/admin/search?q=qwen",
    "reference": "/docs",
    "reference-keys": "/docs/administration/keys",
    "nothing": "/admin/nothing",
}
LOOKS = [
    (1440, "light", "en"),
    (1280, "dark", "zh"),
    (390, "light", "zh"),
    (360, "dark", "en"),
]
MAX_PAGE_BYTES = 60_000
CUT = """() => {
  const isCut = (one) => {
    const right = one.getBoundingClientRect().right - 1;
    const mayScroll = !one.matches(".actions *, .nav-tabs > .active");
    for (let box = one.parentElement; box; box = box.parentElement) {
      const { overflowX, textOverflow } = getComputedStyle(box);
      if (textOverflow === "ellipsis") return false;
      if (mayScroll && ["auto", "scroll"].includes(overflowX)) return false;
      if (overflowX !== "visible" && right > box.getBoundingClientRect().right) return true;
    }
    return right > document.documentElement.clientWidth;
  };
  return [...document.querySelectorAll("main :is(a, .btn)")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && isCut(one))
    .map((one) => "cut: " + one.outerHTML.slice(0, 160));
}"""
"""Returns links and buttons that reach over the right edge where nothing scrolls to them, or that
are too important to be scrolled to: the actions of a row, and the chosen tab."""


def faults(tab: Visit, path: str) -> list[str]:
    """Return what is wrong with a page, a line each."""
    answer = tab.page.goto(tab.base + path)
    assert answer is not None
    tab.page.evaluate(axe())
    found: list[str] = tab.page.evaluate(VIOLATIONS) + tab.page.evaluate(CUT)
    if (size := len(answer.body())) > MAX_PAGE_BYTES:
        found.append(f"{size} bytes")
    width = tab.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [*found, f"{width} px too wide"] if width > 0 else found


@pytest.mark.parametrize(("width", "theme", "language"), LOOKS)
def test_every_page_is_accessible_light_quiet_and_fits(
    browser: Browser, busy: Gateway, width: int, theme: str, language: str
) -> None:
    tab = visit(browser, busy.url, width=width, theme=theme, language=language)
    found = {"login": faults(tab, "/auth/login")}
    tab.login()
    found |= {name: faults(tab, path) for name, path in PAGES.items()}
    complaints = [one for one in tab.complaints if "404" not in one]
    tab.context.close()

    assert {name: wrong for name, wrong in found.items() if wrong} == {}
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
    tab.page.select_option("#metric", "tokens")
    tab.page.click("main .filters form[data-auto] button")
    table = tab.page.locator("main details table").count()
    tab.page.click("header .dropdown > button >> nth=1")
    tab.page.click("button[value=zh]")
    heading = tab.page.inner_text("h1")
    tab.context.close()

    assert secret.startswith("sk-o2a-")
    assert table == 1
    assert heading == "用量"
