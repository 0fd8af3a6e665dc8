"""Rules of the house for pages: nothing inline, nothing foreign, all escaped, all translated."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from flask import Flask

from gateway.errors import Message
from gateway.translations import collected, is_translated, kept
from gateway.web.words import translated
from tests.admin.conftest import Visitor

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SCRIPTS = sorted((ROOT / "static" / "js").rglob("*.js"))
PLACES = re.compile(r"%\((\w+)\)[sd]")
UNTRANSLATED = frozenset(
    re.split(
        " ",
        "Ollama2OpenAI Bootstrap Icons uPlot marked MIT idiomorph BSD CSV JSON YAML curl Python"
        " JavaScript Prometheus tok/s GPU ollama.com/library LOG_LEVEL LOG_FORMAT Claude Code"
        " openapi.json",
    )
)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_is_harmless(path: Path) -> None:
    text = path.read_text()
    bad = re.findall(
        r"\|\s*safe\b|\son\w+=|<style|style=|javascript:|<script(?![^>]*\bsrc=)[^>]*>", text
    )
    allowed = [one for one in bad if 'type="application/json"' not in one]

    assert allowed == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_loads_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text()
    loaded = re.findall(r'(?:src|srcset|<link[^>]*href|url\()\s*=?\s*"?(https?:)?//', text)

    assert loaded == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_makes_no_markup_from_text(path: Path) -> None:
    text = path.read_text()
    risky = re.findall(
        r"\b(?:eval|document\.write|insertAdjacentHTML|outerHTML|new Function)\b", text
    )
    made = [line for line in text.splitlines() if ".innerHTML" in line]

    assert risky == []
    assert made in ([], ["  template.innerHTML = html;"])


class _Texts(HTMLParser):
    """Collects what a reader would see, template code taken out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._skipping = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skipping += tag in {"code", "script", "pre"}
        for name, value in attrs:
            if name in {"title", "aria-label", "placeholder", "alt"} and value:
                self.found.append(value)

    def handle_endtag(self, tag: str) -> None:
        self._skipping -= tag in {"code", "script", "pre"}

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self.found.append(data)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_word_of_a_template_escapes_translation(path: Path) -> None:
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", " ", path.read_text(), flags=re.DOTALL)
    parser = _Texts()
    parser.feed(text)
    words = {
        word
        for found in parser.found
        for word in re.findall(r"[A-Za-z][\w\u4e00-\u9fff./]{2,}", found)
    }
    left = {
        word
        for word in words
        if word not in UNTRANSLATED and not re.match(r"[\d./_…{}#>=-]+$", word)
    }

    assert left - _EXAMPLES == set()


_EXAMPLES = frozenset(
    re.split(
        " ",
        "key.create req_ http type object properties function name parameters healthz readyz"
        " entry wide",
    )
)


@pytest.fixture(scope="module")
def source() -> Catalog:
    return collected()


def test_every_text_is_in_the_chinese_catalogue_and_no_other(source: Catalog) -> None:
    known = {message.id for message in kept("zh") if message.id}
    wanted = {message.id for message in source if message.id}

    assert len(wanted) > 900
    assert sorted(map(str, wanted - known)) == []
    assert sorted(map(str, known - wanted)) == []


def test_every_text_is_translated() -> None:
    missing = [
        message.id for message in kept("zh") if message.id and not is_translated(message.string)
    ]

    assert missing == []


def test_translations_keep_the_places_for_values() -> None:
    differing = []
    for message in kept("zh"):
        ids = message.id if isinstance(message.id, tuple | list) else (message.id,)
        strings = message.string if isinstance(message.string, tuple | list) else (message.string,)
        wanted = set(PLACES.findall(ids[-1]))
        if message.id and any(set(PLACES.findall(string)) != wanted for string in strings):
            differing.append(message.id)

    assert differing == []


SAID = [
    (
        Message("The name '%(name)s' already means '%(model)s'.", name="a", model="b"),
        "名称“a”已经指向“b”。",
    ),
    (Message("must be %(what)s", what=Message("a number")), "必须是数字"),
    (Message("It is loading %(names)s.", names="a, b"), "正在加载 a, b。"),
    ("The disk of the server is full.", "服务器的磁盘已满。"),
    ("Something nobody has heard of, 100 %.", "Something nobody has heard of, 100 %."),
    ("", ""),
]


@pytest.mark.parametrize(("sentence", "wanted"), SAID)
def test_a_sentence_of_a_service_is_translated_with_its_values(
    app: Flask, sentence: str, wanted: str
) -> None:
    with app.test_request_context("/admin/", headers={"Accept-Language": "zh"}):
        assert translated(sentence) == wanted


def test_a_page_shows_a_refusal_in_the_language_of_its_visitor(admin: Visitor) -> None:
    wrong = {
        "url": "http://169.254.169.254",
        "name": "cloud",
        "weight": "1",
        "slots": "0",
        "vram_gb": "0",
    }
    page = admin.client.post(
        "/admin/servers/new",
        data={"csrf_token": admin.token, **wrong},
        headers={"Accept-Language": "zh"},
    )

    assert "不允许链路本地地址和云元数据地址。" in page.text
