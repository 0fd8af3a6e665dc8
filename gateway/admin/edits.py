"""Two people who change one thing: the second is shown what the first changed, before he saves.

A form holds the number of the last audit entry of what it changes. When there is a later one at
sending, nothing is saved: the form returns with what was typed and who changed what meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flask_babel import format_datetime
from flask_wtf import FlaskForm
from wtforms import HiddenField

from gateway.admin.audit.changes import changes_of
from gateway.admin.audit.words import user
from gateway.core.admin import AuditEntry, AuditKind
from gateway.store import audit
from gateway.web.context import services
from gateway.web.words import _, _l

_LOOKED_AT = 20


class EditForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF ships no types
    """A form that changes what somebody else may change as well."""

    version = HiddenField(_l("Changed meanwhile"))


@dataclass(frozen=True, slots=True)
class Edited:
    """What a form changes: an object of the audit log, and the names of its fields in the form; ()
    stands for all."""

    kind: AuditKind
    id: int | str
    fields: tuple[str, ...] = ()

    def newest(self) -> int:
        """Return the number of its last audit entry, 0 where it has none."""
        entries = self._entries(1)
        return entries[0].id if entries else 0

    def since(self, version: int) -> list[str]:
        """Return what others changed after the entry with this number, the first change first."""
        later = [entry for entry in self._entries(_LOOKED_AT) if entry.id > version]
        return [words for entry in reversed(later) for words in self._told(entry)]

    def _entries(self, limit: int) -> list[AuditEntry]:
        return services().store.read(
            audit.page, object_kind=self.kind, object_id=str(self.id), limit=limit
        )

    def _told(self, entry: AuditEntry) -> Iterator[str]:
        changes = [
            f"{change.title}: {change.old or _('none')} → {change.new or _('none')}"
            for change in changes_of(entry, self.fields)
        ]
        if changes:
            yield _(
                "%(user)s changed this at %(time)s: %(changes)s. Saving again overrules it.",
                user=user(entry),
                time=format_datetime(entry.at, "HH:mm"),
                changes="; ".join(changes),
            )


def is_changed_meanwhile(form: EditForm, edited: Edited) -> bool:
    """Return whether what a form changes was changed after the form was opened, and say so in the
    form; also give a form that is opened its version."""
    if not form.is_submitted():
        form.version.data = str(edited.newest())
        return False
    known = form.version.data or ""
    if not (known.isascii() and known.isdigit() and len(known) < 19):
        return False
    told = edited.since(int(known))
    if told:
        form.version.data = str(edited.newest())
        form.version.errors = told
    return bool(told)
