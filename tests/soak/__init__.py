"""How often the crash and limit tests repeat: a little in every run, long under `make soak`."""

from __future__ import annotations

import os

SOAK = os.environ.get("SOAK") == "1"


def times(short: int, long: int) -> int:
    """Give `short`, or `long` under `make soak`."""
    return long if SOAK else short
