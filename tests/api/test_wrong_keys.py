"""Wrong keys: an address that tries many is slowed, one with a valid key is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import create_app
from gateway.api import auth
from gateway.api.auth import Failures
from gateway.config import Settings
from gateway.core.admin import SYSTEM
from gateway.errors import RateLimited
from gateway.web.context import of
from tests.support.database import prepare

LIMIT = 30


def fail(failures: Failures, times: int, address: str = "10.0.0.1") -> None:
    for _ in range(times):
        failures.count(address, LIMIT)


def test_an_address_may_fail_so_often_and_no_more() -> None:
    failures = Failures()
    fail(failures, LIMIT)

    with pytest.raises(RateLimited, match="Too many wrong API keys") as caught:
        fail(failures, 1)

    assert 1 <= (caught.value.retry_after_s or 0) <= 60


def test_other_addresses_are_not_held_back() -> None:
    failures = Failures()
    fail(failures, LIMIT)

    fail(failures, LIMIT, "10.0.0.2")


def test_a_minute_later_it_may_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1_000.0
    monkeypatch.setattr(auth.time, "monotonic", lambda: now_s)
    failures = Failures()
    fail(failures, LIMIT)
    now_s += 61

    fail(failures, LIMIT)


def test_the_setting_holds_for_requests_and_a_valid_key_still_works(tmp_path: Path) -> None:
    settings = Settings.load({"DATA_DIR": str(tmp_path), "WRONG_KEYS_PER_MINUTE": "2"}, None)
    prepare(settings)
    app = create_app(settings)
    _, secret = of(app).keys.issue({"name": "valid", "allow": ["*"]}, SYSTEM)

    def ask(key: str) -> int:
        return (
            app.test_client()
            .get(
                "/v1/models",
                headers={"Authorization": f"Bearer {key}"},
                environ_base={"REMOTE_ADDR": "198.51.100.7"},
            )
            .status_code
        )

    assert [ask(f"sk-nobody-{n}") for n in range(4)] == [401, 401, 429, 429]
    assert ask(secret) == 200
    of(app).store.database.close()


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_REMEMBERED_ADDRESSES", 10)
    failures = Failures()
    for number in range(50):
        fail(failures, 1, f"10.0.0.{number}")

    assert len(failures._seen) == 10
