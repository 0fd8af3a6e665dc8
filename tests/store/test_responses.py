"""Stored responses: whose they are, and what is forgotten when there is too much (D28)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.store import responses
from gateway.store.database.engine import Database
from gateway.store.responses import Bounds

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WIDE = Bounds(rows=1_000, key_bytes=1 << 30, all_bytes=1 << 30)
TEXT = {"id": "msg_1", "type": "message", "content": "a\u0000b"}


def _store(database: Database, key_id: int, number: int, size: int = 10) -> str:
    name = f"resp_{key_id}_{number}"
    with database.write() as session:
        responses.insert(
            session,
            key_id,
            {"id": name, "model": "tern", "status": "completed", "output": [TEXT]},
            None,
            [("input", {"id": "in_1", "content": "hi"}), ("output", TEXT)],
            size,
            NOW + timedelta(seconds=number),
            30,
        )
    return name


def _left(database: Database, bounds: Bounds, key_ids: tuple[int, ...]) -> list[list[int]]:
    """Prune until nothing is removed; return the numbers each key still has."""
    with database.write() as session:
        while responses.prune(session, NOW, bounds, batch=3):
            pass
    with database.read() as session:
        return [
            [n for n in range(10) if responses.find(session, key, f"resp_{key}_{n}", NOW)]
            for key in key_ids
        ]


def test_a_response_is_recalled_as_it_was_and_stored_once(database: Database) -> None:
    name = _store(database, 1, 0)
    with database.read() as session:
        found = responses.find(session, 1, name, NOW)
        others = responses.find(session, 2, name, NOW)
        row = session.get(responses.ResponseRow, name)

    assert found is not None
    assert row is not None
    assert found["model"] == "tern"
    assert [item["id"] for item in found["output"]] == ["msg_1"]
    assert "output" not in row.body
    assert others is None


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        pytest.param(WIDE, [[0, 1, 2, 3, 4, 5], [0, 1]], id="nothing is too much"),
        pytest.param(Bounds(1_000, 30, 1 << 30), [[3, 4, 5], [0, 1]], id="bytes of one key"),
        pytest.param(Bounds(1_000, 1 << 30, 40), [[4, 5], [0, 1]], id="bytes in all"),
        pytest.param(Bounds(5, 1 << 30, 1 << 30), [[3, 4, 5], [0, 1]], id="responses in all"),
    ],
)
def test_who_stores_most_loses_the_oldest(
    database: Database, bounds: Bounds, expected: list[list[int]]
) -> None:
    for number in range(6):
        _store(database, 1, number)
    for number in range(2):
        _store(database, 2, number)

    assert _left(database, bounds, (1, 2)) == expected


def test_what_has_expired_goes_first(database: Database) -> None:
    _store(database, 1, 0)
    with database.write() as session:
        assert responses.prune(session, NOW + timedelta(days=31), WIDE) == 1
