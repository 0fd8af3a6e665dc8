"""Every state as the console draws it: told apart by word or icon, in both themes and languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from flask import Blueprint, Flask, render_template
from playwright.sync_api import Browser, Page, Route

from gateway import create_app
from tests.admin.conftest import close, settings_for
from tests.browser.conftest import VIOLATIONS, axe
from tests.browser.gallery.states import KINDS
from tests.support.database import prepare

HOST = "http://gallery.test"
PATH = "/docs/gallery"  # where pages for people are, who have a session
LOOK = """(kind) => [...document.querySelectorAll(`[data-kind=${kind}] .badge`)]
  .map((one) => [one.innerText.trim(), one.querySelector("use").href.baseVal.split("#")[1]])"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """The application with the gallery as one more page."""
    settings = settings_for(tmp_path)
    prepare(settings)
    made = create_app(settings)
    blueprint = Blueprint("gallery", __name__, template_folder="gallery")
    blueprint.add_url_rule(PATH, view_func=_gallery)
    made.register_blueprint(blueprint)
    yield made
    close(made)


def _gallery() -> str:
    return render_template("gallery.html", kinds={name: made() for name, made in KINDS.items()})


def _serve(app: Flask, page: Page) -> None:
    """Answer what a page asks for from the application, without a server."""
    client = app.test_client()

    def answer(route: Route) -> None:
        headers = {"Accept-Language": route.request.headers.get("accept-language", "")}
        with client.get(route.request.url.removeprefix(HOST), headers=headers) as got:
            route.fulfill(status=got.status_code, headers=dict(got.headers), body=got.data)

    page.route("**/*", answer)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_state_has_a_word_and_differs_from_the_others(
    browser: Browser,
    app: Flask,
    theme: str,
    language: str,
) -> None:
    context = browser.new_context(color_scheme=theme, locale=language)  # type: ignore[arg-type]  # light or dark
    page = context.new_page()
    _serve(app, page)
    page.goto(HOST + PATH)
    looks: Mapping[str, list[tuple[str, str]]] = {
        kind: [tuple(look) for look in page.evaluate(LOOK, kind)] for kind in KINDS
    }
    page.evaluate(axe())
    violations = page.evaluate(VIOLATIONS)
    with app.test_request_context():
        counts = {kind: len(made()) for kind, made in KINDS.items()}
    shown = page.get_attribute("html", "lang"), page.get_attribute("html", "data-bs-theme")
    context.close()

    assert shown == (language, theme)
    assert violations == []
    assert {kind: len(found) for kind, found in looks.items()} == counts
    assert [kind for kind, found in looks.items() if not all(words for words, _ in found)] == []
    assert {kind: _alike(found) for kind, found in looks.items() if _alike(found)} == {}


def _alike(looks: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [look for look, count in Counter(looks).items() if count > 1]
