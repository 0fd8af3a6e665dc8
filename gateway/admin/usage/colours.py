"""Colours of a chart's lines that stay with a name, whatever its rank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from zlib import crc32

COLOURS = 7
OTHERS = 8
"""The colour of what has no own one."""


def of_names(names: Iterable[str]) -> Mapping[str, int]:
    """Return a colour from 1 to COLOURS for each of at most COLOURS names (ids, where they have
    one). A name has its own, the same in every chart; where two names of one chart share it, the
    second in order has the next free one."""
    found: dict[str, int] = {}
    for name in sorted(names, key=lambda name: (len(name), name)):
        taken = found.values()
        own = int(name) if name.isdecimal() else crc32(name.encode())
        colours = ((own + step) % COLOURS + 1 for step in range(COLOURS))
        found[name] = next(colour for colour in colours if colour not in taken)
    return found
