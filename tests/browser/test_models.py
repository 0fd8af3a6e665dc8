"""The list of models: its actions are in reach, at a desk and on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Visit, visit
from tests.support.process import Gateway

pytestmark = pytest.mark.slow
CUT = """() => [...document.querySelectorAll("main .table-responsive")]
  .filter((one) => one.scrollWidth > one.clientWidth).length"""


@pytest.mark.parametrize("width", [1440, 1280, 1000, 820, 390, 360])
def test_no_column_of_the_list_is_cut(browser: Browser, busy: Gateway, width: int) -> None:
    tab = visit(browser, busy.url, width=width)
    tab.login()
    tab.open("/admin/models")
    cut = tab.page.evaluate(CUT)
    tab.page.locator("tbody [data-bs-toggle]").first.click()
    box = tab.page.locator(".dropdown-menu.show").bounding_box()
    tab.context.close()

    assert cut == 0
    assert box is not None
    assert 0 <= box["x"] <= width - box["width"]


def test_the_field_to_pull_a_model_takes_the_keys(tab: Visit) -> None:
    tab.open("/admin/models")
    tab.page.click("main a:has-text('Pull a model')")

    expect(tab.page.locator("#model")).to_be_focused()
