"""How far a pull is, how fast it is, and how long what is left will take."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Final

from gateway.ollama.capabilities import Progress
from gateway.store.jobs import PullJob

_SPEED_OVER_S: Final = 10.0
_MAX_LAYERS: Final = 500


class Meter:
    """The figures of a pull that runs here. Not thread-safe: its puller's own."""

    def __init__(self) -> None:
        self.status = ""
        self.layers: dict[str, tuple[int, int]] = {}
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, step: Progress, now_s: float) -> None:
        """Take in one line of Ollama's progress."""
        self.status = step.status
        known = step.digest in self.layers
        if step.digest and step.total_bytes and (known or len(self.layers) < _MAX_LAYERS):
            done = min(step.completed_bytes, step.total_bytes)
            self.layers[step.digest] = (done, step.total_bytes)
        done = sum(done for done, _ in self.layers.values())
        self._seen.append((now_s, done))
        while now_s - self._seen[0][0] > _SPEED_OVER_S:
            self._seen.popleft()

    @property
    def bytes_per_s(self) -> float | None:
        """The speed over the last seconds."""
        if len(self._seen) < 2:
            return None
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else None

    @property
    def eta_s(self) -> float | None:
        """How long what is known to be left will take."""
        speed = self.bytes_per_s
        left = sum(total - done for done, total in self.layers.values())
        return left / speed if speed else None


def told_by(job: PullJob, now: datetime) -> tuple[float | None, float | None]:
    """Estimate speed and rest of another worker's pull from its start: bytes a second, seconds."""
    if job.state != "running" or job.started_at is None or not job.completed_bytes:
        return None, None
    speed = job.completed_bytes / max((now - job.started_at).total_seconds(), 1.0)
    return speed, (job.total_bytes - job.completed_bytes) / speed
