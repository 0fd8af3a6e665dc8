"""The walk in CONTRIBUTING.md, *A call, step by step*: every file and name it mentions exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.docs.reading import ROOT

WALK = (ROOT / "CONTRIBUTING.md").read_text().partition("### A call, step by step")[2]
STEPS = re.findall(r"^\d\. .*(?:\n   .*)*", WALK, re.M)
_FILE = re.compile(r"`(gateway/[\w/]+\.py)`")
_NAME = re.compile(r"`([A-Za-z_]\w*)`")


def names_in(path: Path) -> set[str]:
    """Return the names a module defines or imports, and the methods of its classes."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            found |= {name.asname or name.name for name in node.names}
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
    return found


def test_there_are_five_steps_and_each_names_its_file() -> None:
    assert len(STEPS) == 5
    assert all(_FILE.search(step) for step in STEPS)


def test_every_name_of_a_step_is_found_in_its_files() -> None:
    missing = []
    for step in STEPS:
        files = [ROOT / path for path in _FILE.findall(step)]
        known = set().union(*(names_in(path) for path in files))
        missing += [name for name in _NAME.findall(step) if name not in known | {"with"}]

    assert missing == []


def test_every_file_of_the_walk_exists() -> None:
    section = WALK.partition("\n## ")[0]

    assert [path for path in _FILE.findall(section) if not (ROOT / path).exists()] == []
