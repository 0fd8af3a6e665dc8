"""Tables of API keys and of what they have used of their budgets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.orm import Mapped, mapped_column, relationship

from gateway.store.tables.base import NEVER_REUSED, Base, Name, PrimaryKey, ShortText


class ApiKeyModelRow(Base):
    """A model that a key may use by its id, whatever the model is called."""

    __tablename__ = "api_key_model"

    key_id: Mapped[int] = mapped_column(
        ForeignKey("api_key.id", ondelete="CASCADE"), primary_key=True
    )
    model_id: Mapped[int] = mapped_column(
        ForeignKey("model.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class ApiKeyRow(Base):
    """One API key; the secret itself is not here, only its SHA-256.

    `lineage_id` is the first key of a chain of rotations, also when that was deleted: budgets are
    counted there, so that rotating gives nothing back. NULL is the key itself. `legacy` keys came
    from another product and lack the checksum.
    """

    __tablename__ = "api_key"
    __table_args__ = NEVER_REUSED

    id: Mapped[PrimaryKey]
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    name: Mapped[Name]
    prefix: Mapped[ShortText]
    last4: Mapped[str] = mapped_column(String(4), default="")
    enabled: Mapped[bool] = mapped_column(default=True)
    legacy: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    rotated_from: Mapped[int | None] = mapped_column(
        ForeignKey("api_key.id", ondelete="SET NULL"), index=True
    )
    lineage_id: Mapped[int | None] = mapped_column(index=True)
    allow: Mapped[list[str]] = mapped_column(default=lambda: ["*"])
    deny: Mapped[list[str]] = mapped_column(default=list)
    opus_model: Mapped[Name] = mapped_column(default="")
    sonnet_model: Mapped[Name] = mapped_column(default="")
    haiku_model: Mapped[Name] = mapped_column(default="")
    small_fast_model: Mapped[Name] = mapped_column(default="")
    sub_agent_model: Mapped[Name] = mapped_column(default="")
    cidrs: Mapped[list[str]] = mapped_column(default=list)
    anonymous: Mapped[bool] = mapped_column(default=False, index=True)
    scopes: Mapped[list[str]] = mapped_column(default=list)
    requests_per_minute: Mapped[int] = mapped_column(default=0)
    tokens_per_minute: Mapped[int] = mapped_column(default=0)
    concurrent: Mapped[int] = mapped_column(default=0)
    budgets: Mapped[list[Any]] = mapped_column(default=list)
    zone: Mapped[str] = mapped_column(String(64), default="UTC")
    priority: Mapped[str] = mapped_column(String(16), default="normal")
    default_params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    forced_params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    owner: Mapped[str] = mapped_column(String(256), default="")
    notes: Mapped[str] = mapped_column(default="")
    tags: Mapped[list[str]] = mapped_column(default=list)
    log_bodies: Mapped[bool | None]
    last_used_at: Mapped[datetime | None]
    _models: Mapped[list[ApiKeyModelRow]] = relationship(
        order_by=ApiKeyModelRow.model_id, cascade="all, delete-orphan", lazy="selectin"
    )
    model_ids: AssociationProxy[list[int]] = association_proxy(
        "_models", "model_id", creator=lambda id_: ApiKeyModelRow(model_id=id_)
    )


class KeyCounterRow(Base):
    """What a key (its lineage) used in one period. `metric` is requests or tokens.

    `used` equals the sum over its settled calls; `reserved` is what workers hold in
    `counter_lease` and have not yet settled. `start` is the period's first instant, 1970 for
    `total`.
    """

    __tablename__ = "key_counter"

    key_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    metric: Mapped[str] = mapped_column(String(16), primary_key=True)
    period: Mapped[str] = mapped_column(String(16), primary_key=True)
    start: Mapped[datetime] = mapped_column(primary_key=True)
    used: Mapped[int] = mapped_column(default=0)
    reserved: Mapped[int] = mapped_column(default=0)


class CounterLeaseRow(Base):
    """Units of a counter that one worker may spend without asking; a dead worker's go back."""

    __tablename__ = "counter_lease"

    worker: Mapped[str] = mapped_column(String(64), primary_key=True)
    key_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    metric: Mapped[str] = mapped_column(String(16), primary_key=True)
    period: Mapped[str] = mapped_column(String(16), primary_key=True)
    start: Mapped[datetime] = mapped_column(primary_key=True)
    units: Mapped[int] = mapped_column(default=0)
