"""Whoever goes through a page with Tab sees where they are: the focus changes pixels there."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, FloatRect, Page

from tests.browser.conftest import visit
from tests.browser.test_pages import PAGES
from tests.support.process import Gateway

SAMPLE = (("dark", "dashboard"), ("light", "new-key"))
MOST_STOPS = 60
LEAST_PIXELS = 30
AREA = """(margin) => {
  const one = document.activeElement;
  if (one === document.body || one.dataset.stopped) return null;
  one.dataset.stopped = "yes";
  const seen = one.matches(".btn-check") ? one.labels[0] : one;
  const box = seen.getBoundingClientRect();
  const left = Math.max(0, box.left - margin), top = Math.max(0, box.top - margin);
  const right = Math.min(innerWidth, box.right + margin);
  const bottom = Math.min(innerHeight, box.bottom + margin);
  return { x: left, y: top, width: right - left, height: bottom - top };
}"""
"""Returns the focused element's area, null where the page has no further one."""
DIFFERENT = """async (pictures) => {
  const [before, after] = await Promise.all(pictures.map(async (picture) => {
    const bytes = Uint8Array.from(atob(picture), (one) => one.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes]));
    const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
    canvas.drawImage(image, 0, 0);
    return canvas.getImageData(0, 0, image.width, image.height).data;
  }));
  const pixels = new Set();
  before.forEach((value, at) => { if (Math.abs(value - after[at]) > 40) pixels.add(at >> 2); });
  return pixels.size;
}"""
"""Returns how many pixels of two pictures of one size differ clearly."""


def _stops(page: Page) -> Iterator[FloatRect]:
    """Press Tab until the page has no further stop; give the area around each."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        area: FloatRect | None = page.evaluate(AREA, 6)
        if area is None:
            return
        yield area


def _picture(page: Page, area: FloatRect) -> str:
    return base64.b64encode(page.screenshot(clip=area)).decode()


def _unseen(page: Page) -> list[str]:
    """Return the stops of a page whose focus cannot be seen, as HTML."""
    found = []
    for area in _stops(page):
        stop = page.evaluate("document.activeElement.outerHTML.slice(0, 160)")
        focused = _picture(page, area)
        page.evaluate("document.activeElement.blur()")
        if page.evaluate(DIFFERENT, [focused, _picture(page, area)]) < LEAST_PIXELS:
            found.append(stop)
    return found


def _check(browser: Browser, busy: Gateway, theme: str, name: str) -> None:
    """Raise AssertionError where the focus cannot be seen on a page. The frame, which all pages
    have, is gone through on the dashboard only."""
    tab = visit(browser, busy.url, theme=theme)
    tab.page.emulate_media(reduced_motion="reduce")
    tab.login()
    tab.open(PAGES[name])
    if name != "dashboard":
        tab.page.focus("#main")
    unseen = _unseen(tab.page)
    stops = tab.page.locator("[data-stopped]").count()
    tab.context.close()

    assert unseen == []
    assert stops > 0


@pytest.mark.parametrize(("theme", "name"), SAMPLE)
def test_the_focus_is_seen(browser: Browser, busy: Gateway, theme: str, name: str) -> None:
    _check(browser, busy, theme, name)


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_the_focus_is_seen_on_every_page(
    browser: Browser, busy: Gateway, theme: str, name: str
) -> None:
    _check(browser, busy, theme, name)
