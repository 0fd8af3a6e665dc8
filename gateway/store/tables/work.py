"""Tables of the gateway's own working: settings, change marks, workers, commands, stored
responses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.store.tables.base import Base, JsonColumn, Name, RowId, Word


class SettingRow(Base):
    """A setting that differs from its default, under its name in `schemas.settings`."""

    __tablename__ = "setting"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(JsonColumn)
    updated_at: Mapped[datetime]
    updated_by: Mapped[Name]


class RevisionRow(Base):
    """How often a topic (keys, models, servers, settings, admins, commands) was changed.

    Raised in the transaction of the change: whoever sees a new number sees the change.
    """

    __tablename__ = "revision"

    topic: Mapped[str] = mapped_column(String(32), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]


class WorkerStateRow(Base):
    """A running worker: its heartbeat, and what it is doing right now."""

    __tablename__ = "worker_state"

    worker: Mapped[str] = mapped_column(String(64), primary_key=True)
    pid: Mapped[int]
    host: Mapped[Name]
    version: Mapped[str] = mapped_column(String(32), default="")
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime] = mapped_column(index=True)
    snapshot: Mapped[dict[str, Any]] = mapped_column(default=dict)


class CommandRow(Base):
    """An order for one worker, or for all ("" as `worker`): cancel a call, refresh a server."""

    __tablename__ = "command"

    id: Mapped[RowId]
    at: Mapped[datetime] = mapped_column(index=True)
    worker: Mapped[str] = mapped_column(String(64), default="")
    kind: Mapped[Word]
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)
    actor_name: Mapped[str] = mapped_column(String(256), default="")


class StoredResponseRow(Base):
    """A response of the Responses API that may be recalled by its key or one that replaced it:
    `key_id` is the first key of the rotations. `body` is the object as it was answered, without its
    `output`, which the items hold; `size` is in bytes, of both."""

    __tablename__ = "stored_response"
    __table_args__ = (Index("ix_stored_response_created_at_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(96), primary_key=True)
    key_id: Mapped[int] = mapped_column(BigInteger, index=True)
    previous_id: Mapped[str | None] = mapped_column(String(96))
    model: Mapped[Name]
    status: Mapped[Word]
    body: Mapped[dict[str, Any]]
    size: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None] = mapped_column(index=True)


class StoredItemRow(Base):
    """An input or output item of a stored response, in order. `kind` is input or output."""

    __tablename__ = "stored_item"
    __table_args__ = (
        Index("ix_stored_item_response_id_position", "response_id", "position", unique=True),
        Index("ix_stored_item_key_id_item_id", "key_id", "item_id"),
    )

    id: Mapped[RowId]
    response_id: Mapped[str] = mapped_column(ForeignKey("stored_response.id", ondelete="CASCADE"))
    key_id: Mapped[int] = mapped_column(BigInteger)
    item_id: Mapped[str] = mapped_column(String(96))
    kind: Mapped[str] = mapped_column(String(8))
    position: Mapped[int]
    body: Mapped[dict[str, Any]]


class NoticeRow(Base):
    """Something an admin should know (store full, Redis away, defaults in use), until it ends."""

    __tablename__ = "notice"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    level: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Text)
    since: Mapped[datetime]
    seen_at: Mapped[datetime]
