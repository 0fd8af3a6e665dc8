"""Keeps responses so that they can be recalled: per key and the keys that replace it, for a time,
up to a number and a size (D28)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from gateway.core.chat import Json
from gateway.dialects.responses import stored as responses_stored
from gateway.dialects.responses.stored import Kept
from gateway.errors import GatewayError, InvalidRequest
from gateway.runtime.database import Store
from gateway.runtime.tasks import Run, run_here
from gateway.schemas.key import Key
from gateway.schemas.settings import RuntimeSettings
from gateway.store import responses

log = logging.getLogger(__name__)

_PRUNE_EVERY = 100
"""After so many responses, or this part of what one key may keep, what is too much is removed."""


@dataclass(eq=False)
class Responses:
    """The stored responses. Another key's are as if they did not exist."""

    store: Store
    behaviour: Callable[[], RuntimeSettings]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _unpruned: int = _PRUNE_EVERY

    def save(self, key: Key, kept: Kept, run: Run = run_here) -> None:
        """Store a response; `run` runs what reads all of it. A failing store is logged: the answer
        itself was given."""
        behaviour = self.behaviour()
        if not behaviour.responses_store:
            return
        items = [
            *(("input", item) for item in kept.input_items),
            *(("output", item) for item in kept.output_items),
        ]
        size = run(lambda: sum(len(orjson.dumps(item)) for _, item in items))
        most = responses.bounds(behaviour)
        if size > most.key_bytes:
            log.warning("a response of %d bytes is not stored: it is too large", size)
            return
        try:
            self.store.write(
                responses.insert,
                key.counter_id,
                kept.response,
                kept.previous_id,
                items,
                size,
                self.now(),
                behaviour.responses_store_ttl_days,
            )
            self._unpruned += 1 + size * _PRUNE_EVERY // most.key_bytes
            if self._unpruned >= _PRUNE_EVERY:
                self._unpruned = 0
                while self.store.write(responses.prune, self.now(), most):
                    pass
        except GatewayError:
            log.warning("a response could not be stored")

    def get(self, key: Key, response_id: str) -> Json:
        """Return a stored response. Raises NotFound (`response_not_found`)."""
        found = self.store.read(responses.find, key.counter_id, response_id, self.now())
        if found is None:
            raise responses_stored.not_found(response_id)
        return found

    def items(self, key: Key, response_id: str) -> Sequence[Json]:
        """Return the input items of a stored response, oldest first. Raises NotFound."""
        self.get(key, response_id)
        return self.store.read(responses.items, response_id, "input")

    def delete(self, key: Key, response_id: str) -> None:
        """Forget a stored response. Raises NotFound."""
        self.get(key, response_id)
        self.store.write(responses.remove, [response_id])

    def recall(self, key: Key, response_id: str) -> Sequence[Mapping[str, Json]]:
        """Return the items of a `previous_response_id`, following the chain, oldest first.

        Raises InvalidRequest (`previous_response_not_found`).
        """
        found = None
        if self.behaviour().responses_store:
            found = self.store.read(responses.chain, key.counter_id, response_id, self.now())
        if found is None:
            raise InvalidRequest(
                f"Previous response '{response_id[:100]}' was not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return found

    def recall_item(self, key: Key, item_id: str) -> Mapping[str, Json]:
        """Return a stored item. Raises InvalidRequest (`item_not_found`)."""
        found = self.store.read(responses.find_item, key.counter_id, item_id)
        if found is None:
            raise InvalidRequest(f"Item '{item_id[:100]}' was not found.", code="item_not_found")
        return found
