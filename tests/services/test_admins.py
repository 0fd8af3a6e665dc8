"""Logins: who gets in, how wrong tries are slowed, and what ends a session."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.orm import Session

from gateway.core.admin import CLI, Actor
from gateway.errors import Forbidden, InvalidRequest, RateLimited, Unauthenticated
from gateway.limits.login_attempts import LoginAttempts
from gateway.management.admins import Admins, CodeNeeded, LoginExpired, LoginRefused
from gateway.runtime.database import Store, StoreUnavailable
from gateway.store import audit, passwords
from tests.services.conftest import FakeClock

PASSWORD = "violet harbour 71"


@pytest.fixture
def admins(store: Store, clock: FakeClock) -> Admins:
    """Admins with one owner, `root`."""
    made = Admins(store, now=clock.now)
    made.accounts.create("Root", PASSWORD, "owner", CLI, must_change=False)
    return made


def test_a_right_login_gives_a_session(admins: Admins) -> None:
    admin, secret, _ = admins.login("ROOT ", PASSWORD, ip="10.0.0.1", user_agent="Firefox")
    found = admins.session(secret)

    assert found is not None
    assert (found[0].username, found[1].ip, found[1].user_agent) == ("root", "10.0.0.1", "Firefox")
    assert found[0].last_login_ip == "10.0.0.1"
    assert admin.id == found[0].id


def test_failures_make_an_account_wait_longer_but_never_lock_it(
    admins: Admins, clock: FakeClock
) -> None:
    waits = []
    for _ in range(16):
        with pytest.raises((Unauthenticated, RateLimited)) as caught:
            admins.login("root", "wrong one here")
        if isinstance(caught.value, RateLimited):
            waits.append(caught.value.retry_after_s)
            clock.tick(float(caught.value.retry_after_s or 0))

    assert waits[:4] == [1, 2, 4, 8]
    assert max(waits) <= 60
    clock.tick(60)
    assert admins.login("root", PASSWORD)[0].username == "root"


def test_an_address_that_tries_many_names_waits(admins: Admins) -> None:
    for number in range(11):
        with pytest.raises(LoginRefused):
            admins.login(f"user{number}", "wrong one here", ip="203.0.113.9")

    with pytest.raises(RateLimited):
        admins.login("root", PASSWORD, ip="203.0.113.9")
    assert admins.login("root", PASSWORD, ip="203.0.113.10")


def _guess(admins: Admins, times: int, **where: Any) -> None:
    for _ in range(times):
        with pytest.raises((LoginRefused, RateLimited)):
            admins.login("root", "wrong one here", **where)


def test_strangers_who_guess_from_elsewhere_do_not_keep_the_owner_out(admins: Admins) -> None:
    """A thousand addresses would do the same: each waits for its own failures (console-5)."""
    for number in range(40):
        _guess(admins, 6, ip=f"198.51.{number}.7")

    assert admins.login("root", PASSWORD, ip="203.0.113.10")


@pytest.mark.parametrize(
    ("guesser", "other"),
    [
        ("203.0.113.9", "203.0.113.10"),
        ("2001:db8:1::1", "2001:db8:1:ffff::1"),
        ("::ffff:203.0.113.9", "203.0.113.10"),
    ],
)
def test_failures_count_for_the_whole_network(admins: Admins, guesser: str, other: str) -> None:
    _guess(admins, 6, ip=guesser)

    with pytest.raises(RateLimited):
        admins.login("root", PASSWORD, ip=other)


def test_an_address_of_one_ipv6_machine_is_its_network(admins: Admins) -> None:
    for number in range(11):
        with pytest.raises(LoginRefused):
            admins.login(f"user{number}", "wrong one here", ip=f"2001:db8::{number}")

    with pytest.raises(RateLimited):
        admins.login("root", PASSWORD, ip="2001:db8::ff")


def test_a_browser_that_signed_in_before_waits_for_its_own_failures_only(admins: Admins) -> None:
    owner = admins.login("root", PASSWORD).admin
    where = {"ip": "203.0.113.9", "device": (owner.id, "browser")}
    _guess(admins, 20, ip="203.0.113.9")

    assert admins.login("root", PASSWORD, **where)
    with pytest.raises(RateLimited):
        admins.login("root", PASSWORD, ip="203.0.113.9", device=(owner.id + 1, "another's"))
    _guess(admins, 6, **where)
    with pytest.raises(RateLimited):
        admins.login("root", PASSWORD, **where)


def test_strangers_who_wait_for_the_hashing_are_few_of_each_network(store: Store) -> None:
    attempts = LoginAttempts(store, lambda: datetime.now(UTC))
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(attempts.turn("198.51.100.0/24", is_known=False))
        with pytest.raises(RateLimited), attempts.turn("198.51.100.0/24", is_known=False):
            pass
        with attempts.turn():  # beside them
            pass
    with attempts.turn("198.51.100.0/24", is_known=False):
        pass


def _while_hashing(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Make something happen between the check of a password and what follows from it."""
    check = passwords.verify

    def verify(stored: str, password: str) -> bool:
        right = check(stored, password)
        monkeypatch.setattr(passwords, "verify", check)
        meanwhile()
        return right

    monkeypatch.setattr(passwords, "verify", verify)


