"""The daily jobs of somebody who runs a gateway, done with mouse and keyboard."""

from __future__ import annotations

import json

import openai
import pytest
from playwright.sync_api import expect

from fake_ollama import FakeOllama
from gateway.web.context import Services
from tests.admin.conftest import ACTOR
from tests.admin.test_requests import write
from tests.browser.conftest import Visit
from tests.support.process import Gateway

pytestmark = pytest.mark.slow


@pytest.fixture
def key(parts: Services) -> str:
    """A key for calls beside the browser."""
    return parts.keys.issue({"name": "beside the browser"}, ACTOR)[1]


def test_a_models_parameters_are_set_by_form_and_json_alike(tab: Visit, parts: Services) -> None:
    model = next(m for m in parts.catalog.models() if m.name == "qwen3:8b")
    tab.open(f"/admin/models/{model.id}/parameters")
    tab.page.fill("#p-temperature", "0.3")
    first = json.loads(tab.page.input_value("#override"))
    tab.page.fill("#override", '{"temperature": 0.3, "num_ctx": 16384, "think": false}')
    tab.page.locator("#override").dispatch_event("input")
    shown = tab.page.input_value("#p-num_ctx"), tab.page.input_value("#p-think")
    tab.page.click("#override-json button.btn-primary")
    expect(tab.page.locator(".toast.show.text-bg-success")).to_be_visible()
    parts.catalog.drop()

    assert first == {"temperature": 0.3}
    assert shown == ("16384", "false")
    assert dict(parts.catalog.model(model.id).override) == {
        "temperature": 0.3,
        "num_ctx": 16384,
        "think": False,
    }


def test_a_key_with_limits_is_made_for_an_app(tab: Visit, parts: Services, busy: Gateway) -> None:
    tab.open("/admin/keys/new")
    tab.page.fill("#name", "limited app")
    tab.page.check("input[name=access][value=some]")
    tab.page.check("#models label:has-text('qwen3:8b')")
    tab.page.fill("#requests_per_minute", "7")
    tab.page.click("main form button.btn-primary")
    tab.page.wait_for_load_state()
    secret = tab.page.inner_text("#secret")
    tab.page.select_option("#app", label="Claude Code")
    snippet = tab.page.locator("[data-connect] .code-box")
    expect(snippet).to_contain_text("ANTHROPIC_BASE_URL")
    expect(snippet).to_contain_text(secret)
    made = next(key for key in parts.keys.search("limited app"))
    with openai.OpenAI(base_url=f"{busy.url}/v1", api_key=secret, max_retries=0) as client:
        allowed = [model.id for model in client.models.list()]

    assert len(allowed) == 1
    assert made.requests_per_minute == 7
    assert len(made.model_ids) == 1


def test_a_slow_load_goes_on_without_its_page_and_can_be_stopped(
    tab: Visit, ollama_with_models: FakeOllama
) -> None:
    row = tab.page.locator("main tr", has=tab.page.locator("a.fw-semibold", has_text="tinyllama"))
    with ollama_with_models.hold("tinyllama", at="load") as gate:
        tab.open("/admin/models")
        row.locator("[data-bs-toggle]").click()
        row.get_by_role("button", name="Load").click()
        tab.page.wait_for_url("**/admin/models#pulls")
        expect(row.locator(".rounded-pill")).to_have_text("Loading")
        gate.wait_reached()
        tab.open("/admin/keys")
        tab.open("/admin/models")
        job = tab.page.locator("[data-live=jobs] li", has_text="tinyllama").first
        expect(job.locator(".badge")).to_have_text("Loading")
        expect(job.locator("progress")).to_be_visible()
        row.locator("[data-bs-toggle]").click()
        row.get_by_role("button", name="Stop loading").click()
        expect(job.locator(".badge")).to_have_text("Stopped")
        expect(row.locator(".rounded-pill")).to_have_text("On disk")

    assert "tinyllama:latest" not in ollama_with_models.loaded()


def test_the_page_of_a_model_tells_by_itself_when_it_is_loaded(
    tab: Visit, parts: Services, ollama_with_models: FakeOllama
) -> None:
    model = next(m for m in parts.catalog.models() if m.name == "tinyllama:latest")
    with ollama_with_models.hold("tinyllama", at="load") as gate:
        tab.open(f"/admin/models/{model.id}")
        tab.page.get_by_role("button", name="Load").click()
        job = tab.page.locator("[data-live=jobs] li").first
        expect(job.locator("div.muted")).to_contain_text("for ")
        gate.wait_reached()
    expect(job.locator(".badge")).to_have_text("Loaded")
    expect(tab.page.locator(".facts .badge", has_text="in memory")).to_be_visible()
    tab.page.get_by_role("button", name="Unload").click()
    expect(tab.page.locator(".toast.show.text-bg-success")).to_be_visible()


def test_what_a_window_takes_is_said_while_it_is_typed(
    tab: Visit, parts: Services, ollama_with_models: FakeOllama
) -> None:
    model = next(m for m in parts.catalog.models() if m.name == "deepseek-r1:8b")
    tab.open(f"/admin/models/{model.id}/parameters")
    need = tab.page.locator("[data-need]")
    expect(need).to_contain_text("4,096 tokens ≈ +537 MB")
    tab.page.fill("#override-json textarea", '{"num_ctx": 16384}')
    expect(need).to_contain_text("16,384 tokens ≈ +2.1 GB")
    tab.page.fill("#p-num_ctx", "")
    expect(need).to_contain_text("4,096 tokens ≈ +537 MB")


