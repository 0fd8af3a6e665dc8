"""What this worker is called, in records, leases and heartbeats: host and process."""

from __future__ import annotations

import os


def worker_name() -> str:
    """Return `host:pid` of this process; ask after the fork."""
    return f"{os.uname().nodename}:{os.getpid()}"
