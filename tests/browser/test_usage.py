"""Usage, requests and the search, as hands on keyboard and mouse meet them."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import VIOLATIONS, Visit, axe, visit
from tests.support.process import Gateway

CUT = """() => [...document.querySelectorAll(".calls tbody td")].filter(
  (cell) => cell.offsetParent && cell.getBoundingClientRect().right > innerWidth + 1).length"""
SMALL = """() => [...document.querySelectorAll("main :is(a, button, summary, select, input)")]
  .filter((one) => one.offsetParent && !one.closest("p, .btn-check, label"))
  .filter((one) => ["width", "height"].some((side) => one.getBoundingClientRect()[side] < 23.5))
  .map((one) => one.outerHTML.slice(0, 80))"""


def _signed_in(browser: Browser, busy: Gateway, **looks: object) -> Visit:
    tab = visit(browser, busy.url, **looks)  # type: ignore[arg-type]  # width, theme, language
    tab.login()
    return tab


def test_dragging_over_the_chart_zooms_in_and_a_link_zooms_out(
    browser: Browser, busy: Gateway
) -> None:
    tab = _signed_in(browser, busy)
    tab.open("/admin/usage?range=30d&group=model")
    over = tab.page.locator(".u-over").bounding_box()
    assert over is not None
    y = over["y"] + over["height"] / 2
    tab.page.mouse.move(over["x"] + over["width"] * 0.3, y)
    tab.page.mouse.down()
    tab.page.mouse.move(over["x"] + over["width"] * 0.5, y, steps=5)
    tab.page.mouse.up()
    tab.page.wait_for_url("**/admin/usage?*since=*")
    zoomed = parse_qs(urlsplit(tab.page.url).query)
    tab.page.click("text=Zoom out")
    tab.page.wait_for_load_state()
    wider = parse_qs(urlsplit(tab.page.url).query)
    complaints = tab.complaints
    tab.context.close()

    assert "range" not in zoomed
    assert zoomed["group"] == ["model"]
    assert zoomed["since"] < zoomed["until"]
    assert wider["since"] < zoomed["since"]
    assert complaints == []


def test_a_range_of_ones_own_is_chosen_in_the_menu(browser: Browser, busy: Gateway) -> None:
    tab = _signed_in(browser, busy)
    tab.open("/admin/usage?group=model")
    tab.page.click("#time-range")
    tab.page.fill("#since", "2026-01-02T03:04")
    tab.page.click(".dropdown-menu.show button")
    tab.page.wait_for_url("**since=2026-01-02T03*")
    shown = tab.page.inner_text("#time-range")
    tab.page.click("#time-range")
    kept = tab.page.input_value("#since")
    tab.context.close()

    assert shown == "Custom range"
    assert kept == "2026-01-02T03:04"


@pytest.mark.parametrize(
    ("width", "language"), [(1440, "en"), (1280, "zh"), (390, "en"), (360, "zh")]
)
def test_no_column_of_the_requests_is_cut(
    browser: Browser, busy: Gateway, width: int, language: str
) -> None:
    tab = _signed_in(browser, busy, width=width, language=language)
    found = {}
    for path in ("/admin/requests?status=failed", "/admin/requests"):
        tab.open(path)
        found[path] = (
            tab.page.locator(".calls tbody tr").count() > 0,
            tab.page.evaluate(CUT),
            tab.page.evaluate(SMALL),
            tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth"),
        )
    tab.context.close()

    assert set(map(str, found.values())) == {str((True, 0, [], True))}


def test_the_search_is_walked_by_the_keyboard(browser: Browser, busy: Gateway) -> None:
    tab = _signed_in(browser, busy)
    tab.page.keyboard.press("/")
    tab.page.wait_for_selector("#search-hit-3")
    tab.page.evaluate(axe())
    wrong = tab.page.evaluate(VIOLATIONS)
    tab.page.keyboard.type("sup")
    tab.page.wait_for_selector("#search-hit-0 >> text=Support bot")
    tab.page.keyboard.press("Escape")
    tab.page.wait_for_selector("#search", state="hidden")
    tab.page.keyboard.press("Control+k")
    tab.page.wait_for_selector("#search-text:focus")
    tab.page.keyboard.type("requ")
    tab.page.wait_for_selector("#search-hit-0 >> text=Requests")
    tab.page.fill("#search-text", "s")
    tab.page.wait_for_selector("#search-hit-4")
    tab.page.keyboard.press("ArrowDown")
    tab.page.keyboard.press("ArrowUp")
    tab.page.keyboard.press("ArrowDown")
    chosen = tab.page.get_attribute("#search-text", "aria-activedescendant")
    target = tab.page.get_attribute("#search-hit-1", "href")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_url(f"**{target}")
    complaints = tab.complaints
    tab.context.close()

    assert wrong == []
    assert chosen == "search-hit-1"
    assert complaints == []


TICKS = """async (cases) => {
  document.querySelector("[data-chart]")?.remove();
  const written = [];
  CanvasRenderingContext2D.prototype.fillText = (text) => written.push(text);
  const found = [];
  for (const [iso, count, stepS, width, clock] of cases) {
    const x = Array.from({ length: count + 1 }, (_, i) => Date.parse(iso) / 1000 + i * stepS);
    const lines = [{ name: "", colour: 1, dashed: false, values: Array(count).fill(1) }];
    const box = document.createElement("div");
    box.style.width = `${width + 66}px`;
    box.dataset.chart = "";
    box.innerHTML = "<script type='application/json'></script>";
    box.firstChild.textContent = JSON.stringify(
      { kind: "bars", unit: "count", clock, x, lines, requests: "/" });
    document.body.append(box);
    await import(`/static/js/charts.js?${found.length}`);
    await new Promise((done) => setTimeout(done, 50));
    found.push(written.splice(0).filter((text) => /:|[A-Z]/.test(text)));
    box.remove();
  }
  return found;
}"""


def test_ticks_of_a_chart_are_round_times_of_the_viewer(tab: Visit) -> None:
    tab.open("/admin/usage")
    found = tab.page.evaluate(
        TICKS,
        [
            ("2026-11-20T06:07:00Z", 60, 60, 500, True),
            ("2026-11-20T05:00:00Z", 25, 3600, 400, True),
            ("2026-11-19T23:00:00Z", 30, 86400, 800, False),
        ],
    )

    assert found == [
        ["07:10", "07:20", "07:30", "07:40", "07:50", "08:00"],
        ["06:00", "12:00", "18:00", "Nov 21", "06:00"],
        ["Nov 20", "Nov 27", "Dec 4", "Dec 11", "Dec 18"],
    ]
