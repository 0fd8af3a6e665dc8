"""Tables of the gateway's own working: settings, versions, workers, jobs, stored responses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from gateway.store.tables.base import Base, JsonColumn, Name, PrimaryKey, ShortText


class SettingRow(Base):
    """A setting that differs from its default, under its name in `schemas.settings`."""

    __tablename__ = "setting"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(JsonColumn)


class ChangeVersionRow(Base):
    """How often a topic (keys, models, servers, settings, admins, commands, alerts) was changed.

    Raised in the transaction of the change: whoever sees a new number sees the change.
    """

    __tablename__ = "change_version"

    topic: Mapped[str] = mapped_column(String(32), primary_key=True)
    version: Mapped[int]


class JobLockRow(Base):
    """When a periodic job, which one worker does for all, was last taken."""

    __tablename__ = "job_lock"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    taken_at: Mapped[datetime]


class WorkerRow(Base):
    """A running worker: its heartbeat, and what it is doing right now."""

    __tablename__ = "worker"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime] = mapped_column(index=True)
    snapshot: Mapped[dict[str, Any]] = mapped_column(default=dict)


class CommandRow(Base):
    """A command for one worker, or for all ("" as `worker`): cancel a call, refresh a server."""

    __tablename__ = "command"

    id: Mapped[PrimaryKey]
    created_at: Mapped[datetime] = mapped_column(index=True)
    worker: Mapped[str] = mapped_column(String(64), default="")
    kind: Mapped[ShortText]
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)


class JobRow(Base):
    """A model being pulled or loaded by a server on our order; survives the page and the worker.

    `kind` is pull, load or pin; `state` is queued, running, done, failed or cancelled; `layers`
    maps digest to [completed, total] bytes; a pull of more than `max_bytes` is ended, 0 is any.
    """

    __tablename__ = "job"

    id: Mapped[PrimaryKey]
    kind: Mapped[ShortText]
    server_id: Mapped[int] = mapped_column(ForeignKey("server.id", ondelete="CASCADE"), index=True)
    model: Mapped[Name]
    state: Mapped[ShortText] = mapped_column(index=True)
    status: Mapped[str] = mapped_column(default="")
    completed_bytes: Mapped[int] = mapped_column(default=0)
    total_bytes: Mapped[int] = mapped_column(default=0)
    max_bytes: Mapped[int] = mapped_column(default=0)
    layers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str] = mapped_column(default="")
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    actor_name: Mapped[Name]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    worker: Mapped[str] = mapped_column(String(64), default="")


class ResponseRow(Base):
    """A response of the Responses API that may be recalled by its key or one that replaced it:
    `key_id` is the first key of the rotations. `body` is the object as it was answered, without its
    `output`, which the items hold; `size_bytes` counts both."""

    __tablename__ = "response"
    __table_args__ = (Index(None, "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(96), primary_key=True)
    key_id: Mapped[int] = mapped_column(index=True)
    previous_id: Mapped[str | None] = mapped_column(String(96))
    body: Mapped[dict[str, Any]]
    size_bytes: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None] = mapped_column(index=True)


class ResponseItemRow(Base):
    """An input or output item of a stored response, in order. `kind` is input or output."""

    __tablename__ = "response_item"
    __table_args__ = (
        Index(None, "response_id", "position", unique=True),
        Index(None, "key_id", "item_id"),
    )

    id: Mapped[PrimaryKey]
    response_id: Mapped[str] = mapped_column(ForeignKey("response.id", ondelete="CASCADE"))
    key_id: Mapped[int]
    item_id: Mapped[str] = mapped_column(String(96))
    kind: Mapped[str] = mapped_column(String(8))
    position: Mapped[int]
    body: Mapped[dict[str, Any]]
