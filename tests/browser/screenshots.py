"""`python -m tests.browser.screenshots`: pictures of every page, to be looked at.

Both themes, a desk and a phone, both languages, with a month of calls and with nothing; with
`--all` every width in both themes and both languages. The best ones go to `docs/images` with
`--docs`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import requests
from playwright.sync_api import Browser, sync_playwright

from fake_ollama import FakeOllama
from fake_ollama.models import demo_models
from gateway.core.admin import Actor
from gateway.web.context import Services
from tests.browser.conftest import CHROMIUM, FLAGS, Visit, services_of, visit
from tests.browser.sample import fill
from tests.browser.test_pages import PAGES
from tests.support.process import ROOT, Gateway

OUT = Path(__file__).resolve().parent / "out"
DOCS = ROOT / "docs" / "images"
ACTOR = Actor("admin", "admin", 1)
LOOKS = [
    ("light", 1440, "en"),
    ("dark", 1440, "en"),
    ("light", 1440, "zh"),
    ("light", 390, "en"),
    ("dark", 390, "zh"),
]
ALL_LOOKS = list(product(("light", "dark"), (360, 390, 1280, 1440), ("en", "zh")))
BEST = {
    "dashboard": ("light", "en"),
    "usage": ("dark", "en"),
    "request": ("light", "en"),
    "parameters": ("light", "en"),
    "context": ("light", "en"),
    "playground": ("dark", "en"),
}
_CALLS = (("qwen3:8b", "high"), ("llama3.2", "none"), ("gpt-oss:20b", "medium"))


def main(arguments: list[str] | None = None) -> int:
    """Make the pictures. Gives 1 when there is no Chromium."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="renew those of the documents only")
    parser.add_argument("--all", action="store_true", help="every look instead of five")
    parser.add_argument("--only", default="", help="names of pages, separated by commas")
    chosen = parser.parse_args(arguments)
    if CHROMIUM is None:
        print("no Chromium on this machine: apt-get install chromium", file=sys.stderr)
        return 1
    looks = [] if chosen.docs else ALL_LOOKS if chosen.all else LOOKS
    wanted = set(filter(None, chosen.only.split(",")))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with _gateway(full=True) as (gateway, secrets):
            for theme, width, language in looks:
                with _busy(gateway, secrets):
                    _take(browser, gateway, theme, width, language, "full", wanted)
            if chosen.docs:
                _documents(browser, gateway, secrets)
        if not chosen.docs:
            with _gateway(full=False) as (gateway, _secrets):
                for theme, width, language in (LOOKS[0], LOOKS[4]):
                    _take(browser, gateway, theme, width, language, "empty", wanted)
        browser.close()
    print(f"pictures are in {DOCS if chosen.docs else OUT}")
    return 0


@contextmanager
def _gateway(*, full: bool) -> Iterator[tuple[Gateway, list[str]]]:
    """Run a gateway, with a month of calls or as it is after the first start."""
    with (
        tempfile.TemporaryDirectory() as name,
        FakeOllama(demo_models(), token_delay_s=(0.02, 0.05)) as ollama,
    ):
        url = ollama.url if full else ""
        with Gateway(Path(name) / "data", ollama_url=url, issue_key=False) as gateway:
            parts = services_of(gateway)
            secrets = _prepared(parts) if full else []
            parts.store.database.close()
            yield gateway, secrets


def _prepared(parts: Services) -> list[str]:
    """Put in what a gateway has after a month."""
    secrets = fill(parts, datetime.now(UTC))
    server = parts.catalog.servers()[0]
    parts.servers.update(server.id, {"name": "workstation"}, ACTOR)
    models = {model.display_name: model for model in parts.catalog.models()}
    if model := models.get("qwen3:8b"):
        values: dict[str, object] = {"temperature": 0.7}
        parts.models.update(model.id, {"override": values}, ACTOR, "as the maker says")
        values = {"temperature": 0.6, "num_ctx": 16384, "keep_alive": "30m"}
        parts.models.update(model.id, {"override": values}, ACTOR, "for agents")
    return secrets


@contextmanager
def _busy(gateway: Gateway, secrets: list[str]) -> Iterator[None]:
    """Let some calls run while pictures are taken."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=_call, args=(gateway, secrets[index], model, effort, stop))
        for index, (model, effort) in enumerate(_CALLS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def _call(gateway: Gateway, secret: str, model: str, effort: str, stop: threading.Event) -> None:
    body = {
        "model": model,
        "stream": True,
        "reasoning_effort": effort,
        "messages": [{"role": "user", "content": "Tell me a very long story"}],
        "options": {"num_predict": 2_000},
    }
    headers = {"Authorization": f"Bearer {secret}", "User-Agent": "open-webui"}
    url = f"{gateway.url}/v1/chat/completions"
    while not stop.is_set():
        with requests.post(url, json=body, headers=headers, stream=True, timeout=120) as answer:
            for _line in answer.iter_lines():
                if stop.is_set():
                    return


def _take(
    browser: Browser,
    gateway: Gateway,
    theme: str,
    width: int,
    language: str,
    state: str,
    wanted: set[str],
) -> None:
    """Take one picture of each page."""
    OUT.mkdir(exist_ok=True)
    tab = visit(browser, gateway.url, theme=theme, width=width, language=language)
    tab.open("/auth/login")
    tab.page.screenshot(path=OUT / f"login-{state}-{theme}-{width}-{language}.png")
    tab.login()
    for name, path in PAGES.items():
        is_there = state == "full" or not any(char.isdigit() for char in path)
        if is_there and (not wanted or name in wanted):
            _settle(tab, path)
            target = OUT / f"{name}-{state}-{theme}-{width}-{language}.png"
            tab.page.screenshot(path=target, full_page=True)
    tab.context.close()


def _settle(tab: Visit, path: str) -> None:
    """Open a page and wait until what is live has arrived."""
    tab.open(path)
    tab.page.wait_for_load_state("load")
    tab.page.evaluate("document.fonts.ready")
    if path == "/admin/":
        tab.page.wait_for_timeout(1_600)


def _documents(browser: Browser, gateway: Gateway, secrets: list[str]) -> None:
    """Renew the pictures that the documents show."""
    DOCS.mkdir(parents=True, exist_ok=True)
    with _busy(gateway, secrets):
        for name, (theme, language) in BEST.items():
            tab = visit(browser, gateway.url, theme=theme, language=language)
            tab.login()
            _settle(tab, PAGES[name])
            if name == "playground":
                _play(tab)
            tab.page.screenshot(path=DOCS / f"{name}.png")
            tab.context.close()


def _play(tab: Visit) -> None:
    """Have two models answer side by side."""
    tab.page.evaluate("document.querySelector('#model').dataset.old = ''")
    tab.page.select_option("#key", "1")
    tab.page.wait_for_selector("#model:not([data-old])")  # the models of this key are shown
    tab.page.select_option("#model", "qwen3:8b")
    tab.page.select_option("#second", "llama3.2")
    tab.page.fill("#prompt", "Why is the sky blue?")
    tab.page.click("#send")
    tab.page.wait_for_selector("#stop", state="hidden", timeout=120_000)


if __name__ == "__main__":
    sys.exit(main())
