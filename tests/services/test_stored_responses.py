"""Stored responses follow a key through its rotations, and go with the last of them (D28)."""

from __future__ import annotations

import pytest

from gateway.calls.stored_responses import Responses
from gateway.core.admin import SYSTEM
from gateway.dialects.responses.stored import Kept
from gateway.errors import NotFound
from gateway.schemas.settings import RuntimeSettings
from tests.services.conftest import Worker

ITEM = {"id": "msg_1", "type": "message", "content": "hi"}


def _kept(text: str = "hi") -> Kept:
    item = ITEM | {"content": text}
    body = {"id": "resp_1", "model": "tern", "status": "completed", "output": [item]}
    return Kept("resp_1", None, "tern", "completed", 1, body, (), (item,))


def test_a_rotated_key_goes_on_with_the_responses_of_the_one_before(worker: Worker) -> None:
    stored = Responses(worker.store, RuntimeSettings)
    old, _ = worker.keys.issue({"name": "laptop"}, SYSTEM)
    other, _ = worker.keys.issue({"name": "other"}, SYSTEM)
    stored.save(old, _kept())
    new, _ = worker.keys.rotate(old.id, 0, SYSTEM)

    assert stored.get(new, "resp_1")["output"] == [ITEM]
    assert list(stored.recall(new, "resp_1")) == [ITEM]
    with pytest.raises(NotFound):
        stored.get(other, "resp_1")
    worker.keys.delete(old.id, SYSTEM)
    assert stored.get(new, "resp_1")["id"] == "resp_1"
    worker.keys.delete(new.id, SYSTEM)
    with pytest.raises(NotFound):
        stored.get(new, "resp_1")


def test_a_response_larger_than_a_key_may_store_is_not_stored(worker: Worker) -> None:
    stored = Responses(worker.store, lambda: RuntimeSettings(responses_store_key_mb=1))
    key, _ = worker.keys.issue({"name": "laptop"}, SYSTEM)
    stored.save(key, _kept("x" * (1 << 20)))

    with pytest.raises(NotFound):
        stored.get(key, "resp_1")
