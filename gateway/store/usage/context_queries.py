"""What calls tell of windows and loads: who had models loaded and why, what was cut or refused, how
long prompts are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.orm import Session

from gateway.store.tables import RequestLogRow
from gateway.store.usage.request_queries import WAS_CUT, WAS_LOADED

_calls = RequestLogRow


@dataclass(frozen=True, slots=True)
class LoadSum:
    """Loads of a model for the calls of a key, for one reason (`policy/loads.py`): how many, and
    how long the calls waited for them together (ms)."""

    model_id: int | None
    model: str
    key_id: int | None
    key_name: str
    reason: str
    loads: int
    ms: float


def loads(session: Session, since: datetime) -> list[LoadSum]:
    """Return the loads since then, those that took longest first."""
    groups = (_calls.model_id, _calls.key_id, _calls.load_reason)
    took = func.sum(_calls.ollama_load_ms)
    query = (
        select(
            _calls.model_id,
            func.max(_calls.model),
            _calls.key_id,
            func.max(_calls.key_name),
            _calls.load_reason,
            func.count(),
            took,
        )
        .where(WAS_LOADED, _calls.created_at >= since)
        .group_by(*groups)
        .order_by(took.desc())
    )
    return [
        LoadSum(model_id, model, key_id, key_name, reason, count, ms or 0.0)
        for model_id, model, key_id, key_name, reason, count, ms in session.execute(query)
    ]


def cut(session: Session, since: datetime) -> dict[int, int]:
    """Return how many prompts of each model were probably cut since then."""
    return _by_model(session, WAS_CUT, _calls.created_at >= since)


def refused(session: Session, since: datetime) -> dict[int, int]:
    """Return how many prompts of each model were refused since then as too long."""
    return _by_model(
        session,
        _calls.status == 400,
        _calls.created_at >= since,
        _calls.error_code == "context_length_exceeded",
    )


def _by_model(session: Session, *conditions: ColumnElement[Any]) -> dict[int, int]:
    # as a sum: else SQLite walks the index of all models, not the one of the few calls meant
    model_id = (_calls.model_id + literal_column("0")).label("found")
    query = select(model_id, func.count()).where(*conditions).group_by(model_id)
    return {model_id: count for model_id, count in session.execute(query) if model_id is not None}


def prompts(session: Session, model_id: int, since: datetime, limit: int) -> list[int]:
    """Return the tokens of the last prompts of a model that were read whole, ascending."""
    query = (
        select(_calls.prompt_tokens, _calls.estimated, _calls.cut)
        .where(_calls.model_id == model_id, _calls.created_at >= since)
        .order_by(_calls.created_at.desc(), _calls.id.desc())
        .limit(limit)
    )
    found = session.execute(query)
    return sorted(
        tokens for tokens, estimated, was_cut in found if tokens and not (estimated or was_cut)
    )
