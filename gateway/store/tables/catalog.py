"""Tables of what can be called: servers, models, further names, overrides and their history."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.orderinglist import ordering_list
from sqlalchemy.orm import Mapped, mapped_column, relationship

from gateway.store.tables.base import NEVER_REUSED, Base, Name, PrimaryKey

_ModelId = Annotated[int, mapped_column(ForeignKey("model.id", ondelete="CASCADE"))]
_ServerId = Annotated[int, mapped_column(ForeignKey("server.id", ondelete="CASCADE"))]


class ServerRow(Base):
    """One Ollama server. `auth_header` is a secret: no page, log, audit or export shows it.

    `vram_seen_bytes` is the most GPU memory its models were ever seen to take together.
    """

    __tablename__ = "server"
    __table_args__ = NEVER_REUSED

    id: Mapped[PrimaryKey]
    name: Mapped[str] = mapped_column(String(128), unique=True)
    url: Mapped[str] = mapped_column(String(512), unique=True)
    weight: Mapped[int] = mapped_column(default=1)
    enabled: Mapped[bool] = mapped_column(default=True)
    draining: Mapped[bool] = mapped_column(default=False)
    auth_header: Mapped[str] = mapped_column(default="")
    tls_verify: Mapped[bool] = mapped_column(default=True)
    tls_ca_file: Mapped[str] = mapped_column(String(512), default="")
    slots: Mapped[int] = mapped_column(default=0)
    vram_gb: Mapped[int] = mapped_column(default=0)
    vram_seen_bytes: Mapped[int] = mapped_column(default=0)
    tags: Mapped[list[str]] = mapped_column(default=list)
    created_at: Mapped[datetime]
    version: Mapped[str] = mapped_column(String(64), default="")
    refreshed_at: Mapped[datetime | None]
    refresh_error: Mapped[str] = mapped_column(default="")


class ModelFallbackRow(Base):
    """A model that answers when another cannot; those of one model are tried by `position`."""

    __tablename__ = "model_fallback"

    model_id: Mapped[_ModelId] = mapped_column(primary_key=True)
    fallback_id: Mapped[_ModelId] = mapped_column(primary_key=True, index=True)
    position: Mapped[int]


class ModelRow(Base):
    """One model by Ollama's canonical tag. What an admin set outlives refreshes and absence.

    `name_key` and `display_key` are the names in lower case: both are unique, as names are
    compared without case. `capabilities` is NULL while unknown. `details` is what /api/show told
    last (template, licence, parameters), for `details_digest`.
    """

    __tablename__ = "model"
    __table_args__ = NEVER_REUSED

    id: Mapped[PrimaryKey]
    name: Mapped[Name]
    name_key: Mapped[str] = mapped_column(String(256), unique=True)
    display_name: Mapped[Name]
    display_key: Mapped[str] = mapped_column(String(256), unique=True)
    enabled: Mapped[bool] = mapped_column(default=True)
    override: Mapped[dict[str, Any]] = mapped_column(default=dict)
    capabilities: Mapped[list[str] | None]
    context_tokens: Mapped[int | None]
    modified_at: Mapped[datetime | None]
    digest: Mapped[str] = mapped_column(String(80), default="")
    size_bytes: Mapped[int] = mapped_column(default=0)
    family: Mapped[str] = mapped_column(String(64), default="")
    parameter_size: Mapped[str] = mapped_column(String(32), default="")
    quantization: Mapped[str] = mapped_column(String(32), default="")
    remote: Mapped[bool] = mapped_column(default=False)
    details: Mapped[dict[str, Any] | None]
    details_digest: Mapped[str] = mapped_column(String(80), default="")
    notes: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    missing_since: Mapped[datetime | None]
    _fallbacks: Mapped[list[ModelFallbackRow]] = relationship(
        foreign_keys=ModelFallbackRow.model_id,
        order_by=ModelFallbackRow.position,
        collection_class=ordering_list("position"),
        cascade="all, delete-orphan",
        lazy="selectin",
    )
    fallbacks: AssociationProxy[list[int]] = association_proxy(
        "_fallbacks", "fallback_id", creator=lambda id_: ModelFallbackRow(fallback_id=id_)
    )


class ModelAliasRow(Base):
    """A further name of a model, or a pattern with `*`; `override` is laid over the model's."""

    __tablename__ = "model_alias"

    id: Mapped[PrimaryKey]
    model_id: Mapped[_ModelId] = mapped_column(index=True)
    name: Mapped[Name]
    name_key: Mapped[str] = mapped_column(String(256), unique=True)
    override: Mapped[dict[str, Any]] = mapped_column(default=dict)


class ModelServerRow(Base):
    """Which server lists which model, as of its last refresh; a `pinned` one stays in memory."""

    __tablename__ = "model_server"

    model_id: Mapped[_ModelId] = mapped_column(primary_key=True)
    server_id: Mapped[_ServerId] = mapped_column(primary_key=True, index=True)
    pinned: Mapped[bool] = mapped_column(default=False)


class OverrideVersionRow(Base):
    """Every override a model (or one of its aliases, by name) ever had: who, when, what."""

    __tablename__ = "override_version"
    __table_args__ = (Index(None, "model_id", "id"),)

    id: Mapped[PrimaryKey]
    model_id: Mapped[_ModelId]
    alias: Mapped[str] = mapped_column(String(256), default="")
    at: Mapped[datetime] = mapped_column("created_at")
    actor_name: Mapped[Name]
    override: Mapped[dict[str, Any]]
    note: Mapped[str] = mapped_column(String(256), default="")
