"""Names of clients in records: bounded for each key and day, as each makes rows in every sum."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.calls import records
from gateway.calls.records import CLIENTS_A_DAY, CallRecords


class _Nobody:
    def admit(self, _: object) -> None: ...


def test_a_key_that_makes_up_names_gets_other(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody: Any = _Nobody()
    kept = CallRecords(nobody, nobody, nobody)
    names = [f"app/{number}" for number in range(3 * CLIENTS_A_DAY)]

    found = [kept.client_name(1, name) for name in names]

    assert found == names[:CLIENTS_A_DAY] + ["other"] * (2 * CLIENTS_A_DAY)
    assert kept.client_name(1, names[0]) == names[0]
    assert kept.client_name(2, names[-1]) == names[-1]
    monkeypatch.setattr(records, "time", _Tomorrow)
    assert kept.client_name(1, names[-1]) == names[-1]


class _Tomorrow:
    @staticmethod
    def time() -> float:
        return 4e9
