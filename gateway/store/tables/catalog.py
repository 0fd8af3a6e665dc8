"""Tables of what can be called: servers, models, further names, overrides and their history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from gateway.store.tables.base import Base, Name, RowId, Word


class ServerRow(Base):
    """One Ollama server. `auth_header` is a secret and never leaves by page, log, audit or
    export."""

    __tablename__ = "server"

    id: Mapped[RowId]
    name: Mapped[str] = mapped_column(String(128), unique=True)
    url: Mapped[str] = mapped_column(String(512), unique=True)
    weight: Mapped[int] = mapped_column(default=1)
    enabled: Mapped[bool] = mapped_column(default=True)
    draining: Mapped[bool] = mapped_column(default=False)
    auth_header: Mapped[str] = mapped_column(Text, default="")
    tls_verify: Mapped[bool] = mapped_column(default=True)
    tls_ca_file: Mapped[str] = mapped_column(String(512), default="")
    slots: Mapped[int] = mapped_column(default=0)
    tags: Mapped[list[str]] = mapped_column(default=list)
    notes: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime]
    version: Mapped[str] = mapped_column(String(64), default="")
    refreshed_at: Mapped[datetime | None]
    refresh_error: Mapped[str] = mapped_column(Text, default="")


class ModelRow(Base):
    """One model by Ollama's canonical tag. What an admin set outlives refreshes and absence.

    `name_key` and `display_key` are the names in lower case: both are unique, as names are
    compared without case. `capabilities` is NULL while unknown. `details` is what /api/show told
    last (template, licence, parameters), for `details_digest`.
    """

    __tablename__ = "model"

    id: Mapped[RowId]
    name: Mapped[Name]
    name_key: Mapped[str] = mapped_column(String(256), unique=True)
    display_name: Mapped[Name]
    display_key: Mapped[str] = mapped_column(String(256), unique=True)
    enabled: Mapped[bool] = mapped_column(default=True)
    override: Mapped[dict[str, Any]] = mapped_column(default=dict)
    fallbacks: Mapped[list[int]] = mapped_column(default=list)
    capabilities: Mapped[list[str] | None]
    context_tokens: Mapped[int | None]
    modified_at: Mapped[datetime | None]
    digest: Mapped[str] = mapped_column(String(80), default="")
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    family: Mapped[str] = mapped_column(String(64), default="")
    parameter_size: Mapped[str] = mapped_column(String(32), default="")
    quantization: Mapped[str] = mapped_column(String(32), default="")
    remote: Mapped[bool] = mapped_column(default=False)
    details: Mapped[dict[str, Any] | None]
    details_digest: Mapped[str] = mapped_column(String(80), default="")
    notes: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime]
    missing_since: Mapped[datetime | None]


class ModelAliasRow(Base):
    """A further name of a model, or a pattern with `*`; `override` is laid over the model's."""

    __tablename__ = "model_alias"

    id: Mapped[RowId]
    model_id: Mapped[int] = mapped_column(ForeignKey("model.id", ondelete="CASCADE"), index=True)
    name: Mapped[Name]
    name_key: Mapped[str] = mapped_column(String(256), unique=True)
    override: Mapped[dict[str, Any]] = mapped_column(default=dict)


class ModelServerRow(Base):
    """Which server lists which model, as of its last refresh; `details` is its /api/tags entry,
    `pinned` that the model stays in memory there."""

    __tablename__ = "model_server"

    model_id: Mapped[int] = mapped_column(
        ForeignKey("model.id", ondelete="CASCADE"), primary_key=True
    )
    server_id: Mapped[int] = mapped_column(
        ForeignKey("server.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    digest: Mapped[str] = mapped_column(String(80), default="")
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    modified_at: Mapped[datetime | None]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    seen_at: Mapped[datetime]
    pinned: Mapped[bool] = mapped_column(default=False, server_default=false())


class OverrideVersionRow(Base):
    """Every override a model (or one of its aliases, by name) ever had: who, when, what."""

    __tablename__ = "override_version"
    __table_args__ = (Index("ix_override_version_model_id_id", "model_id", "id"),)

    id: Mapped[RowId]
    model_id: Mapped[int] = mapped_column(ForeignKey("model.id", ondelete="CASCADE"))
    alias: Mapped[str] = mapped_column(String(256), default="")
    at: Mapped[datetime]
    actor_name: Mapped[Name]
    override: Mapped[dict[str, Any]]
    note: Mapped[str] = mapped_column(String(256), default="")


class PullJobRow(Base):
    """A model being fetched or loaded by a server on our order; survives the page and the worker.

    `kind` is pull, load or pin; `state` is queued, running, done, failed or cancelled; `layers`
    maps digest to [completed, total] bytes.
    """

    __tablename__ = "pull_job"

    id: Mapped[RowId]
    kind: Mapped[Word] = mapped_column(server_default="pull")
    server_id: Mapped[int] = mapped_column(ForeignKey("server.id", ondelete="CASCADE"), index=True)
    model: Mapped[Name]
    state: Mapped[Word] = mapped_column(index=True)
    status: Mapped[str] = mapped_column(Text, default="")
    completed_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    total_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    layers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str] = mapped_column(Text, default="")
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    actor_name: Mapped[Name]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    beat_at: Mapped[datetime | None]
    worker: Mapped[str] = mapped_column(String(64), default="")
