"""Settings of the interpreter for a worker that serves."""

from __future__ import annotations

import gc
import sys

SWITCH_S = 0.000_5
"""How long a thread that writes to the store may keep the event loop from the interpreter. Python's
own 5 ms are asked for again at each system call of the loop, and a call has a dozen."""
THRESHOLD = (50_000, 50, 50)
"""How many new objects start a garbage collection. With 60,000 objects that come and go, as calls
bring, collections took 4 % of the CPU time; after 700 objects, Python's own number, 10 %."""


def tune() -> None:
    """Set up garbage collection and switching between threads, once the application is loaded.

    What was loaded stays: 110,000 objects, which a full collection would walk for 50 ms while no
    stream goes on. Frozen, they cost it nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLD)
    gc.enable()
    sys.setswitchinterval(SWITCH_S)
