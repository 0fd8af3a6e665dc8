"""Sends alerts about what is wrong, once for all workers.

    look   every LOOK_S seconds, by one worker of all: what was seen is compared with the store
           (`alert_cause`), what changed is counted for each target (`alert_pending`), and what is
           due is sent, each message in a task of its own
    note   what happened once, such as a failed backup, from anywhere: it waits in memory for the
           next look, counted, so that any number of them costs nothing

A thing is told when it begins, and again when it begins anew and the quiet time of the target has
passed, with how often it was meanwhile. To one target goes at most one message a minute about one
rule. What a message came to stands in `alert_log`; one that failed is not repeated. Without a
target nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from gateway.alerts import causes, sending
from gateway.alerts.causes import Seen
from gateway.alerts.messages import Translate, line, text_of
from gateway.alerts.sending import Outcome
from gateway.errors import Message
from gateway.runtime import tasks
from gateway.runtime.database import Store
from gateway.runtime.versions import ChangeVersions
from gateway.schemas.alert import AlertRule, AlertTarget
from gateway.schemas.server import ServerView
from gateway.schemas.settings import RuntimeSettings
from gateway.store import alert_targets
from gateway.store import alerts as stored
from gateway.store.alerts import Told
from gateway.store.coordination import workers

LOOK_S: Final = 3.0
MOST_CHANGES: Final = 500
"""Changes that are noted in one look; the others follow with the next ones."""
MOST_NOTED: Final = 1_000
"""Different things that may wait in memory."""
_JOB: Final = "alerts"


@dataclass(eq=False)
class Alerts:
    """Looks for what is wrong, and sends alerts."""

    store: Store
    versions: ChangeVersions
    behaviour: Callable[[], RuntimeSettings]
    views: Callable[[], Iterable[ServerView]]
    folder: Path
    translate: Translate
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    send: Callable[..., Outcome] = sending.send
    _targets: tuple[AlertTarget, ...] = ()
    _loaded: int = 0
    _noted: dict[tuple[AlertRule, str], tuple[Message, datetime, int]] = field(default_factory=dict)

    def note(self, rule: AlertRule, subject: str, words: Message) -> None:
        """Note that something happened. Never waits, never raises."""
        known = self._noted.get((rule, subject))
        if known is not None or len(self._noted) < MOST_NOTED:
            count = 1 if known is None else known[2] + 1
            self._noted[rule, subject] = words, self.now(), count

    def look(self) -> list[tasks.Task[Outcome]]:
        """Record and send what is new; return the messages under way. Raises StoreUnavailable."""
        targets = self.targets()
        noted, self._noted = self._noted, {}
        if not targets:
            return []
        if noted:
            told = [
                one
                for (rule, subject), (words, at, count) in noted.items()
                for one in self._told(targets, rule, subject, words, at, count)
            ]
            self.store.write(stored.add, told)
        now, period = self.now(), timedelta(seconds=LOOK_S)
        if self.store.read(workers.is_job_due, _JOB, now, period) and self.store.write(
            workers.take_job, _JOB, now, period
        ):
            self._compare(targets, now)
            return self._send_due(targets, now)
        return []

    def targets(self) -> tuple[AlertTarget, ...]:
        """Return the targets that are enabled; nothing is asked while there never was one."""
        number = self.versions.of("alerts")
        if number != self._loaded:
            found = self.store.read(alert_targets.all_targets)
            self._targets = tuple(one for one in found if one.enabled and one.rules)
            self._loaded = number
        return self._targets

    def attempt(self, target: AlertTarget) -> Outcome:
        """Send a test to a target, enabled or not, and log it. Waits for it, 5 seconds at most."""
        words = self.translate(target.language, Message("This is a test."))
        return self._deliver([Told(target, "test", "", line(words, self.now()))])

    def _compare(self, targets: Sequence[AlertTarget], now: datetime) -> None:
        wanted = frozenset(rule for target in targets for rule in target.rules)
        seen = list(
            causes.seen(wanted, self.store, self.views(), self.behaviour(), self.folder, now)
        )
        known = self.store.read(stored.active)
        changes = [
            one
            for one in seen
            if one.is_on is not None and one.is_on != ((one.cause, one.subject) in known)
        ]
        gone = known - {(one.cause, one.subject) for one in seen}
        changes += [
            Seen(cause, subject, False, now)
            for cause, subject in gone
            if cause in wanted and cause != "disk"  # of another machine
        ]
        if changes:
            self.store.write(self._record, targets, changes[:MOST_CHANGES])

    def _record(
        self, session: Session, targets: Sequence[AlertTarget], changes: Sequence[Seen]
    ) -> None:
        told: list[Told] = []
        for one in changes:
            is_new = stored.turn(session, one.cause, one.subject, is_on=bool(one.is_on), at=one.at)
            if is_new and one.tells and one.words:
                told += self._told(targets, one.tells, one.subject, one.words, one.at)
        stored.add(session, told)

    def _told(
        self,
        targets: Sequence[AlertTarget],
        rule: AlertRule,
        subject: str,
        words: Message,
        at: datetime,
        count: int = 1,
    ) -> list[Told]:
        return [
            Told(one, rule, subject, line(self.translate(one.language, words), at), count)
            for one in targets
            if rule in one.rules
        ]

    def _send_due(self, targets: Sequence[AlertTarget], now: datetime) -> list[tasks.Task[Outcome]]:
        if not self.store.read(stored.is_due, now):
            return []
        by_id = {one.id: one for one in targets}
        due = self.store.write(stored.take_due, by_id, now)
        messages = groupby(due, lambda one: (one.target.id, one.rule))
        return [tasks.spawn(self._deliver, list(told)) for _, told in messages]

    def _deliver(self, told: Sequence[Told]) -> Outcome:
        """Send one message and log what came of it."""
        now = self.now()
        target = told[0].target
        text = text_of(told, self.behaviour().public_url, self.translate, now)
        outcome = self.send(target, text)
        words = "\n".join(text.lines)
        try:
            self.store.write(
                stored.log, now, text.rule, target.name, words, text.count,
                is_sent=outcome.is_sent, outcome=outcome.words,
            )  # fmt: skip
        except Exception as error:  # it was sent; the log of it is lost
            tasks.note_failure("logging an alert", error)
        return outcome
