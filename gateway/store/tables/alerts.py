"""Tables of alerts: who is told, what is wrong now, what waits to be told, and what was sent."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from gateway.store.tables.base import NEVER_REUSED, Base, PrimaryKey


class AlertTargetRow(Base):
    """Who is told. `url` and `token` are secrets: no page, log, audit or export shows them."""

    __tablename__ = "alert_target"
    __table_args__ = NEVER_REUSED

    id: Mapped[PrimaryKey]
    name: Mapped[str] = mapped_column(String(120), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    url: Mapped[str] = mapped_column(default="")
    token: Mapped[str] = mapped_column(default="")
    username: Mapped[str] = mapped_column(String(256), default="")
    sender: Mapped[str] = mapped_column(String(256), default="")
    recipients: Mapped[list[str]] = mapped_column(default=list)
    rules: Mapped[list[str]] = mapped_column(default=list)
    language: Mapped[str] = mapped_column(String(8), default="en")
    quiet_s: Mapped[int]
    enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]


class AlertCauseRow(Base):
    """Something that may be wrong (`is_on`: it is), and when it was last seen to change. Whoever
    changes the row tells of it, and no other worker."""

    __tablename__ = "alert_cause"

    rule: Mapped[str] = mapped_column(String(16), primary_key=True)
    subject: Mapped[str] = mapped_column(String(160), primary_key=True)
    is_on: Mapped[bool]
    changed_at: Mapped[datetime]


class AlertPendingRow(Base):
    """What a target is to be told of one subject: how often it was (`count`, 0: nothing waits),
    the last words, and before when it is not told again. The subject "" paces the whole rule."""

    __tablename__ = "alert_pending"

    target_id: Mapped[int] = mapped_column(
        ForeignKey("alert_target.id", ondelete="CASCADE"), primary_key=True
    )
    rule: Mapped[str] = mapped_column(String(16), primary_key=True)
    subject: Mapped[str] = mapped_column(String(160), primary_key=True)
    count: Mapped[int]
    words: Mapped[str]
    next_at: Mapped[datetime]


class AlertLogRow(Base):
    """A message that was sent, or could not be: `outcome` says why in words."""

    __tablename__ = "alert_log"
    __table_args__ = (Index(None, "at", "id"),)

    id: Mapped[PrimaryKey]
    at: Mapped[datetime]
    rule: Mapped[str] = mapped_column(String(16))
    target: Mapped[str] = mapped_column(String(120))
    words: Mapped[str]
    count: Mapped[int]
    is_sent: Mapped[bool]
    outcome: Mapped[str]