def test_two_models_answer_side_by_side_and_stop(tab: Visit, parts: Services) -> None:
    parts.keys.issue({"name": "play"}, ACTOR)
    tab.open("/admin/playground")
    tab.page.select_option(
        "#key", label=tab.page.locator("#key option", has_text="play").first.inner_text()
    )
    tab.page.select_option("#model", "qwen3:8b")
    tab.page.select_option("#second", "llama3.2")
    tab.page.fill("#prompt", "Why is the sky blue?")
    tab.page.keyboard.press("Control+Enter")
    cards = tab.page.locator("#answers section")
    expect(cards).to_have_count(2)
    expect(cards.nth(0).locator(".card-footer")).to_contain_text("tok/s", timeout=30_000)
    expect(cards.nth(1).locator(".card-footer")).to_contain_text("tok/s", timeout=30_000)
    tab.page.fill("#prompt", "Tell me a very long story")
    tab.page.click("#send")
    expect(tab.page.locator("#answers section [data-answer]").nth(2)).not_to_contain_text(
        "…", timeout=15_000
    )
    tab.page.click("#stop")
    expect(tab.page.locator("#stop")).to_be_hidden(timeout=1_000)
    tab.page.click("summary:has-text('Code for this request')")
    copied = tab.page.inner_text("#copy-curl code")

    assert "Tell me a very long story" in copied


def test_a_request_is_repeated_beside_its_old_answer(tab: Visit, parts: Services) -> None:
    made, _ = parts.keys.issue({"name": "again"}, ACTOR)
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": "Aye."},
        {"role": "user", "content": "Why is the sky blue?"},
    ]
    body = {"model": "llama3.2", "messages": messages, "temperature": 0.5}
    kept = {"request_body": json.dumps(body), "response_body": "Because of the sea."}
    request_id = write(parts, 10**9, key_id=made.id, **kept)
    tab.open(f"/admin/requests/{request_id}")
    tab.page.click("text=Repeat in the playground")
    expect(tab.page.locator("#prompt")).to_have_value("Why is the sky blue?")
    expect(tab.page.locator("#answers")).to_contain_text("Because of the sea.")
    tab.page.select_option("#model", "qwen3:8b")
    tab.page.click("#send")
    cards = tab.page.locator("#answers section")
    expect(cards).to_have_count(2)
    expect(cards.nth(0)).to_contain_text("Because of the sea.")
    expect(cards.nth(1).locator(".card-footer")).to_contain_text("tok/s", timeout=30_000)
    tab.page.click("summary:has-text('Code for this request')")
    copied = tab.page.inner_text("#copy-curl code")

    assert all(message["content"] in copied for message in messages)
    assert '"temperature": 0.5' in copied


def test_theme_and_language_change_at_once_and_last(tab: Visit) -> None:
    tab.open("/admin/keys")
    tab.page.click("header .dropdown > button >> nth=0")
    tab.page.click("button[value=dark]")
    dark = tab.page.get_attribute("html", "data-bs-theme")
    tab.page.wait_for_load_state("networkidle")
    tab.page.click("header .dropdown > button >> nth=1")
    tab.page.click("button[value=zh]")
    tab.page.wait_for_load_state("load")
    after = tab.page.get_attribute("html", "data-bs-theme"), tab.page.inner_text("h1")
    tab.page.click("header .dropdown > button >> nth=1")
    tab.page.click("button[value=en]")
    tab.page.wait_for_load_state("load")
    tab.page.click("header .dropdown > button >> nth=0")
    tab.page.click("button[value=auto]")
    tab.page.wait_for_load_state("networkidle")

    assert dark == "dark"
    assert after == ("dark", "密钥")


def test_the_keyboard_reaches_everything(tab: Visit) -> None:
    tab.open("/admin/keys")
    tab.page.keyboard.press("Tab")
    skip = tab.page.evaluate("document.activeElement.getAttribute('href')")
    tab.page.keyboard.press("Enter")
    reached = tab.page.evaluate("document.activeElement.id")
    menu = tab.page.locator("header .dropdown > button").first
    menu.focus()
    tab.page.keyboard.press("Enter")
    opened = tab.page.locator(".dropdown-menu.show").count()
    tab.page.keyboard.press("Escape")
    closed = tab.page.locator(".dropdown-menu.show").count()

    assert (skip, reached, opened, closed) == ("#main", "main", 1, 0)


def test_the_newest_calls_appear_by_themselves(tab: Visit, busy: Gateway, key: str) -> None:
    tab.open("/admin/requests")
    tab.page.check("#tail")
    with openai.OpenAI(base_url=f"{busy.url}/v1", api_key=key, max_retries=0) as client:
        client.chat.completions.create(
            model="llama3.2", messages=[{"role": "user", "content": "Hi"}], max_tokens=5
        )
    expect(tab.page.locator(".calls tbody tr").first).to_contain_text(
        "beside the browser", timeout=15_000
    )
