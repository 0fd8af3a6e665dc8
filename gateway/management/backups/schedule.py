"""Backups of SQLite on a schedule: made by one worker of all, tried by restoring, old ones deleted.

They stand in the folder `backups` of the data folder, where another disk can be mounted. Which are
there is read from the folder; what happened stands in the audit log. PostgreSQL has `pg_dump`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.config import Settings
from gateway.core.admin import SYSTEM, AuditAction
from gateway.errors import Message
from gateway.management.backups import copies
from gateway.runtime.database import Store
from gateway.runtime.tasks import run_blocking
from gateway.schemas.settings import RuntimeSettings
from gateway.store import audit
from gateway.store.coordination import workers

log = logging.getLogger(__name__)

FOLDER = "backups"
MADE: Final = "backup.made"
FAILED: Final = "backup.failed"
_JOB = "backup"
_RETRY = timedelta(hours=1)
"""How soon one that failed is tried again."""
_NAME = re.compile(r"gateway-\d{8}-\d{6}\.db")


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup in the folder; `bytes` is its size."""

    name: str
    made_at: datetime
    bytes: int


@dataclass(eq=False)
class ScheduledBackups:
    """Makes backups as the settings say, and deletes those that are too many."""

    store: Store
    config: Settings
    behaviour: Callable[[], RuntimeSettings]
    on_failure: Callable[[Message], object] = lambda words: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def folder(self) -> Path:
        """Where they stand."""
        return self.config.data_dir / FOLDER

    def look(self) -> None:
        """Make one, if that is due and no other worker does it."""
        period = timedelta(hours=self.behaviour().backup_every_h)
        if not period or not self.config.uses_sqlite:
            return
        now, found = self.now(), self.kept()
        if found and found[0].made_at > now - period:
            return
        if self.store.read(workers.is_job_due, _JOB, now, _RETRY) and self.store.write(
            workers.take_job, _JOB, now, _RETRY
        ):
            self.make()

    def make(self) -> Kept | None:
        """Make a backup now and delete what is too much; None when it failed, which is logged,
        written into the audit log, and told to `on_failure`."""
        try:
            path = run_blocking(self._make)
        except copies.BackupError as error:
            log.error("the scheduled backup failed: %s", error)
            self._record(FAILED, "", {"reason": str(error)})
            self.on_failure(Message("The scheduled backup failed: %(reason)s", reason=str(error)))
            return None
        made = _kept(path)
        self._record(MADE, made.name, {"bytes": made.bytes})
        for old in self.kept()[self.behaviour().backup_keep :]:
            (self.folder / old.name).unlink(missing_ok=True)
        log.info("backup %s was made", path)
        return made

    def kept(self) -> list[Kept]:
        """Return what is in the folder, the newest first."""
        if not self.folder.is_dir():
            return []
        paths = [path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(map(_kept, paths), key=lambda one: one.name, reverse=True)

    def find(self, name: str) -> Path | None:
        """Return the file of a backup in the folder, None when there is none of this name."""
        path = self.folder / name
        return path if _NAME.fullmatch(name) and path.is_file() else None

    def _make(self) -> Path:
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as exc:
            raise copies.BackupError(f"{self.folder} cannot be made: {exc.strerror}") from exc
        path = copies.make(self.config, self.folder / self.now().strftime(copies.NAME))
        try:
            copies.try_restore(path)
        except copies.BackupError:
            path.unlink()
            raise
        return path

    def _record(self, action: AuditAction, name: str, after: dict[str, object]) -> None:
        self.store.write(
            lambda session: audit.record(
                session, SYSTEM, action, "backup", "", name, now=self.now(), after=after
            )
        )


def _kept(path: Path) -> Kept:
    made_at = datetime.strptime(path.name, copies.NAME).replace(tzinfo=UTC)
    return Kept(path.name, made_at, path.stat().st_size)
