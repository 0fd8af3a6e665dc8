"""Calls in flight: who runs what right now, in every worker, and how to end one.

Each call registers its tally and how to cancel it; a snapshot reads the tallies, which only their
own calls write. What other workers run comes from their rows in `worker_state`, which they renew
once a second while they have calls; an order to cancel reaches them through the `command` table.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from gateway.errors import ClientGone, GatewayError

if TYPE_CHECKING:
    from gateway.services.tally import Tally

log = logging.getLogger(__name__)

Cancel = Callable[[GatewayError], None]


@dataclass(frozen=True, slots=True)
class LiveCall:
    """One running call, as the console shows it.

    `phase` is queued, loading, prefill, thinking or answering; `tokens` those given so far, about;
    `tokens_per_s` since the first of them; `position` the place in line, 0 when not queued.
    """

    request_id: str
    worker: str
    started_at: datetime
    elapsed_s: float
    key_id: int | None
    key_name: str
    model_id: int | None
    model: str
    endpoint: str
    streamed: bool
    phase: str
    position: int
    tokens: int
    tokens_per_s: float | None
    server_id: int | None
    server_name: str
    client_ip: str
    client_app: str


def cancelled() -> GatewayError:
    """Give the error of a call that an admin ended."""
    return GatewayError(
        "An administrator ended this call.", code="cancelled", status=503, should_retry=False
    )


class Live:
    """The calls of this worker, and a view of those of the others. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._calls: dict[str, tuple[Tally, Cancel]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    @contextmanager
    def running(self, tally: Tally, cancel: Cancel) -> Iterator[None]:
        """Show a call while the block lasts; `cancel` must be callable from any thread."""
        request_id = tally.admission.request_id
        with self._lock:
            self._calls[request_id] = (tally, cancel)
        try:
            yield
        finally:
            with self._lock:
                self._calls.pop(request_id, None)

    def snapshot(self) -> list[LiveCall]:
        """Give the calls of this worker, oldest first."""
        now_s = self._clock()
        with self._lock:
            tallies = [tally for tally, _ in self._calls.values()]
        return [_shown(tally, now_s) for tally in tallies]

    def cancel(self, request_id: str, error: GatewayError | None = None) -> bool:
        """End one call of this worker; False when it does not run here."""
        with self._lock:
            found = self._calls.get(request_id)
        if found is None:
            return False
        _end(found[1], error or cancelled())
        return True

    def cancel_all(self, error: Callable[[], GatewayError]) -> int:
        """End every call of this worker; gives how many there were."""
        with self._lock:
            cancels = [cancel for _, cancel in self._calls.values()]
        for cancel in cancels:
            _end(cancel, error())
        return len(cancels)

    def cancel_key(self, key_id: int, error: GatewayError | None = None) -> int:
        """End every call of a key in this worker; gives how many there were."""
        with self._lock:
            cancels = [
                cancel for tally, cancel in self._calls.values() if tally.admission.key_id == key_id
            ]
        for cancel in cancels:
            _end(cancel, error or ClientGone("The key was revoked.", code="cancelled"))
        return len(cancels)

    def start(self) -> None:
        """Begin to tell other workers, and to listen to them."""

    def stop(self) -> None:
        """Stop telling and listening."""


def _end(cancel: Cancel, error: GatewayError) -> None:
    try:
        cancel(error)
    except Exception:
        log.exception("ending a call failed")


def _shown(tally: Tally, now_s: float) -> LiveCall:
    admission = tally.admission
    first_s = tally.first_token_s
    speed = None
    if first_s is not None and now_s > first_s and tally.records > 1:
        speed = tally.records / (now_s - first_s)
    return LiveCall(
        request_id=admission.request_id,
        worker=admission.worker,
        started_at=admission.at,
        elapsed_s=now_s - tally.started_s,
        key_id=admission.key_id,
        key_name=admission.key_name,
        model_id=admission.model_id,
        model=admission.model,
        endpoint=admission.endpoint,
        streamed=admission.streamed,
        phase=tally.phase,
        position=0,
        tokens=tally.records,
        tokens_per_s=speed,
        server_id=tally.server_id,
        server_name=tally.server_name,
        client_ip=admission.client_ip,
        client_app=admission.client_app,
    )
