"""What this worker is called, in records, leases and heartbeats: host and process."""

from __future__ import annotations

import os
from functools import lru_cache


def worker_name() -> str:
    """Return `host:pid` of this process; ask after the fork."""
    return _name(os.getpid())


@lru_cache(maxsize=1)
def _name(pid: int) -> str:
    return f"{os.uname().nodename}:{pid}"
