"""Ten jobs of every day, by the clicks somebody makes who never saw the console, and how many.

A group of keys in one field counts as a click does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import expect

from fake_ollama import FakeOllama
from gateway.web.context import Services
from tests.admin.conftest import ACTOR
from tests.browser.conftest import Visit
from tests.support.process import Gateway

Job = Callable[[Visit], None]


def _go(tab: Visit, word: str) -> None:
    tab.click(f"nav.side a:has-text('{word}')")
    tab.page.wait_for_load_state("load")


def _choose(tab: Visit, selector: str, value: str) -> None:
    tab.actions += 1
    tab.page.select_option(selector, value)


def _told(tab: Visit) -> None:
    expect(tab.page.locator(".toast.show.text-bg-success").last).to_be_visible()


def _pull(tab: Visit) -> None:
    _go(tab, "Models")
    tab.click("a:has-text('Pull a model')")
    tab.type("#model", "tinyllama")
    tab.click("#pull button.btn-primary")
    expect(tab.page.locator("[data-open]", has_text="tinyllama")).to_be_visible()


def _num_ctx(tab: Visit) -> None:
    _go(tab, "Models")
    tab.click("a.fw-semibold:has-text('gemma3')")
    tab.click("a.nav-link:has-text('Parameters')")
    tab.type("#p-num_ctx", "16384")
    tab.click("button:has-text('Save parameters')")
    _told(tab)


def _rename(tab: Visit) -> None:
    _go(tab, "Models")
    tab.click("a.fw-semibold:has-text('gemma3')")
    tab.click("a.nav-link:has-text('Names')")
    tab.type("#display_name", "gemma3-at-home")
    tab.click("button:has-text('Save names')")
    _told(tab)


def _give(tab: Visit) -> None:
    _go(tab, "Keys")
    tab.click("a:has-text('New key')")
    tab.type("#name", "Family chat")
    tab.click("button:has-text('Create key')")
    tab.page.wait_for_load_state()
    _choose(tab, "#app", "openwebui")
    secret = tab.page.inner_text("#secret")
    expect(tab.page.locator("[data-connect] .code-box")).to_contain_text(secret)


def _give_friend(tab: Visit) -> None:
    _go(tab, "Keys")
    tab.click("a:has-text('New key')")
    tab.type("#name", "Friend")
    tab.click("#models label:has-text('llama3.2')")
    tab.click("#models label:has-text('qwen3:8b')")
    tab.click("[data-fills=tokens_day]:has-text('100k')")
    tab.click("button:has-text('Create key')")
    tab.page.click("#message summary")
    message = tab.page.locator("#message code")
    expect(message).to_contain_text("llama3.2, qwen3:8b")
    expect(message).to_contain_text("Tokens per day: 100,000")


def _limit(tab: Visit) -> None:
    _go(tab, "Keys")
    tab.click("a.fw-semibold:has-text('Support bot')")
    tab.click("a:has-text('Change')")
    tab.type("#requests_per_minute", "20")
    tab.type("#tokens_day", "100000")
    tab.click("main form button.btn-primary")
    expect(tab.page.locator("dl.facts").first).to_contain_text("100,000")


def _most(tab: Visit) -> None:
    _go(tab, "Usage")
    first = tab.page.locator("main .grid-2 table tbody tr td a").first
    expect(first).to_have_text("Claude Code, laptop")


def _failed(tab: Visit) -> None:
    _go(tab, "Requests")
    _choose(tab, "#status", "failed")
    tab.page.wait_for_url("**status=failed**")
    tab.click(".calls tbody tr td a >> nth=0")
    expect(tab.page.locator(".alert-danger a")).to_be_visible()


def _replace(tab: Visit) -> None:
    _go(tab, "Keys")
    tab.click("a.fw-semibold:has-text('Guest')")
    tab.click("a:has-text('Rotate')")
    _choose(tab, "#grace_hours", "0")
    tab.click("main button.btn-primary")
    expect(tab.page.locator(".alert-info")).to_contain_text("does not work any more")


JOBS = {
    "pull a model": (_pull, 4),
    "set num_ctx": (_num_ctx, 5),
    "rename a model": (_rename, 5),
    "give a key to an app": (_give, 5),
    "give a friend a key for two models with a daily budget": (_give_friend, 7),
    "limit it": (_limit, 6),
    "see who used most": (_most, 1),
    "find why a call failed": (_failed, 3),
    "replace a leaked key": (_replace, 5),
}


@pytest.mark.parametrize(("job", "most"), JOBS.values(), ids=JOBS)
def test_a_daily_job_takes_few_clicks(tab: Visit, job: Job, most: int) -> None:
    job(tab)

    assert tab.actions <= most


def test_a_server_is_connected_after_a_wrong_address_was_explained(
    tab: Visit, parts: Services
) -> None:
    with FakeOllama() as second:
        _go(tab, "Servers")
        tab.click("a:has-text('Add server')")
        tab.type("#url", "http://127.0.0.1:1")
        tab.click("button:has-text('Save server')")
        expect(tab.page.locator(".alert-danger")).to_contain_text("ollama serve")
        tab.type("#url", second.url)
        tab.click("button:has-text('Save server')")
        expect(tab.page.locator(".toast.show.text-bg-success")).to_be_visible()
        added = next(server for server in parts.catalog.servers() if server.url == second.url)
        parts.servers.delete(added.id, ACTOR)

    assert tab.actions <= 4 + 2


def test_a_runaway_call_is_ended_with_two_clicks(
    tab: Visit, parts: Services, busy: Gateway, ollama_with_models: FakeOllama
) -> None:
    secret = parts.keys.issue({"name": "runaway"}, ACTOR)[1]
    body = {
        "model": "llama3.2",
        "messages": [{"role": "user", "content": "Tell me a very long story"}],
        "stream": True,
        "options": {"num_predict": 100_000},
    }

    def call() -> None:
        requests.post(
            f"{busy.url}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {secret}"},
            timeout=60,
        )

    thread = threading.Thread(target=call, daemon=True)
    with ollama_with_models.hold("llama3.2", at=2) as gate:
        thread.start()
        gate.wait_reached()
        _go(tab, "Dashboard")
        row = tab.page.locator("#active tr", has_text="runaway")
        expect(row).to_be_visible()
        tab.click("#active tr:has-text('runaway') button")
        expect(row).to_have_count(0)
        thread.join(20)

    assert not thread.is_alive()
    assert tab.actions == 2
