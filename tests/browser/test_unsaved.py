"""A form that was changed is not left without a question; one that is sent or untouched is."""

from __future__ import annotations

from tests.browser.conftest import Visit

FORMS = [
    ("/admin/settings", "#public_url", "https://ai.example.org"),
    ("/admin/keys/new", "#name", "half done"),
    ("/admin/servers/new", "#name", "half done"),
]


def test_a_changed_form_asks_before_it_is_left(tab: Visit) -> None:
    counts = []
    for path, field, text in FORMS:
        tab.open(path)
        tab.page.click(field)
        tab.page.keyboard.type(text)
        tab.page.click("a.side-link >> nth=0")
        tab.page.wait_for_url("**/admin/")
        counts.append(len(tab.questions))

    assert counts == [1, 2, 3]


def test_a_form_as_it_was_is_left_at_once(tab: Visit) -> None:
    tab.open("/admin/settings")
    tab.page.click("#public_url")
    tab.page.keyboard.type("x")
    tab.page.keyboard.press("Backspace")
    tab.page.click("a.side-link >> nth=0")
    tab.page.wait_for_url("**/admin/")

    assert tab.questions == []


def test_a_form_that_is_sent_asks_nothing(tab: Visit) -> None:
    tab.open("/admin/settings/limits")
    tab.page.fill("#max_images", "99")
    tab.page.click("main button.btn-primary")
    tab.page.wait_for_selector("#setting-max_images .badge")
    tab.page.click("#setting-max_images button")
    tab.page.wait_for_selector("#setting-max_images .badge", state="detached")

    assert tab.questions == []
    assert tab.page.input_value("#max_images") == "100"
