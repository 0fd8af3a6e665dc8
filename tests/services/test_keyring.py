"""Keys are found warm without a query, refused soon after a change, and survive a store outage."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest
from sqlalchemy import event

from gateway.core.admin import SYSTEM
from gateway.core.secrets import KEY_PREFIX, is_well_formed
from gateway.errors import Unauthenticated
from gateway.runtime.database import StoreUnavailable
from gateway.runtime.versions import POLL_S
from gateway.store.coordination.versions import FileWatch
from tests.services.conftest import FakeClock, Worker


def test_a_new_key_is_found_by_its_secret(worker: Worker) -> None:
    key, secret = worker.keys.issue({"name": "laptop"}, SYSTEM)

    assert is_well_formed(secret, KEY_PREFIX)
    assert worker.keyring.find(secret) == key
    assert (key.prefix, key.last4) == (secret[:9], secret[-4:])


def test_a_warm_key_costs_no_query(worker: Worker, clock: FakeClock) -> None:
    _, secret = worker.keys.issue({"name": "laptop"}, SYSTEM)
    worker.keyring.find(secret)
    statements: list[str] = []
    engine = worker.store.database.engine
    event.listen(engine, "before_cursor_execute", lambda c, cur, sql, *rest: statements.append(sql))
    for _ in range(100):
        worker.keyring.find(secret)

    assert statements == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(lambda w, k: w.keys.revoke([k.id], SYSTEM), "api_key_revoked", id="revoked"),
        pytest.param(
            lambda w, k: w.keys.enable([k.id], False, SYSTEM), "api_key_revoked", id="disabled"
        ),
        pytest.param(lambda w, k: w.keys.delete(k.id, SYSTEM), "invalid_api_key", id="deleted"),
        pytest.param(
            lambda w, k: w.keys.rotate(k.id, 0, SYSTEM), "api_key_revoked", id="rotated at once"
        ),
    ],
)
def test_another_worker_refuses_a_changed_key_within_a_second(
    worker: Worker, other: Worker, clock: FakeClock, change, code: str
) -> None:
    key, secret = worker.keys.issue({"name": "laptop"}, SYSTEM)
    other.keyring.find(secret)
    change(worker, key)
    clock.tick(1.0)

    with pytest.raises(Unauthenticated) as caught:
        other.keyring.find(secret)

    assert caught.value.code == code
    assert POLL_S < 1.0


def test_a_key_expires_by_the_clock_alone(worker: Worker, clock: FakeClock) -> None:
    ends = clock.now() + timedelta(hours=1)
    _, secret = worker.keys.issue({"name": "guest", "expires_at": ends.isoformat()}, SYSTEM)
    worker.keyring.find(secret)
    clock.tick(3600)

    with pytest.raises(Unauthenticated) as caught:
        worker.keyring.find(secret)

    assert caught.value.code == "api_key_expired"


def test_a_rotated_key_works_beside_the_new_one_until_its_grace_ends(
    worker: Worker, clock: FakeClock
) -> None:
    old, old_secret = worker.keys.issue({"name": "app", "allow": ["llama*"]}, SYSTEM)
    new, new_secret = worker.keys.rotate(old.id, 24, SYSTEM)
    clock.tick(23 * 3600)
    found = worker.keyring.find(old_secret), worker.keyring.find(new_secret)
    clock.tick(3600)

    assert [key.id for key in found] == [old.id, new.id]
    assert (new.allow, new.rotated_from, new.counter_id) == (("llama*",), old.id, old.id)
    with pytest.raises(Unauthenticated):
        worker.keyring.find(old_secret)
    assert worker.keyring.find(new_secret).id == new.id


def test_warm_keys_outlive_an_outage_of_a_minute_and_unknown_ones_are_503(
    worker: Worker, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, warm = worker.keys.issue({"name": "warm"}, SYSTEM)
    _, cold = worker.keys.issue({"name": "cold"}, SYSTEM)
    worker.keyring.find(warm)
    clock.tick(1)

    def away(*args: object, **kwargs: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(FileWatch, "look", away)
    monkeypatch.setattr(worker.store, "_off_loop", away)
    clock.tick(50)

    assert worker.keyring.find(warm).name == "warm"
    with pytest.raises(StoreUnavailable) as caught:
        worker.keyring.find(cold)
    assert (caught.value.status, caught.value.code) == (503, "store_unavailable")
    clock.tick(20)
    with pytest.raises(StoreUnavailable):
        worker.keyring.find(warm)


def test_a_change_of_another_key_just_before_an_outage_cools_no_warm_key(
    worker: Worker, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, warm = worker.keys.issue({"name": "warm"}, SYSTEM)
    worker.keyring.find(warm)
    worker.keys.issue({"name": "another"}, SYSTEM)
    clock.tick(1)
    worker.versions.look()

    def away(*args: object, **kwargs: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(FileWatch, "look", away)
    monkeypatch.setattr(worker.store, "_off_loop", away)
    clock.tick(50)

    assert worker.keyring.find(warm).name == "warm"
    clock.tick(20)
    with pytest.raises(StoreUnavailable):
        worker.keyring.find(warm)


def test_who_needs_no_key_is_known_without_a_query(worker: Worker, clock: FakeClock) -> None:
    fields = {"name": "home", "cidrs": ["192.168.1.0/24"], "anonymous": True}
    key, _ = worker.keys.issue(fields, SYSTEM)
    worker.keyring.anonymous("192.168.1.20")
    statements: list[str] = []
    engine = worker.store.database.engine
    event.listen(engine, "before_cursor_execute", lambda c, cur, sql, *rest: statements.append(sql))
    found = [worker.keyring.anonymous(address) for address in ("192.168.1.20", "10.0.0.1")]

    assert found == [key, None]
    assert statements == []


def test_another_worker_hears_within_a_second_who_needs_no_key(
    worker: Worker, other: Worker, clock: FakeClock
) -> None:
    before = other.keyring.anonymous("10.0.0.1")
    fields = {"name": "home", "cidrs": ["10.0.0.0/8"], "anonymous": True}
    key, _ = worker.keys.issue(fields, SYSTEM)
    clock.tick(1.0)
    while_enabled = other.keyring.anonymous("10.0.0.1")
    worker.keys.enable([key.id], False, SYSTEM)
    clock.tick(1.0)

    assert (before, while_enabled) == (None, key)
    assert other.keyring.anonymous("10.0.0.1") is None


@pytest.mark.parametrize("is_changed", [False, True], ids=["unchanged", "changed just before"])
def test_an_anonymous_key_outlives_an_outage_of_a_minute(
    worker: Worker, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, is_changed: bool
) -> None:
    fields = {"name": "home", "cidrs": ["10.0.0.0/8"], "anonymous": True}
    key, _ = worker.keys.issue(fields, SYSTEM)
    worker.keyring.anonymous("10.0.0.1")
    if is_changed:
        worker.keys.issue({"name": "another"}, SYSTEM)
    clock.tick(1)
    worker.versions.look()

    def away(*args: object, **kwargs: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(FileWatch, "look", away)
    monkeypatch.setattr(worker.store, "_off_loop", away)
    clock.tick(50)

    assert worker.keyring.anonymous("10.0.0.1") == key
    clock.tick(20)
    with pytest.raises(StoreUnavailable):
        worker.keyring.anonymous("10.0.0.1")


def test_every_change_of_a_key_is_in_the_audit_log_without_its_secret(worker: Worker) -> None:
    from gateway.store import audit

    key, secret = worker.keys.issue({"name": "laptop"}, SYSTEM)
    worker.keys.update(key.id, {"requests_per_minute": 5}, SYSTEM)
    worker.keys.revoke([key.id], SYSTEM)
    entries = worker.store.read(audit.page)

    assert [entry.action for entry in entries] == ["key.revoke", "key.update", "key.create"]
    assert (entries[1].before, entries[1].after) == (
        {"requests_per_minute": 0},
        {"requests_per_minute": 5},
    )
    assert secret not in repr(entries)
