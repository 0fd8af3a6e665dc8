"""The Dockerfile as instructions, so that tests can follow them without an engine."""

from __future__ import annotations

import re

from tests.docs.reading import ROOT


class Dockerfile:
    """The instructions of the Dockerfile, by stage."""

    def __init__(self) -> None:
        text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.M)
        lines = text.replace("\\\n", " ").splitlines()
        self.stages: list[list[tuple[str, str]]] = []
        for line in filter(str.strip, lines):
            word, _, rest = line.strip().partition(" ")
            if word == "FROM":
                self.stages.append([])
            self.stages[-1].append((word, " ".join(rest.split())))

    def all(self, word: str, stage: int = -1) -> list[str]:
        """Give the arguments of an instruction in a stage."""
        return [rest for name, rest in self.stages[stage] if name == word]
