"""A real browser on pages full of hostile texts: no dialog, no complaint, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from fake_ollama import FakeOllama
from tests.admin import hostile
from tests.browser.conftest import services_of, visit
from tests.support.process import Gateway

pytestmark = pytest.mark.slow

PAGES = (
    "/admin/",
    "/admin/playground",
    "/admin/models",
    "/admin/keys",
    "/admin/keys?offset=50",
    "/admin/keys/new",
    "/admin/usage?group=key&range=24h",
    "/admin/usage?group=model&range=24h",
    "/admin/requests",
    "/admin/requests?range=7d&client_app=%3Cscript%3Exss7()%3C/script%3E",
    "/admin/servers",
    "/admin/servers/1",
    "/admin/settings/audit",
    "/admin/welcome?step=models",
)
DETAILS = range(0, len(hostile.PAYLOADS), 6)


@pytest.fixture
def attacked(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway where every text came from somebody hostile."""
    with (
        FakeOllama(hostile.models()) as ollama,
        Gateway(tmp_path, ollama_url=ollama.url, issue_key=False) as gateway,
    ):
        parts = services_of(gateway)
        parts.refresher.refresh()
        hostile.fill(parts)
        parts.store.database.close()
        yield gateway


def test_nothing_hostile_runs_in_a_browser(browser: Browser, attacked: Gateway) -> None:
    tab = visit(browser, attacked.url)
    tab.context.expose_function("xss7", lambda *_: tab.complaints.append("a script ran"))
    tab.login()
    for path in (
        *PAGES,
        *(f"/admin/requests/{hostile.request_id(number)}" for number in DETAILS),
        *(f"/admin/keys/{number + 1}" for number in DETAILS),
        *(f"/admin/models/{number + 1}/parameters" for number in DETAILS),
    ):
        tab.open(path)
        tab.page.wait_for_load_state("load")
        tab.page.mouse.move(400, 300)
        tab.page.keyboard.press("Tab")
    tab.context.close()

    assert tab.questions == []
    assert tab.complaints == []
    assert tab.foreign == []
