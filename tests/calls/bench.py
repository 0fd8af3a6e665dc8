"""Active calls without HTTP before them: prepared, run and read as the views do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from gateway.api import storing
from gateway.calls.active_call import ActiveCall, CallParts
from gateway.calls.prepare import PreparedCall
from gateway.calls.produce import produce
from gateway.calls.records import Caller
from gateway.calls.whole import embed
from gateway.core.admin import SYSTEM
from gateway.core.chat import EmbedRequest
from gateway.core.events import fold
from gateway.core.usage import Admission, Settlement
from gateway.dialects import embeddings as dialect_of_embeddings
from gateway.dialects.chat.dialect import CHAT
from gateway.schemas.key import Key
from gateway.web.context import Services

_NUMBERS = count(1)


@dataclass
class Records:
    """Takes what is written of calls."""

    admitted: list[Admission] = field(default_factory=list)
    settled: list[Settlement] = field(default_factory=list)

    def admit(self, admission: Admission) -> None:
        self.admitted.append(admission)

    def settle(self, admission: Admission, settlement: Settlement, caller: Caller) -> None:
        self.settled.append(settlement)


class Bench:
    """The call path of an application, with a key and with records that are kept here."""

    def __init__(self, services: Services, **key: Any) -> None:
        self.services = services
        self.records = Records()
        self.key: Key
        self.key, _ = services.keys.issue({"name": "bench", **key}, SYSTEM)
        records: Any = self.records
        self.parts: CallParts = replace(services.calls, records=records)

    def chat(self, model: str, text: str = "Hello?", **more: Any) -> PreparedCall:
        """Prepare a chat call."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        call = CHAT.parse(body, storing.reading(self.services, self.key))
        return self.parts.preparer.prepare(call, self.key)

    def embedding(self, model: str, *texts: str) -> tuple[PreparedCall, EmbedRequest]:
        """Prepare an embedding call."""
        body: Mapping[str, Any] = {"model": model, "input": list(texts)}
        request = dialect_of_embeddings.parse(body, storing.reading(self.services, self.key))
        return self.parts.preparer.prepare_embedding(request, self.key)

    def call(self, prepared: PreparedCall, sock: Any = None) -> ActiveCall:
        """Return a call that the running greenlet will read."""
        request_id = f"req_{next(_NUMBERS)}"
        return ActiveCall(self.parts, prepared, Caller(request_id, "chat", sock=sock), {})


def start(active: ActiveCall) -> None:
    """Start the producers of a call."""
    active.start(lambda choice: produce(active, choice), active.prepared.request.choices)


def read(active: ActiveCall) -> None:
    """Read the answer of a call to its end. Raises the error it ends with."""
    if not active.prepared.call.stream:
        fold(active.batches(), active.prepared.request.choices)
    elif active.first() is not None:
        for _ in active.batches():
            pass


def read_vectors(active: ActiveCall, request: EmbedRequest) -> None:
    """Read the vectors of an embedding call."""
    embed(active, request)
