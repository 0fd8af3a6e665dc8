"""Each thing is told once, by one worker of all, and again only after the quiet time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy

from gateway.alerts import alerts as alerting
from gateway.alerts import causes
from gateway.alerts.alerts import Alerts
from gateway.alerts.messages import Text
from gateway.alerts.sending import SENT, Outcome
from gateway.core.admin import SYSTEM
from gateway.core.periods import period_start
from gateway.errors import Message
from gateway.management.alert_targets import AlertTargets
from gateway.management.keys import Keys
from gateway.runtime.database import Store
from gateway.runtime.tasks import spawn
from gateway.runtime.versions import ChangeVersions
from gateway.schemas.alert import RULES, AlertTarget
from gateway.schemas.server import Server, ServerStatus, ServerView
from gateway.schemas.settings import RuntimeSettings
from gateway.store import alerts as stored
from gateway.store.database.engine import Database
from gateway.store.tables import KeyCounterRow, RequestLogRow
from gateway.web.words import in_language
from tests.services.conftest import FakeClock

HOOK = {"name": "ops", "url": "https://hooks.example.org/secret", "quiet_s": 3_600}


@dataclass
class Site:
    """Workers on one store; `sent` is what left, as (target, text)."""

    store: Store
    url: str
    clock: FakeClock
    folder: Path
    views: list[ServerView] = field(default_factory=list)
    sent: list[tuple[AlertTarget, Text]] = field(default_factory=list)
    databases: list[Database] = field(default_factory=list)

    def worker(self) -> Alerts:
        """Return the alerts of another worker, with connections of its own."""
        database = Database.open(self.url)
        self.databases.append(database)
        store = Store(database)
        return Alerts(
            store,
            ChangeVersions(store, self.clock.seconds),
            RuntimeSettings,
            lambda: self.views,
            self.folder,
            in_language,
            now=self.clock.now,
            send=self._send,
        )

    def target(self, **more: Any) -> AlertTarget:
        """Add a target."""
        return AlertTargets(self.store, self.clock.now).create({**HOOK, **more}, SYSTEM)

    def look(self, worker: Alerts, seconds: float = alerting.LOOK_S) -> list[Text]:
        """Let time pass and a worker look; return what left meanwhile."""
        before = len(self.sent)
        self.clock.tick(seconds)
        for task in worker.look():
            assert task.wait(5)
        return [text for _, text in self.sent[before:]]

    def _send(self, target: AlertTarget, text: Text) -> Outcome:
        self.sent.append((target, text))
        return SENT


@pytest.fixture
def site(any_url: str, any_store: Store, clock: FakeClock, tmp_path: Path) -> Iterator[Site]:
    """Workers on each kind of database."""
    made = Site(any_store, any_url, clock, tmp_path)
    yield made
    for database in made.databases:
        database.close()


def server(site: Site, state: ServerStatus, number: int = 1) -> ServerView:
    """Return a server as it was seen just now."""
    named = Server(number, f"gpu-{number}", f"http://gpu-{number}:11434")
    reason = Message("It refuses the connection.")
    return ServerView(named, state=state, reason=reason, checked_at=site.clock.now())


def titles(texts: Sequence[Text]) -> list[str]:
    return [text.title for text in texts]


def test_a_server_is_told_down_and_back_once(site: Site) -> None:
    site.target()
    one, other = site.worker(), site.worker()
    site.views = [server(site, "ready")]
    at_first = site.look(one)
    site.views = [server(site, "down")]
    down = site.look(one) + site.look(other) + site.look(one)
    site.clock.tick(60)
    site.views = [server(site, "ready")]
    back = site.look(other) + site.look(one)

    assert at_first == []
    assert titles(down) == ["Ollama server down"]
    assert down[0].lines[0].endswith("UTC: gpu-1 is down: It refuses the connection.")
    assert titles(back) == ["Ollama server back"]
    log = site.store.read(stored.page)
    assert [(one.rule, one.target, one.count, one.outcome) for one in log] == [
        ("server_back", "ops", 1, "Sent."),
        ("server_down", "ops", 1, "Sent."),
    ]


def test_what_another_worker_saw_before_is_not_news(site: Site) -> None:
    site.target()
    one, other = site.worker(), site.worker()
    old = [server(site, "ready")]
    site.clock.tick(5)
    site.views = [server(site, "down")]
    first = site.look(one)
    site.views = old
    second = site.look(other)

    assert (titles(first), second) == (["Ollama server down"], [])


def test_a_server_that_comes_and_goes_is_told_after_the_quiet_time(site: Site) -> None:
    site.target(rules=["server_down"])
    worker = site.worker()
    sent = []
    for _ in range(20):
        site.clock.tick(60)
        site.views = [server(site, "down")]
        sent += site.look(worker)
        site.clock.tick(60)
        site.views = [server(site, "ready")]
        sent += site.look(worker)
    site.clock.tick(3_600)
    sent += site.look(worker)

    assert [text.count for text in sent] == [1, 19]
    assert sent[1].lines[0].endswith("(19 times)")


def test_a_server_that_was_not_asked_yet_or_drains_changes_nothing(site: Site) -> None:
    site.target()
    worker = site.worker()
    site.views = [server(site, "down")]
    site.look(worker)
    sent = []
    for view in (
        replace(site.views[0], state="unknown", checked_at=None),
        server(site, "draining"),
    ):
        site.views = [view]
        sent += site.look(worker)
    site.clock.tick(60)
    site.views = [server(site, "down")]
    sent += site.look(worker)

    assert sent == []


def test_ten_thousand_causes_make_one_message_a_minute(site: Site) -> None:
    site.target()
    worker = site.worker()
    for number in range(10_000):
        worker.note("backup", f"backup {number % 2_000}", Message("It failed."))
    sent = site.look(worker)
    for number in range(10_000):
        worker.note("backup", f"other {number % 500}", Message("It failed."))
    within_the_minute = [text for _ in range(10) for text in site.look(worker)]
    later = site.look(worker, 60)

    assert [text.count for text in sent] == [5_000]
    assert sent[0].lines[10] == "And 990 more."
    assert within_the_minute == []
    assert [text.count for text in later] == [10_000]


def test_many_servers_make_one_message(site: Site) -> None:
    site.target()
    worker = site.worker()
    site.views = [server(site, "down", number) for number in range(1, 601)]
    sent = site.look(worker)
    more = [text for _ in range(5) for text in site.look(worker)]
    later = site.look(worker, 60)

    assert titles(sent) == ["Ollama server down (500)"]
    assert more == []
    assert [text.count for text in later] == [100]


def test_each_target_gets_its_rules_in_its_language(site: Site) -> None:
    site.target(name="a", rules=["backup"], language="zh")
    site.target(name="b", rules=["server_down"])
    site.target(name="c", rules=["backup"], enabled=False)
    worker = site.worker()
    worker.note("backup", "backup", Message("The scheduled backup failed: %(reason)s", reason="no"))
    site.look(worker)

    assert [(target.name, text.title) for target, text in site.sent] == [("a", "备份失败")]
    assert site.sent[0][1].lines[0].endswith("定时备份失败：no")


def test_budgets_and_keys_that_expire_are_told(site: Site) -> None:
    site.target(rules=["budget", "key_expiry"])
    keys, clock = Keys(site.store, ChangeVersions(site.store), now=site.clock.now), site.clock
    budget = {"metric": "tokens", "period": "day", "limit": 1_000}
    key, _ = keys.issue({"name": "laptop", "budgets": [budget]}, SYSTEM)
    ends = clock.now() + timedelta(days=8)
    keys.issue({"name": "guest", "expires_at": ends.isoformat()}, SYSTEM)
    keys.issue(
        {"name": "short", "expires_at": (clock.now() + timedelta(hours=8)).isoformat()}, SYSTEM
    )
    worker = site.worker()

    def use(tokens: int) -> list[Text]:
        start = period_start("day", clock.now(), "UTC")
        row = KeyCounterRow(
            key_id=key.id, metric="tokens", period="day", start=start, used=tokens, reserved=0
        )
        site.store.write(lambda session: session.merge(row) and None)
        return site.look(worker, 61)

    said = [[text.lines[0][22:] for text in use(tokens)] for tokens in (799, 800, 900, 1_000)]
    week, day = site.look(worker, 86_400), site.look(worker, 6 * 86_400)

    assert said == [
        [],
        ["The key “laptop” has used over 80 % of its budget: 800 of 1,000 tokens a day."],
        [],
        ["The key “laptop” has used its budget: 1,000 of 1,000 tokens a day."],
    ]
    expires = f"The key “guest” expires at {ends:%Y-%m-%d %H:%M} UTC."
    assert [[text.lines[0][22:] for text in one] for one in (week, day)] == [[expires], [expires]]


@pytest.mark.parametrize(("failed", "calls", "told"), [(4, 19, 0), (4, 20, 0), (5, 20, 1)])
def test_the_share_of_errors_is_told(site: Site, failed: int, calls: int, told: int) -> None:
    site.target(rules=["error_rate"])
    worker = site.worker()
    at = site.clock.now()
    names = ("key_name", "endpoint", "model", "requested_model", "client_ip", "client_app")

    def call(number: int) -> RequestLogRow:
        status = 500 if number < failed else 499 if number == failed else 200
        return RequestLogRow(
            request_id=f"r{number}", created_at=at, settled_at=at, status=status, streamed=False,
            end_user="", worker="", has_tools=False, has_images=False, **dict.fromkeys(names, ""),
        )  # fmt: skip

    site.store.write(lambda session: session.add_all(map(call, range(calls))))
    sent = site.look(worker) + site.look(worker)

    assert [text.lines[0][22:] for text in sent] == [
        f"{failed} of the last {calls} requests failed."
    ] * told


def test_a_disk_nearly_full_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(total=100e9, free=9e9)
    monkeypatch.setattr(causes.shutil, "disk_usage", lambda folder: usage)
    site.target(rules=["disk"])
    worker = site.worker()
    sent = site.look(worker) + site.look(worker)

    assert titles(sent) == ["Disk nearly full"]
    assert "9.0 GB of 100.0 GB are free" in sent[0].lines[0]


def test_a_failure_is_logged_and_not_repeated(site: Site) -> None:
    site.target()
    worker = site.worker()
    worker.send = lambda target, text: Outcome(False, Message("It refuses the connection."))
    worker.note("backup", "backup", Message("It failed."))
    for _ in range(3):
        site.look(worker, 61)

    log = site.store.read(stored.page)
    assert [(one.is_sent, one.outcome) for one in log] == [(False, "It refuses the connection.")]


def test_a_removed_target_gets_nothing_and_its_log_stays(site: Site) -> None:
    target = site.target()
    worker = site.worker()
    worker.note("backup", "backup", Message("It failed."))
    site.look(worker)
    worker.note("backup", "backup", Message("It failed."))
    site.look(worker)
    AlertTargets(site.store).delete(target.id, SYSTEM)
    later = site.look(worker, 7_200)

    assert (later, len(site.store.read(stored.page))) == ([], 1)


def test_of_workers_that_look_at_once_one_tells(site: Site) -> None:
    site.target(rules=["disk"])
    pool = [site.worker() for _ in range(8)]
    at = site.clock.now()

    def turn(worker: Alerts) -> tuple[bool, int]:
        targets = worker.targets()
        is_new = worker.store.write(stored.turn, "disk", "here", is_on=True, at=at)
        if is_new:
            told = [stored.Told(targets[0], "disk", "here", "It is full.")]
            worker.store.write(stored.add, told)
        by_id = {one.id: one for one in targets}
        return is_new, len(worker.store.write(stored.take_due, by_id, at))

    tasks = [spawn(turn, worker) for worker in pool]
    assert all(task.wait(30) for task in tasks)
    results = [task.result() for task in tasks]

    assert sum(is_new for is_new, _ in results) == 1
    assert sum(count for _, count in results) <= 1


def test_without_a_target_nothing_is_asked(site: Site) -> None:
    worker = site.worker()
    worker.versions.look()
    asked: list[str] = []
    engine = worker.store.database.engine
    sqlalchemy.event.listen(
        engine, "before_cursor_execute", lambda c, cur, statement, *more: asked.append(statement)
    )
    for _ in range(5):
        worker.note("backup", "backup", Message("It failed."))
        site.look(worker)

    assert [one for one in asked if "change_version" not in one] == []
    assert worker._noted == {}


def test_old_entries_go(site: Site) -> None:
    site.target(rules=list(RULES))
    worker = site.worker()
    worker.note("backup", "backup", Message("It failed."))
    site.look(worker)
    later = site.clock.now() + timedelta(days=1)

    assert site.store.write(stored.prune, later, 10) == 1
    site.store.write(stored.tidy, later)
    assert site.store.read(stored.page) == []