def test_the_old_password_does_not_get_in_beside_its_change(
    admins: Admins, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = admins.login("root", PASSWORD).admin
    monkeypatch.setattr(passwords, "needs_rehash", lambda _: True)  # nor comes back by a new hash
    _while_hashing(monkeypatch, lambda: admins.set_password(owner.id, "green lantern 8", CLI))

    with pytest.raises(LoginRefused):
        admins.login("root", PASSWORD)
    assert admins.sessions(owner.id) == []
    assert admins.login("root", "green lantern 8")


def test_an_account_disabled_meanwhile_does_not_get_in(
    admins: Admins, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = admins.accounts.create("second", PASSWORD, "owner", CLI, must_change=False)
    _while_hashing(monkeypatch, lambda: admins.accounts.update(second.id, {"enabled": False}, CLI))

    with pytest.raises(LoginRefused):
        admins.login("second", PASSWORD)


def test_a_password_changes_only_from_the_one_that_was_checked(
    admins: Admins, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = admins.login("root", PASSWORD).admin
    _while_hashing(monkeypatch, lambda: admins.set_password(owner.id, "green lantern 8", CLI))

    with pytest.raises(InvalidRequest, match="meanwhile"):
        admins.change_password(owner.id, PASSWORD, "yellow submarine 9", CLI)
    assert admins.login("root", "green lantern 8")


def test_a_first_password_is_chosen_once(admins: Admins) -> None:
    """Twenty browsers at once, all signed in with the first password."""
    first = admins.accounts.create("first", PASSWORD, "owner", CLI, must_change=True)
    chosen: list[str] = []

    def choose(number: int) -> None:
        password = f"chosen by browser {number}"
        with suppress(InvalidRequest):
            admins.choose_password(first.id, password, CLI)
            chosen.append(password)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(choose, range(20)))

    assert len(chosen) == 1
    assert admins.login("first", chosen[0])


def test_a_session_ends_when_it_is_not_used_for_a_day(admins: Admins, clock: FakeClock) -> None:
    secret = admins.login("root", PASSWORD).secret
    clock.tick(23 * 3600)
    used = admins.session(secret)
    clock.tick(23 * 3600)
    used_again = admins.session(secret)
    clock.tick(25 * 3600)

    assert used is not None
    assert used_again is not None
    assert admins.session(secret) is None


def test_a_disabled_account_is_out_at_once(admins: Admins) -> None:
    other = admins.accounts.create("second", PASSWORD, "viewer", CLI)
    secret = admins.login("second", PASSWORD).secret
    admins.accounts.update(other.id, {"enabled": False}, CLI)

    assert admins.session(secret) is None
    with pytest.raises(LoginRefused):
        admins.login("second", PASSWORD)


def test_the_last_owner_stays(admins: Admins) -> None:
    root = admins.accounts.all()[0]

    with pytest.raises(Forbidden):
        admins.accounts.delete(root.id, CLI)
    with pytest.raises(Forbidden):
        admins.accounts.update(root.id, {"role": "admin"}, CLI)
    assert admins.accounts.get(root.id).role == "owner"


def test_a_second_factor_is_asked_for_and_each_code_works_once(
    admins: Admins, clock: FakeClock
) -> None:
    root = admins.accounts.all()[0]
    secret, address = admins.two_factor.begin(root.id)
    assert address.startswith("otpauth://totp/")
    admins.two_factor.confirm(root.id, pyotp.TOTP(secret).at(clock.now()), CLI)
    clock.tick(30)
    code = pyotp.TOTP(secret).at(clock.now())

    with pytest.raises(CodeNeeded) as needed:
        admins.login("root", PASSWORD)
    pending = needed.value.secret
    with pytest.raises(LoginRefused):
        admins.finish_login(pending, "000000" if code != "000000" else "111111")
    entered, session, _ = admins.finish_login(pending, code)

    assert (entered.username, admins.session(pending)) == ("root", None)
    assert admins.session(session)
    with pytest.raises(LoginExpired):
        admins.finish_login(pending, pyotp.TOTP(secret).at(clock.now()))
    with pytest.raises(CodeNeeded) as needed:
        admins.login("root", PASSWORD)
    with pytest.raises(LoginRefused):
        admins.finish_login(needed.value.secret, code)
    assert [login.user_agent for login in admins.sessions(root.id)] == [""]


@pytest.mark.parametrize("change", ["time", "password", "disabled", "unknown"])
def test_the_second_step_is_for_a_login_that_still_holds(
    admins: Admins, clock: FakeClock, change: str
) -> None:
    second = admins.accounts.create("second", PASSWORD, "admin", CLI, must_change=False)
    secret, _ = admins.two_factor.begin(second.id)
    admins.two_factor.confirm(second.id, pyotp.TOTP(secret).at(clock.now()), CLI)
    with pytest.raises(CodeNeeded) as needed:
        admins.login("second", PASSWORD)
    pending = needed.value.secret
    clock.tick(300 if change == "time" else 30)
    if change == "password":
        admins.set_password(second.id, "green lantern 8", CLI)
    if change == "disabled":
        admins.accounts.update(second.id, {"enabled": False}, CLI)
    if change == "unknown":
        pending = "x" * 43

    with pytest.raises(LoginExpired):
        admins.finish_login(pending, pyotp.TOTP(secret).at(clock.now()))


def test_guessing_the_second_factor_is_slowed(admins: Admins, clock: FakeClock) -> None:
    root = admins.accounts.all()[0]
    secret, _ = admins.two_factor.begin(root.id)
    admins.two_factor.confirm(root.id, pyotp.TOTP(secret).at(clock.now()), CLI)
    with pytest.raises(CodeNeeded) as needed:
        admins.login("root", PASSWORD)
    for _ in range(6):
        with pytest.raises(LoginRefused):
            admins.finish_login(needed.value.secret, "abc")

    with pytest.raises(RateLimited):
        admins.finish_login(needed.value.secret, pyotp.TOTP(secret).at(clock.now()))


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "x" * 129,
        "password123",
        "P@ssw0rd123!",
        "1234567890",
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "qwertyuiop",
        "new.person",
    ],
)
def test_a_guessable_password_is_refused(admins: Admins, password: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        admins.accounts.create("new.person", password, "viewer", CLI)

    assert caught.value.param == "password"


def test_tokens_work_until_revoked_and_never_exceed_their_maker(
    admins: Admins, clock: FakeClock
) -> None:
    owner = Actor("admin", "root", admins.accounts.all()[0].id, "owner")
    token, secret = admins.tokens.issue("ci", "admin", owner, expires_at=clock.now() + timedelta(1))

    assert admins.tokens.find(secret).id == token.id
    with pytest.raises(Forbidden):
        admins.tokens.issue("more", "owner", Actor("admin", "x", 1, "admin"))
    clock.tick(86_400)
    with pytest.raises(Unauthenticated):
        admins.tokens.find(secret)
    token, secret = admins.tokens.issue("ci", "viewer", owner)
    admins.tokens.revoke(token.id, owner)
    with pytest.raises(Unauthenticated):
        admins.tokens.find(secret)


def test_no_secret_is_in_the_database_file_or_the_audit_log(
    admins: Admins, store: Store, tmp_path: Path
) -> None:
    session_secret = admins.login("root", PASSWORD).secret
    _, token_secret = admins.tokens.issue("ci", "admin", CLI)
    connection = sqlite3.connect(tmp_path / "gateway.db")
    content = "\n".join(connection.iterdump())
    connection.close()

    for secret in (PASSWORD, session_secret, token_secret):
        assert secret not in content
    assert {entry.action for entry in store.read(audit.page)} >= {"login", "token.create"}


def _failures(admins: Admins, store: Store) -> list[tuple[str, str, Any]]:
    entries = store.read(audit.page)
    return [
        (entry.action, entry.object_name, entry.after)
        for entry in reversed(entries)
        if entry.action.endswith("failed")
    ]


def test_failed_logins_are_recorded_and_told_at_the_next_good_one(
    admins: Admins, store: Store, clock: FakeClock
) -> None:
    for name in ("root", "Root", "hunter2hunter2"):
        with pytest.raises(LoginRefused):
            admins.login(name, "wrong one here", ip="203.0.113.9")
    entered = admins.login("root", PASSWORD)

    assert _failures(admins, store) == [
        ("login.failed", "root", {"attempts": 2, "addresses": ["203.0.113.9"]}),
        ("login.failed", "unknown user", {"attempts": 1, "addresses": ["203.0.113.9"]}),
    ]
    assert entered.failed_before == 2
    assert admins.login("root", PASSWORD).failed_before == 0


def test_who_guesses_cannot_fill_the_audit_log(
    admins: Admins, store: Store, clock: FakeClock
) -> None:
    for number in range(40):
        with pytest.raises(LoginRefused):
            admins.login(f"user{number}", "wrong one here", ip=f"203.0.{number}.9")
        clock.tick(1)
    clock.tick(60)
    with pytest.raises(LoginRefused):
        admins.login("user1", "wrong one here", ip="198.51.100.1")
    found = [after for _, _, after in _failures(admins, store)]

    assert [after["attempts"] for after in found] == [40, 1]
    assert [len(after["addresses"]) for after in found] == [10, 1]


def test_other_audit_entries_cannot_be_changed(admins: Admins, store: Store) -> None:
    def change(session: Session) -> None:
        session.execute(text("UPDATE audit SET action = 'x' WHERE action = 'admin.create'"))

    with pytest.raises(StoreUnavailable):
        store.write(change)


def _with_two_factor(admins: Admins, clock: FakeClock) -> tuple[int, str, tuple[str, ...]]:
    root = admins.accounts.all()[0]
    secret, _ = admins.two_factor.begin(root.id)
    codes = admins.two_factor.confirm(root.id, pyotp.TOTP(secret).at(clock.now()), CLI)
    return root.id, secret, codes


def _finish(admins: Admins, code: str) -> str:
    with pytest.raises(CodeNeeded) as needed:
        admins.login("root", PASSWORD, ip="203.0.113.9")
    return admins.finish_login(needed.value.secret, code, ip="203.0.113.9").secret


def test_a_wrong_second_factor_is_recorded(admins: Admins, store: Store, clock: FakeClock) -> None:
    _with_two_factor(admins, clock)
    with pytest.raises(LoginRefused):
        _finish(admins, "abc")

    assert _failures(admins, store) == [
        ("login.code_failed", "root", {"attempts": 1, "addresses": ["203.0.113.9"]})
    ]


def test_each_recovery_code_signs_in_once(admins: Admins, store: Store, clock: FakeClock) -> None:
    account_id, _, codes = _with_two_factor(admins, clock)
    secret = _finish(admins, codes[3].upper().replace("-", " "))
    with pytest.raises(LoginRefused):
        _finish(admins, codes[3])

    assert len(set(codes)) == 10
    assert admins.session(secret)
    assert admins.two_factor.codes_left(account_id) == 9
    used = [one for one in store.read(audit.page) if one.action == "recovery_codes.use"]
    assert [(one.actor_name, one.ip) for one in used] == [("root", "203.0.113.9")]


def test_recovery_codes_are_kept_as_digests(admins: Admins, clock: FakeClock, url: str) -> None:
    *_, codes = _with_two_factor(admins, clock)
    kept = b"".join(path.read_bytes() for path in Path(make_url(url).database).parent.iterdir())

    assert all(code.replace("-", "").encode() not in kept for code in codes)
    assert all(code.encode() not in kept for code in codes)


def test_new_recovery_codes_and_no_second_factor_end_those_before(
    admins: Admins, clock: FakeClock
) -> None:
    account_id, _, codes = _with_two_factor(admins, clock)
    again = admins.two_factor.new_codes(account_id, CLI)
    with pytest.raises(LoginRefused):
        _finish(admins, codes[0])
    assert _finish(admins, again[0])
    admins.two_factor.disable(account_id, CLI)

    assert admins.two_factor.codes_left(account_id) == 0
    with pytest.raises(InvalidRequest):
        admins.two_factor.new_codes(account_id, CLI)
