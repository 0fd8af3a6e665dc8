"""The pages as a whole: links lead somewhere, both languages say the same, tables are complete."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from gateway.accounting.metrics import Metrics
from gateway.config import VARIABLES
from gateway.core.options import KEYS
from gateway.policy.clients.kit import KIT
from gateway.schemas.alert import RULES
from gateway.schemas.settings import RuntimeSettings
from gateway.store.tables import Base
from tests.docs import write
from tests.docs.reading import PAGES, ROOT, anchor, blocks, headings, links, prose, tables

ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh.md"
OTHERS = (
    *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "benchmarks").glob("*.md")),
)


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: page.name)
def test_every_local_link_leads_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, fragment = target.partition("#")
        if "://" in path:
            continue
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        if fragment:
            assert fragment in {anchor(text) for _, text in headings(place)}, target


def test_every_page_is_linked_from_both_readmes() -> None:
    pages = {f"docs/{page.name}" for page in PAGES if page.parent.name == "docs"}

    assert pages <= set(links(ENGLISH))
    assert pages <= set(links(CHINESE))


def test_both_readmes_have_the_same_shape() -> None:
    assert [level for level, _ in headings(ENGLISH)] == [level for level, _ in headings(CHINESE)]
    assert _shape(ENGLISH) == _shape(CHINESE)
    assert [len(table) for table in tables(ENGLISH)] == [len(table) for table in tables(CHINESE)]
    swapped = {"README.md": "README.zh.md", "README.zh.md": "README.md"}
    assert [swapped.get(link, link) for link in links(ENGLISH)] == links(CHINESE)


def _shape(page: Path) -> list[tuple[str, int]]:
    """Return the kinds of paragraphs in order: the same in both languages."""
    found = []
    for part in re.split(r"\n\n+", prose(page).strip()):
        kind = "table" if part.startswith("|") else "list" if part.startswith("- ") else "text"
        found.append((kind, len(re.findall(r"^- ", part, re.M)) if kind == "list" else 0))
    return found


def test_both_readmes_show_the_same_code() -> None:
    def code(page: Path) -> list[str]:
        mine = [b for language in ("bash", "python") for b in blocks(language) if b.page == page]
        words = re.compile(r'"content": "[^"]*"|key create "[^"]*"|#.*')
        return [words.sub("", block.text) for block in mine]

    assert code(ENGLISH) == code(CHINESE)


def test_the_chinese_readme_is_chinese() -> None:
    text = re.sub(r"`[^`]*`|\([^)]*\)", "", prose(CHINESE))
    paragraphs = [part for part in re.split(r"\n\n+", text) if len(part) > 120]

    assert len(paragraphs) >= 4
    for part in paragraphs:
        assert len(re.findall(r"[\u4e00-\u9fff]", part)) > len(part) / 10, part


def test_every_variable_is_in_the_table() -> None:
    rows = next(t for t in tables(ROOT / "docs" / "settings.md") if t[1][0] == "`HOST`")

    assert [row[0].strip("`") for row in rows[1:]] == list(VARIABLES)
    assert all(all(row) for row in rows)


def test_the_written_parts_are_up_to_date() -> None:
    for path, text in write.written().items():
        assert path.read_text() == text, f"{path.name}: run `make docs`"


def test_every_client_of_the_kit_is_in_the_guide() -> None:
    page = (ROOT / "docs" / "clients.md").read_text()
    shown = set(re.findall(r"<!-- client: (\w+) \w+ -->", page))

    assert shown == set(KIT) - {"roo"}  # the same form as Cline's


def test_settings_in_the_documentation_exist() -> None:
    known = {
        *RuntimeSettings.__dataclass_fields__,
        *KEYS,
        *VARIABLES,
        *Base.metadata.tables,
        *RULES,
    }
    looks_like_one = re.compile(
        r"`((?:allow|max|queue|sse|usage|body|default|stream|idle|connect|anthropic|strip"
        r"|responses|enable|drain|prefix|server)_[a-z_]+)`"
    )
    pages = [page for page in PAGES if page.name != "api.md"]  # that one is written from tables
    named = {name for page in pages for name in looks_like_one.findall(page.read_text())}
    at_vendors = {
        "max_tokens", "max_completion_tokens", "max_output_tokens", "enable_thinking",
        "max_tool_calls", "stream_options", "max_input_tokens",
    }  # fmt: skip

    assert len(named) > 25
    assert named - at_vendors <= known


def test_the_glossary_names_every_table() -> None:
    page = ROOT / "docs" / "glossary.md"
    rows = next(table for table in tables(page) if table[0][0] == "Table")
    named = [name for row in rows[1:] for name in re.findall(r"`(\w+)`", row[0])]

    assert sorted(named) == sorted(Base.metadata.tables)


def test_every_series_in_the_documentation_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    types = dict(re.findall(r"^# TYPE (\S+) (\w+)$", Metrics("1").text().decode(), re.M))
    page = (ROOT / "docs" / "operations.md").read_text()
    dashboard = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())
    drawn = re.findall(r"o2a_\w+", json.dumps(dashboard))

    assert set(re.findall(r"`(o2a_\w+)`", page)) == set(types)
    plain = {re.sub(r"_(bucket|sum|count)$", "", name) for name in drawn}
    assert plain == set(types)


def test_the_dashboard_can_be_imported() -> None:
    dashboard = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())
    panels = dashboard["panels"]
    ids = [panel["id"] for panel in panels]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(ids) == len(set(ids))
    assert len(cells) == len(set(cells)), "panels lie on one another"
    assert max(x for x, _ in cells) < 24
    for panel in panels:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            assert expression.count("(") == expression.count(")")
            assert '=~"$job"' in expression


def test_pages_and_scripts_name_no_foreign_host() -> None:
    """Pages load nothing from elsewhere: the machine may be offline."""
    allowed = {"www.w3.org", "example.org", "localhost", "127.0.0.1"}
    sources = [
        *(ROOT / "templates").rglob("*.html"),
        *(path for path in (ROOT / "static").rglob("*") if path.suffix in {".js", ".css"}),
    ]
    loading = re.compile(
        r"""(?:src|srcset|action|poster)\s*=\s*["']?(?:https?:)?//([\w.-]+)"""
        r"""|<link\b[^>]*\bhref\s*=\s*["']?(?:https?:)?//([\w.-]+)"""
        r"""|url\(\s*["']?(?:https?:)?//([\w.-]+)|@import\s+["'](?:https?:)?//([\w.-]+)"""
        r"""|(?:fetch|import|EventSource|WebSocket)\(\s*["'](?:\w+:)?//([\w.-]+)"""
    )
    found = {
        (path.name, "".join(hosts))
        for path in sources
        for hosts in loading.findall(path.read_text(errors="replace"))
    }

    assert len(sources) > 30
    assert {(name, host) for name, host in found if host not in allowed} == set()


def test_the_documentation_has_no_machine_paths() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "*.md", "deploy", "docker-compose*"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip

    assert "README.md" in tracked
    for name in tracked:
        text = (ROOT / name).read_text()
        assert not re.search(r"/(home|Users|work|root)/\w", text), name
