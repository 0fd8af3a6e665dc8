"""Tables of what was called and what it came to: one row a call, rollups, optional bodies.

A row is written in two phases: admitted (`settled_at` is NULL), then settled. Rollups change in
the transaction that settles, so that they always equal the sum of settled rows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.store.tables.base import Base, Name, PrimaryKey, ShortText


class RequestLogRow(Base):
    """One call. Beside the ids stand the names of that day: history outlives what it speaks of.

    `counted` tells whether it took one unit of a request budget (refused and failed calls do
    not). Times are milliseconds from admission.
    """

    __tablename__ = "request_log"
    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "key_id", "created_at", "id"),
        Index(None, "model_id", "created_at", "id"),
        Index(None, "server_id", "created_at", "id"),
        Index(None, "status", "created_at", "id"),
        Index(
            "ix_request_log_unsettled",
            "worker",
            # PostgreSQL's are partial too, by the migration; to name it here loads its dialect
            sqlite_where=text("settled_at IS NULL"),
        ),
        Index("ix_request_log_loads", "created_at", sqlite_where=text("load_reason != ''")),
        Index("ix_request_log_cut", "created_at", sqlite_where=text("cut")),
    )

    id: Mapped[PrimaryKey]
    request_id: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    key_id: Mapped[int | None]
    key_name: Mapped[Name]
    endpoint: Mapped[ShortText]
    model_id: Mapped[int | None]
    model: Mapped[Name]
    requested_model: Mapped[Name]
    streamed: Mapped[bool]
    client_ip: Mapped[ShortText]
    client_app: Mapped[ShortText]
    end_user: Mapped[ShortText]
    worker: Mapped[ShortText]
    has_tools: Mapped[bool]
    has_images: Mapped[bool]

    settled_at: Mapped[datetime | None]
    counted: Mapped[bool] = mapped_column(default=False)
    status: Mapped[int] = mapped_column(default=0)
    finish: Mapped[str] = mapped_column(String(32), default="")
    error_code: Mapped[str] = mapped_column(String(64), default="")
    error_message: Mapped[str] = mapped_column(default="")
    server_id: Mapped[int | None]
    server_name: Mapped[str] = mapped_column(String(128), default="")
    route_reason: Mapped[str] = mapped_column(String(64), default="")
    prompt_tokens: Mapped[int] = mapped_column(default=0)
    completion_tokens: Mapped[int] = mapped_column(default=0)
    reasoning_tokens: Mapped[int] = mapped_column(default=0)
    cached_tokens: Mapped[int] = mapped_column(default=0)
    estimated: Mapped[bool] = mapped_column(default=False)
    queue_ms: Mapped[float | None]
    first_token_ms: Mapped[float | None]
    first_answer_ms: Mapped[float | None]
    duration_ms: Mapped[float] = mapped_column(default=0.0)
    ollama_load_ms: Mapped[float | None]
    ollama_prompt_ms: Mapped[float | None]
    ollama_eval_ms: Mapped[float | None]
    upstream_calls: Mapped[int] = mapped_column(default=0)
    context_tokens: Mapped[int] = mapped_column(default=0)
    load_reason: Mapped[str] = mapped_column(String(16), default="")
    cut: Mapped[bool] = mapped_column(default=False)
    had_thinking: Mapped[bool] = mapped_column(default=False)
    explain: Mapped[dict[str, Any]] = mapped_column(default=dict)


class RequestLogBodyRow(Base):
    """What was asked, what went to Ollama in the last try, and the answer, of a call whose key
    keeps them; its retention is its own."""

    __tablename__ = "request_log_body"

    request_log_id: Mapped[int] = mapped_column(
        ForeignKey("request_log.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    created_at: Mapped[datetime] = mapped_column(index=True)
    request_body: Mapped[str | None]
    upstream_body: Mapped[str | None]
    thinking_body: Mapped[str | None]
    response_body: Mapped[str | None]


_CLUSTERED = {"sqlite_with_rowid": False}
"""Rows lie in the order of their key: a range of time is read in one go."""


class _Sums:
    """Sums over settled calls; `errors` are those that failed. `histograms` is JSON text: metric to
    bucket to count (`core/histogram`), merged by addition."""

    requests: Mapped[int] = mapped_column(default=0)
    errors: Mapped[int] = mapped_column(default=0)
    streamed: Mapped[int] = mapped_column(default=0)
    prompt_tokens: Mapped[int] = mapped_column(default=0)
    completion_tokens: Mapped[int] = mapped_column(default=0)
    reasoning_tokens: Mapped[int] = mapped_column(default=0)
    cached_tokens: Mapped[int] = mapped_column(default=0)
    duration_ms: Mapped[float] = mapped_column(default=0.0)
    queue_ms: Mapped[float] = mapped_column(default=0.0)
    ollama_load_ms: Mapped[float] = mapped_column(default=0.0)
    ollama_prompt_ms: Mapped[float] = mapped_column(default=0.0)
    ollama_eval_ms: Mapped[float] = mapped_column(default=0.0)
    timed_tokens: Mapped[int] = mapped_column(default=0)
    histograms: Mapped[str] = mapped_column(default="{}")


class _Rollup(_Sums):
    """Sums of one time step and one combination of properties. Absent ids are 0; `outcome` is
    ok, failed or cancelled (`core.usage.Outcome`)."""

    start: Mapped[datetime] = mapped_column(primary_key=True)
    key_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    model_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    server_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    endpoint: Mapped[str] = mapped_column(String(64), primary_key=True)
    status: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    client_app: Mapped[str] = mapped_column(String(64), primary_key=True)
    outcome: Mapped[str] = mapped_column(String(16), primary_key=True)


class UsageHourRow(_Rollup, Base):
    """Sums per UTC hour."""

    __tablename__ = "usage_hour"
    __table_args__ = _CLUSTERED


class UsageDayRow(_Rollup, Base):
    """Sums per UTC day."""

    __tablename__ = "usage_day"
    __table_args__ = _CLUSTERED


class UsageSumRow(_Sums, Base):
    """Sums of one time step and one property alone (or of everything), for charts over a long time.

    `dimension` is all, key, model, server, endpoint, status or client; `value` the property as text
    ("" for all). Days have every dimension, hours only `all`.
    """

    __tablename__ = "usage_sum"
    __table_args__ = _CLUSTERED

    dimension: Mapped[str] = mapped_column(String(16), primary_key=True)
    step: Mapped[str] = mapped_column(String(8), primary_key=True)
    start: Mapped[datetime] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(String(256), primary_key=True)


class MemorySpanRow(Base):
    """How long a model was in memory of a server, with one context window; `ended_at` NULL: it is.

    `end_reason` is idle, evicted (by `evicted_by`), unloaded, window (loaded with another one).
    """

    __tablename__ = "memory_span"
    __table_args__ = (
        Index(
            "ix_memory_span_open",
            "server_id",
            "model",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[PrimaryKey]
    server_id: Mapped[int] = mapped_column(ForeignKey("server.id", ondelete="CASCADE"))
    model: Mapped[Name]
    context_tokens: Mapped[int]
    size_bytes: Mapped[int]
    vram_bytes: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str] = mapped_column(String(16), default="")
    evicted_by: Mapped[Name] = mapped_column(default="")


class RemovedNameRow(Base):
    """What a key, model or server was called last that was removed; sums name it by its id."""

    __tablename__ = "removed_name"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    object_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[Name]
