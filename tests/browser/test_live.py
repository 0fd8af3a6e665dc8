"""What is live stays true while a page is open, and says when it cannot."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
from playwright.sync_api import Browser, Page, expect

from fake_ollama import FakeOllama
from gateway.web.context import Services
from tests.admin.conftest import ACTOR
from tests.browser.conftest import Visit, visit
from tests.support.process import Gateway

SOON_MS = 20_000


@pytest.fixture
def key(parts: Services) -> str:
    """A key for requests beside the browser."""
    return parts.keys.issue({"name": "beside the browser"}, ACTOR)[1]


def ask(gateway: Gateway, key: str, model: str = "llama3.2") -> None:
    """Have a model answer in a few words, whatever comes of it."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client:
        try:
            messages = [{"role": "user", "content": "Hi"}]
            client.chat.completions.create(model=model, messages=messages, max_tokens=5)  # type: ignore[arg-type]  # a test's shorthand
        except openai.APIStatusError:
            pass


@contextmanager
def asking(gateway: Gateway, key: str) -> Iterator[None]:
    """Let a request run beside the browser."""
    thread = threading.Thread(target=ask, args=(gateway, key), daemon=True)
    thread.start()
    yield
    thread.join(20)


def mark(page: Page) -> None:
    """Leave a mark that a reload would wipe out."""
    page.evaluate("document.body.dataset.mark = 'here'")


def is_same_page(page: Page) -> bool:
    """Return whether the mark is still there."""
    return bool(page.evaluate("document.body.dataset.mark === 'here'"))


@pytest.mark.slow
def test_the_whole_dashboard_moves_without_a_reload(
    tab: Visit, busy: Gateway, key: str, ollama_with_models: FakeOllama
) -> None:
    ollama_with_models.reset()
    tab.open("/admin/")
    mark(tab.page)
    tile = tab.page.locator("[data-live=tiles] .card").first
    before = tile.inner_text()
    with ollama_with_models.hold("llama3.2", at="load") as gate, asking(busy, key):
        gate.wait_reached()
        row = tab.page.locator("#active tr", has_text="beside the browser")
        expect(row).to_contain_text(re.compile("Loading the model|Reading the prompt"))
        expect(tab.page.locator("#header-state")).to_contain_text("1 running")
        row.get_by_role("button", name="Cancel").focus()
        tab.page.wait_for_timeout(2_500)  # two looks later the focus is where it was
        focused = tab.page.evaluate("document.activeElement.innerText")
    expect(tab.page.locator("#active")).to_contain_text("No active requests", timeout=SOON_MS)
    expect(tab.page.locator("#memory")).to_contain_text("llama3.2", timeout=SOON_MS)
    ask(busy, key, "no-such-model")
    expect(tab.page.locator("#errors li").first).to_contain_text("model_not_found", timeout=SOON_MS)
    expect(tile).not_to_have_text(before, timeout=SOON_MS)

    assert focused.strip() == "Cancel"
    assert is_same_page(tab.page)


@pytest.mark.slow
def test_rows_of_the_tail_end_and_wait_while_the_mouse_is_over_them(
    tab: Visit, busy: Gateway, key: str, ollama_with_models: FakeOllama
) -> None:
    ollama_with_models.reset()
    tab.open("/admin/requests")
    mark(tab.page)
    tab.page.check("#tail")
    rows = tab.page.locator(".calls tbody tr")
    with ollama_with_models.hold("llama3.2", at="load") as gate, asking(busy, key):
        gate.wait_reached()
        expect(rows.first).to_contain_text("running", timeout=SOON_MS)
    expect(rows.first).to_contain_text("OK", timeout=SOON_MS)
    expect(rows.first).to_contain_text("beside the browser")
    newest = rows.first.get_attribute("data-id")
    rows.first.hover()
    ask(busy, key)
    expect(tab.page.locator("#tail-count")).to_have_text("+1", timeout=SOON_MS)
    held = rows.first.get_attribute("data-id")
    tab.page.mouse.move(5, 5)
    expect(tab.page.locator("#tail-count")).to_be_hidden()

    assert held == newest
    assert rows.first.get_attribute("data-id") != newest
    assert is_same_page(tab.page)


def test_a_gateway_that_is_gone_is_said_and_found_again(
    browser: Browser, ollama_with_models: FakeOllama, tmp_path: Path
) -> None:
    with Gateway(tmp_path, ollama_url=ollama_with_models.url, issue_key=False) as gateway:
        tab = visit(browser, gateway.url)
        tab.login()
        tab.open("/admin/")
        mark(tab.page)
        header, unreachable = tab.page.locator("#header-state"), tab.page.locator("#unreachable")
        dot = tab.page.locator("#active [data-live-dot]")
        expect(header).to_contain_text("Ollama ready")
        gateway.stop()
        expect(unreachable).to_be_visible(timeout=SOON_MS)
        gone = header.is_visible(), dot.is_visible()
        gateway.start()
        expect(header).to_be_visible(timeout=SOON_MS)
        expect(unreachable).to_be_hidden()
        expect(dot).to_be_visible()

        assert gone == (False, False)
        assert is_same_page(tab.page)
        tab.context.close()


def test_a_page_whose_session_ended_says_so(browser: Browser, busy: Gateway) -> None:
    tab = visit(browser, busy.url)
    tab.login()
    tab.open("/admin/models")
    expect(tab.page.locator("#header-state")).to_be_visible()
    other = tab.context.new_page()
    other.goto(busy.url + "/admin/keys")
    other.click("header .dropdown button:has(.text-truncate)")
    other.click("button:has-text('Sign out')")
    tab.page.bring_to_front()
    expect(tab.page.locator("#signed-out")).to_be_visible(timeout=SOON_MS)
    expect(tab.page.locator("#header-state")).to_be_hidden()
    tab.context.close()
