"""From zero to an answer: the first sign-in, the first steps, and a real SDK at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from playwright.sync_api import Browser, expect

from fake_ollama import DEFAULT_MODELS, FakeOllama
from tests.browser.conftest import Visit, visit
from tests.support.process import Gateway

MOST_ACTIONS = 20


@pytest.fixture
def untouched(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway as it is after its very first start: no servers, the documented password."""
    env = {"ADMIN_PASSWORD": ""}
    with Gateway(tmp_path / "first", ollama_url="", env=env, issue_key=False) as gateway:
        yield gateway


def sign_in(tab: Visit) -> None:
    """Use the documented first login and choose a password."""
    tab.open("/")
    tab.type("#username", "admin")
    tab.type("#password", "admin")
    tab.click("main button.btn-primary")
    tab.type("#password", "a long way home")
    tab.type("#again", "a long way home")
    tab.click("main button.btn-primary")


FROM_THERE = {
    "OLLAMA_URL names it": ({"OLLAMA_URL": "{url}"}, (), 5),
    "it is found": ({"OLLAMA_HOST": "{url}"}, ("Use this one",), 6),
    "it has no models": ({"OLLAMA_HOST": "{url}"}, ("Use this one", "llama3.2 ·"), 8),
}
"""How Ollama is there, the buttons that lead to the models, and the most clicks to an answer."""


@pytest.mark.parametrize(
    ("env", "first", "most_clicks"),
    [
        pytest.param(*case, id=name, marks=pytest.mark.slow if name == "it is found" else ())
        for name, case in FROM_THERE.items()
    ],
)
def test_the_first_answer_takes_few_clicks(
    browser: Browser,
    tmp_path: Path,
    env: dict[str, str],
    first: tuple[str, ...],
    most_clicks: int,
) -> None:
    models = () if len(first) == 2 else DEFAULT_MODELS
    with FakeOllama(models) as ollama:
        env = {name: value.format(url=ollama.url) for name, value in env.items()}
        with Gateway(
            tmp_path / "first",
            ollama_url=env.get("OLLAMA_URL", ""),
            env={"ADMIN_PASSWORD": "", **env},
            issue_key=False,
        ) as gateway:
            tab = visit(browser, gateway.url)
            sign_in(tab)
            for words in first:
                tab.click(f"main button:has-text('{words}')")
            if not models:
                box = tab.page.get_by_role("checkbox", name="llama3.2")
                expect(box).to_be_checked(timeout=20_000)
            tab.click("main button:has-text('Continue')")
            tab.click("main button:has-text('Create key')")
            tab.click("#secret + [data-copy]")
            secret = tab.page.inner_text("#secret")
            client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=secret, max_retries=0)
            with client:
                answer = client.chat.completions.create(
                    model="llama3.2", messages=[{"role": "user", "content": "Hello!"}]
                )
            tab.context.close()

    assert answer.choices[0].message.content
    assert tab.actions <= 4 + most_clicks


@pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=pytest.mark.slow)])
def test_a_new_owner_reaches_the_first_answer(
    browser: Browser, untouched: Gateway, shared_ollama: FakeOllama, language: str
) -> None:
    shared_ollama.reset()
    tab = visit(browser, untouched.url, language=language)
    sign_in(tab)
    tab.type("#url", shared_ollama.url)
    tab.click("main button:has-text('Connect'), main button:has-text('连接')")
    tab.page.wait_for_url("**/welcome?step=models")
    tab.click("main button.btn-primary")
    tab.click("main button.btn-primary")
    secret = tab.page.inner_text("#secret")
    expect(tab.page.locator("#waiting .spinner-border")).to_be_visible()
    client = openai.OpenAI(base_url=f"{untouched.url}/v1", api_key=secret, max_retries=0)
    with client:
        stream = client.chat.completions.create(
            model="llama3.2", messages=[{"role": "user", "content": "Hello!"}], stream=True
        )
        answer = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    expect(tab.page.locator("#waiting.alert-success")).to_be_visible(timeout=15_000)
    told = tab.page.inner_text("#waiting")
    complaints, actions = tab.complaints, tab.actions
    tab.context.close()

    assert len(answer) > 5
    assert "llama3.2" in told
    assert "tok/s" in told
    assert actions <= MOST_ACTIONS
    assert complaints == []


@pytest.mark.slow
def test_a_refused_first_call_is_explained_on_the_same_page(
    browser: Browser, untouched: Gateway, shared_ollama: FakeOllama
) -> None:
    shared_ollama.reset()
    tab = visit(browser, untouched.url)
    sign_in(tab)
    tab.type("#url", shared_ollama.url)
    tab.click("main button:has-text('Connect')")
    tab.page.wait_for_url("**/welcome?step=models")
    tab.click("main button.btn-primary")
    tab.click("main button.btn-primary")
    secret = tab.page.inner_text("#secret")
    client = openai.OpenAI(base_url=f"{untouched.url}/v1", api_key=secret, max_retries=0)
    with client, pytest.raises(openai.NotFoundError):
        client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Hello!"}]
        )
    expect(tab.page.locator("#waiting.alert-warning")).to_contain_text("gpt-4o", timeout=15_000)
    tab.context.close()
