"""The settings in force, and the one way to change them.

`behaviour` is asked many times a request: it gives a frozen value that is rebuilt when the topic
`settings` changes. While the store is away the last value holds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from gateway.core.admin import Actor
from gateway.core.chat import Json
from gateway.errors import InvalidFields, InvalidRequest, Message
from gateway.runtime.database import Store, StoreUnavailable
from gateway.runtime.versions import ChangeVersions
from gateway.schemas import convert
from gateway.schemas.settings import DEFAULTS, RuntimeSettings
from gateway.store import audit, settings
from gateway.store.coordination import versions

log = logging.getLogger(__name__)


@dataclass(eq=False)
class SettingsCache:
    """Hands out the current settings."""

    store: Store
    versions: ChangeVersions
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _changes: int = 0
    _loaded: int = -1
    _behaviour: RuntimeSettings = field(default_factory=RuntimeSettings)

    def __post_init__(self) -> None:
        self.versions.on_change("settings", self._forget)

    def behaviour(self) -> RuntimeSettings:
        """Return the settings in force."""
        if self._loaded != self._changes:
            self._load()
        return self._behaviour

    def update(self, changes: Mapping[str, Json], actor: Actor) -> RuntimeSettings:
        """Change settings, all or none. Raises InvalidRequest naming the one that is wrong."""
        return self.change(changes, (), actor)

    def reset(self, names: Iterable[str], actor: Actor) -> RuntimeSettings:
        """Return settings their defaults again. Raises InvalidRequest for an unknown name."""
        return self.change({}, names, actor)

    def change(
        self, changes: Mapping[str, Json], back: Iterable[str], actor: Actor
    ) -> RuntimeSettings:
        """Change some settings and give others (`back`) their defaults again, all or none.

        Raises InvalidRequest naming the one that is wrong.
        """
        checked = convert.read(changes, RuntimeSettings)
        defaults = list(back)
        for name in defaults:
            if name not in DEFAULTS:
                raise InvalidFields([(name[:64], Message("is not known here"))])

        def write(session: Session) -> None:
            now = self.now()
            before = usable(settings.load(session))
            settings.save(session, checked)
            settings.reset(session, defaults)
            kept = {name: value for name, value in before.items() if name not in defaults}
            _record(session, actor, before, kept | checked, now)

        self.store.write(write)
        return self._again()

    def _again(self) -> RuntimeSettings:
        self.versions.look()
        self._forget()
        return self.behaviour()

    def _forget(self) -> None:
        self._changes += 1

    def _load(self) -> None:
        changes = self._changes
        try:
            self._behaviour = RuntimeSettings(**usable(self.store.read(settings.load)))
            self._loaded = changes
        except StoreUnavailable:
            log.warning("settings cannot be read; the last known ones hold")


def usable(stored: Mapping[str, Json]) -> dict[str, Json]:
    """Leave out what another version may have stored and this one would not accept."""
    good: dict[str, Json] = {}
    for name, value in stored.items():
        try:
            good |= convert.read({name: value}, RuntimeSettings)
        except InvalidRequest:
            log.warning("the stored setting %s is not usable and was left at its default", name)
    return good


def _record(
    session: Session,
    actor: Actor,
    before: Mapping[str, Json],
    after: Mapping[str, Json],
    now: datetime,
) -> None:
    old = asdict(RuntimeSettings(**before))
    new = asdict(RuntimeSettings(**after))
    audit.record(
        session, actor, "settings.update", "settings", "", "", now=now, before=old, after=new
    )
    versions.bump(session, "settings")
