"""Reads Markdown as far as the tests need it: code blocks, headings, links."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = (ROOT / "README.md", ROOT / "README.zh.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A code block: the page it stands on, its line, its language, its text."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def id(self) -> str:
        """A name for test reports."""
        return f"{self.page.name}:{self.line}"

    def commands(self) -> list[list[str]]:
        """Give the commands of a shell block as words, continued lines joined."""
        joined: list[str] = []
        waiting = ""
        for line in self.text.splitlines():
            waiting = f"{waiting}\n{line}" if waiting else line
            try:
                words = shlex.split(waiting, comments=True)
            except ValueError:
                continue  # a quotation goes on in the next line
            if waiting.rstrip().endswith("\\"):
                continue
            if words:
                joined.append(waiting)
            waiting = ""
        assert not waiting, f"{self.id}: the block ends in the middle of a command"
        return [shlex.split(command.replace("\\\n", " "), comments=True) for command in joined]


def blocks(language: str) -> list[Block]:
    """Give the code blocks of a language, of all pages."""
    return [block for page in PAGES for block in _blocks(page) if block.language == language]


def languages() -> set[str]:
    """Give the languages of all code blocks."""
    return {block.language for page in PAGES for block in _blocks(page)}


def _blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in _BLOCK.finditer(text)
    ]


def prose(page: Path) -> str:
    """Give a page without its code blocks."""
    return _BLOCK.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """Give where a page points to."""
    return _LINK.findall(prose(page))


def headings(page: Path) -> list[tuple[int, str]]:
    """Give the headings with their levels."""
    return [(len(marks), text) for marks, text in re.findall(r"^(#+) (.+)$", prose(page), re.M)]


def anchor(heading: str) -> str:
    """Give the name GitHub gives a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.strip().replace(" ", "-")


def tables(page: Path) -> list[list[list[str]]]:
    """Give the tables: rows of cells, without the line under the head."""
    found: list[list[list[str]]] = []
    rows: list[list[str]] = []
    for line in [*prose(page).splitlines(), ""]:
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not all(re.fullmatch(r"-+", cell) for cell in cells):
                rows.append(cells)
        elif rows:
            found.append(rows)
            rows = []
    return found
