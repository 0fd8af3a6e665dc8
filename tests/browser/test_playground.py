"""The playground in a browser: Markdown that cannot run, images, the key's models, vectors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from fake_ollama import FakeOllama, Script
from gateway.web.context import Services
from tests.admin.conftest import ACTOR
from tests.browser.conftest import Visit

pytestmark = pytest.mark.slow
MARKDOWN = """# A title

Some **bold** text, a [link](https://example.org), a [trap](javascript:alert(1)),
<img src=x onerror=alert(1)> and ![a picture](https://example.org/a.png).

| a | b |
|---|---|
| 1 | 2 |

```python
print("hi")
```
"""
PASTE = """() => {
  const bytes = Uint8Array.from(atob("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    + "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="), (c) => c.charCodeAt(0));
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([bytes], "a.png", { type: "image/png" }));
  document.getElementById("prompt").dispatchEvent(
    new ClipboardEvent("paste", { clipboardData, bubbles: true }));
}"""


@pytest.fixture
def key(parts: Services) -> int:
    """A key that may use everything."""
    return parts.keys.issue({"name": "all of it"}, ACTOR)[0].id


@pytest.fixture
def scripted(ollama_with_models: FakeOllama) -> Iterator[FakeOllama]:
    """The fake Ollama, whose answer is Markdown."""
    ollama_with_models.script("llama3.2", Script(content=MARKDOWN))
    yield ollama_with_models
    ollama_with_models.reset()


def ask(tab: Visit, words: str) -> None:
    """Send a message and wait for the end of the answer."""
    tab.page.fill("#prompt", words)
    tab.page.click("#send")
    expect(tab.page.locator("#stop")).to_be_hidden(timeout=30_000)


def test_markdown_is_drawn_and_nothing_of_it_runs(
    tab: Visit, key: int, scripted: FakeOllama
) -> None:
    tab.open(f"/admin/playground?key={key}&model=llama3.2")
    ask(tab, "Show me")
    answer = tab.page.locator("[data-answer]")

    expect(answer.locator("table td").first).to_have_text("1")
    expect(answer.locator("h3")).to_have_text("A title")
    expect(answer.locator("pre code")).to_have_text('print("hi")')
    expect(answer.locator("a[href^='javascript']")).to_have_count(0)
    expect(answer.locator("img")).to_have_count(0)
    expect(answer).to_contain_text("<img src=x onerror=alert(1)>")


def test_the_newest_turn_is_last_and_the_composer_below_it(tab: Visit, key: int) -> None:
    tab.open(f"/admin/playground?key={key}&model=llama3.2")
    expect(tab.page.locator("#examples")).to_be_visible()
    ask(tab, "The first")
    ask(tab, "The second")
    texts = tab.page.locator("#answers > div").all_inner_texts()
    below = tab.page.evaluate(
        "document.getElementById('answers').compareDocumentPosition("
        "document.getElementById('composer')) & Node.DOCUMENT_POSITION_FOLLOWING"
    )

    assert ["The first" in texts[0], "The second" in texts[1]] == [True, True]
    assert below
    expect(tab.page.locator("#examples")).to_be_hidden()


def test_a_pasted_image_is_shown_before_and_after_it_is_sent(tab: Visit, key: int) -> None:
    tab.open(f"/admin/playground?key={key}&model=gemma3:4b")
    tab.page.evaluate(PASTE)
    expect(tab.page.locator("#previews img")).to_have_count(1)
    ask(tab, "What is it?")

    expect(tab.page.locator("#answers img")).to_have_count(1)
    expect(tab.page.locator("#previews img")).to_have_count(0)


def test_another_key_brings_its_own_models_and_what_is_done_with_them(
    tab: Visit, parts: Services, key: int
) -> None:
    search, _ = parts.keys.issue({"name": "search", "scopes": ["embeddings"]}, ACTOR)
    tab.open(f"/admin/playground?key={key}&model=llama3.2")
    tab.page.select_option("#key", str(search.id))
    expect(tab.page.locator("#model option", has_text="llama3.2")).to_have_count(0)
    expect(tab.page.locator("#composer")).to_be_hidden()
    tab.page.select_option("#model", "nomic-embed-text")
    tab.page.fill("#text-1", "a cat")
    tab.page.fill("#text-2", "a cat")
    tab.page.click("#embed")

    expect(tab.page.locator("#vectors")).to_contain_text("768")
    expect(tab.page.locator("#vectors dd").nth(1)).to_have_text("1")


def test_what_fails_on_the_way_is_a_note_with_its_status(tab: Visit, key: int) -> None:
    tab.open(f"/admin/playground?key={key}&model=llama3.2")
    tab.page.route("**/playground/run", lambda route: route.fulfill(status=502, body="away"))
    ask(tab, "Hello?")

    expect(tab.page.locator("#answers .alert-danger")).to_contain_text("502")
    tab.complaints.clear()
