"""A gateway with a month of calls, and a browser that notices every complaint."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Cookie,
    Dialog,
    Page,
    Playwright,
    sync_playwright,
)

from fake_ollama import FakeOllama
from gateway.config import Settings
from gateway.services import make
from gateway.web.context import Services
from tests.browser.sample import fill
from tests.support.process import ADMIN_PASSWORD, Gateway

CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
WAIT_MS = 15_000
PROVIDER = {
    "OIDC_ISSUER": "https://login.example.org",
    "OIDC_CLIENT_ID": "gateway",
    "OIDC_CLIENT_SECRET": "not asked here",
    "OIDC_ADMINS": "admins",
}
"""A provider that the sign-in page leads to; nobody goes there."""
_SESSIONS: dict[str, list[Cookie]] = {}
"""The cookies of an owner who signed in, by gateway."""
VIOLATIONS = """async () => (await axe.run({ resultTypes: ["violations"] })).violations
  .map((one) => one.id + ": " + one.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | "))
"""
"""Returns what axe objects to, of any impact, a line each."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in item.nodeid:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(300))


def services_of(gateway: Gateway) -> Services:
    """Give services of this process on the gateway's database."""
    environ = {"DATA_DIR": str(gateway.folder), "LOG_LEVEL": "error"}
    return make(Settings.load({**_kept(), **environ}, None))


def _kept() -> dict[str, str]:
    return {name: os.environ[name] for name in ("TZ",) if name in os.environ}


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """Playwright, once."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium, once."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield started
    started.close()


@pytest.fixture(scope="session")
def ollama_with_models() -> Iterator[FakeOllama]:
    """A fake Ollama that speaks slowly enough to watch."""
    with FakeOllama(token_delay_s=(0.01, 0.02)) as server:
        yield server


@pytest.fixture(scope="session")
def busy(
    ollama_with_models: FakeOllama, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway that has been used for a month."""
    folder = tmp_path_factory.mktemp("busy")
    url = ollama_with_models.url
    with Gateway(folder, ollama_url=url, env=PROVIDER, issue_key=False) as gateway:
        parts = services_of(gateway)
        fill(parts, datetime.now(UTC), calls=1_500)
        parts.store.database.close()
        yield gateway


class Visit:
    """A tab that collects what the browser complains about and where it reached out to."""

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.context = context
        self.base = base
        self.page: Page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.questions: list[str] = []
        self.actions = 0
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._agree)
        self.page.on("request", lambda request: self._reached(request.url))

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(f"{self.page.url}: {text}")

    def _agree(self, dialog: Dialog) -> None:
        self.questions.append(dialog.type)
        dialog.accept()

    def _reached(self, url: str) -> None:
        if not url.startswith((self.base, "data:", "blob:")):
            self.foreign.append(url)

    def open(self, path: str) -> None:
        """Go to a page of the console."""
        self.page.goto(self.base + path)

    def click(self, selector: str) -> None:
        """Click, counted."""
        self.actions += 1
        self.page.click(selector)

    def type(self, selector: str, text: str) -> None:
        """Fill a field, counted as one group of keys."""
        self.actions += 1
        self.page.fill(selector, text)

    def login(self) -> None:
        """Sign in as the owner: with the session of an earlier tab while it lasts, which saves two
        pages."""
        self.context.add_cookies(_SESSIONS.get(self.base, []))
        self.open("/admin/")
        if "/auth/login" in self.page.url:
            self.page.fill("#username", "admin")
            self.page.fill("#password", ADMIN_PASSWORD)
            self.page.click("main button.btn-primary")
            self.page.wait_for_url("**/admin/**")
            _SESSIONS[self.base] = self.context.cookies()


def visit(
    browser: Browser,
    base: str,
    *,
    theme: str = "light",
    width: int = 1440,
    language: str = "en",
    scripts: bool = True,
) -> Visit:
    """Open a tab as some visitor would have it."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=theme,  # type: ignore[arg-type]  # light or dark
        locale=language,
        timezone_id="Europe/Berlin",
        java_script_enabled=scripts,
    )
    return Visit(context, base)


@pytest.fixture
def tab(browser: Browser, busy: Gateway) -> Iterator[Visit]:
    """A signed-in owner at the busy gateway; nothing may have been complained about at the end."""
    opened = visit(browser, busy.url)
    opened.login()
    yield opened
    opened.context.close()

    assert opened.complaints == []
    assert opened.foreign == []


@pytest.fixture
def parts(busy: Gateway) -> Iterator[Services]:
    """Services on the busy gateway's database, to look and to prepare."""
    made = services_of(busy)
    yield made
    made.store.database.close()


def axe() -> str:
    """Return the source of axe-core."""
    return (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
