"""The contract in `docs/contract`: every code that is cited is defined, every link resolves."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

from tests.docs.reading import PAGES, ROOT, anchor, headings, links

CONTRACT = ROOT / "docs" / "contract"
CONTRACT_PAGES = sorted(CONTRACT.glob("*.md"))
OVERVIEW = CONTRACT / "README.md"
SOURCES = sorted([*(ROOT / "gateway").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])
TEXTS = [*CONTRACT_PAGES, *PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
_CODE = r"[A-Z]\d{1,2}|(?:auth|console|http|ssrf|load|answer|supply)-\d{1,2}"
_CITED = re.compile(rf"(?<![\w.#-])(?:{_CODE})(?![\w-])")
_HEADING = re.compile(r"^### (D\d+): ", re.M)
_ROW = re.compile(rf"^\| `?({_CODE})`? \|", re.M)
_DECISION = re.compile(r"^\| \[(D\d+)\]\(([^)]*)\) \|", re.M)


def definitions(text: str) -> list[str]:
    """Return the codes a page defines: decisions by headings, the rest by rows of tables."""
    return [*_HEADING.findall(text), *_ROW.findall(text)]


def citations(text: str) -> set[str]:
    """Return the codes a text mentions."""
    return set(_CITED.findall(text))


def remarks(source: str) -> str:
    """Return the comments and docstrings of Python source."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    docstrings = [
        node.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    return "\n".join([*comments, *(text for text in docstrings if isinstance(text, str))])


def unresolved(page: Path) -> list[str]:
    """Return the links of a page that lead to no file or no heading."""
    missing = []
    for target in links(page):
        path, _, fragment = target.partition("#")
        if "://" in path:
            continue
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (
            fragment and fragment not in {anchor(text) for _, text in headings(place)}
        ):
            missing.append(target)
    return missing


DEFINED = {code for page in CONTRACT_PAGES for code in definitions(page.read_text())}


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_code_in_the_documentation_is_defined(page: Path) -> None:
    assert citations(page.read_text()) <= DEFINED


def test_every_code_in_a_comment_or_docstring_is_defined() -> None:
    texts = {path: path.read_text() for path in SOURCES}
    unknown = {
        f"{path.relative_to(ROOT)}: {code}"
        for path, text in texts.items()
        if citations(text) - DEFINED  # finding the remarks of a file takes longer
        for code in citations(remarks(text)) - DEFINED
    }

    assert len(SOURCES) > 300
    assert unknown == set()


def test_every_page_that_code_cites_exists() -> None:
    cited = {
        name
        for path in SOURCES
        if path != Path(__file__)
        for name in re.findall(r"docs/contract/(\w+\.md)", path.read_text())
    }

    assert len(cited) > 5
    assert cited <= {page.name for page in CONTRACT_PAGES}


def test_no_code_is_defined_twice() -> None:
    all_codes = [code for page in CONTRACT_PAGES for code in definitions(page.read_text())]

    assert len(all_codes) > 150
    assert sorted(all_codes) == sorted(DEFINED)


def test_the_overview_lists_every_decision_with_the_page_that_defines_it() -> None:
    listed = dict(_DECISION.findall(OVERVIEW.read_text()))

    assert set(listed) == {code for code in DEFINED if code.startswith("D")}
    for code, target in listed.items():
        page = CONTRACT / (target.partition("#")[0] or OVERVIEW.name)
        assert code in definitions(page.read_text())
        assert target.partition("#")[2].startswith(f"{code.lower()}-")


@pytest.mark.parametrize("page", CONTRACT_PAGES, ids=lambda page: page.name)
def test_every_link_of_the_contract_resolves(page: Path) -> None:
    assert unresolved(page) == []


def test_the_overview_links_every_page() -> None:
    linked = set(links(OVERVIEW))

    assert {page.name for page in CONTRACT_PAGES} - {OVERVIEW.name} <= linked


CITING = {
    "a decision": ("# not 408, which SDKs repeat (D50)", {"D50"}),
    "several": ('"""Adapt a wish to think (D9, D10)."""', {"D9", "D10"}),
    "a word": ("# see ssrf-8 and auth-16", {"ssrf-8", "auth-16"}),
    "an unknown letter": ("# the health check needs some as well (E8)", {"E8"}),
    "part of a name": ("# qwen3:Q4_K_M, utf-8, HTTP-404, #d13-forced, hf.D1", set()),
}


@pytest.mark.parametrize(("text", "expected"), CITING.values(), ids=CITING)
def test_a_citation_is_found(text: str, expected: set[str]) -> None:
    assert citations(text) == expected


def test_only_comments_and_docstrings_count() -> None:
    source = '"""Of D1."""\nx = ["D2",  # D3\n"D4"]\ndef f() -> str:\n    """Of D5."""\n'

    assert citations(remarks(source)) == {"D1", "D3", "D5"}


def test_a_mention_is_no_definition() -> None:
    text = "### D1: A title\n\nD2 is meant.\n\n| F1 | a fact, see D3 |\n| `load-2` | an attack |\n"

    assert definitions(text) == ["D1", "F1", "load-2"]


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Here\n\n[a](#here) [b](#there) [c](gone.md) [d](https://example.org)\n")

    assert unresolved(page) == ["#there", "gone.md"]
