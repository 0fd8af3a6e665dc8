"""Alerts, sign-in through a provider, recovery codes, anonymous keys, the memory of servers."""

from __future__ import annotations

from functools import partial
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "alerts"
down_revision = "release_1"

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_IS_NOT_COUNTED = "OLD.action NOT IN ('login.failed', 'login.code_failed', 'login.provider_failed')"
_APPEND_ONLY = {
    "sqlite": (
        "DROP TRIGGER audit_is_append_only",
        "CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit "
        f"WHEN {_IS_NOT_COUNTED} BEGIN SELECT RAISE(ABORT, 'audit rows cannot be changed'); END",
    ),
    "postgresql": (
        "DROP TRIGGER audit_is_append_only ON audit",
        "CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit "
        f"FOR EACH ROW WHEN ({_IS_NOT_COUNTED}) EXECUTE FUNCTION audit_is_append_only()",
    ),
}


def upgrade() -> None:
    """Add what tables lack, the tables of alerts, and counts of failed sign-ins to the audit log."""
    _more_columns()
    _alerts()
    connection = op.get_bind()
    for statement in _APPEND_ONLY[connection.dialect.name]:
        connection.exec_driver_sql(statement)


def _more_columns() -> None:
    for table, name in (
        ("server", "vram_gb"),
        ("server", "vram_seen_bytes"),
        ("account", "failed_logins"),
        ("job", "max_bytes"),
    ):
        op.add_column(table, _number(name, server_default="0"))
    op.add_column("api_key", _flag("anonymous", server_default=sa.false()))
    op.create_index("ix_api_key_anonymous", "api_key", ["anonymous"])
    op.add_column("request_log_body", sa.Column("thinking_body", sa.Text()))
    op.add_column("account", sa.Column("issuer", sa.String(512)))
    op.add_column("account", sa.Column("subject", sa.String(255)))
    op.create_index("ix_account_issuer_subject", "account", ["issuer", "subject"], unique=True)
    op.create_table(
        "recovery_code",
        _refers("account_id", "account.id"),
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    )


def _alerts() -> None:
    op.create_table(
        "alert_target",
        sa.Column("id", _ROW_ID, primary_key=True),
        _text("name", 120, unique=True),
        _text("kind", 16),
        _text("url"),
        _text("token"),
        _text("username", 256),
        _text("sender", 256),
        _json("recipients"),
        _json("rules"),
        _text("language", 8),
        _number("quiet_s"),
        _flag("enabled"),
        _number("created_at"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "alert_cause",
        _text("rule", 16, primary_key=True),
        _text("subject", 160, primary_key=True),
        _flag("is_on"),
        _number("changed_at"),
    )
    op.create_table(
        "alert_pending",
        _refers("target_id", "alert_target.id"),
        _text("rule", 16, primary_key=True),
        _text("subject", 160, primary_key=True),
        _number("count"),
        _text("words"),
        _number("next_at"),
    )
    op.create_table(
        "alert_log",
        sa.Column("id", _ROW_ID, primary_key=True),
        _number("at"),
        _text("rule", 16),
        _text("target", 120),
        _text("words"),
        _number("count"),
        _flag("is_sent"),
        _text("outcome"),
    )
    op.create_index("ix_alert_log_at_id", "alert_log", ["at", "id"])


def _column(kind: Any, name: str, **more: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, **{"nullable": False, **more})


def _text(name: str, length: int = 0, **more: Any) -> sa.Column[Any]:
    return _column(sa.String(length) if length else sa.Text(), name, **more)


def _refers(name: str, target: str) -> sa.Column[Any]:
    foreign = sa.ForeignKey(target, ondelete="CASCADE")
    return sa.Column(name, _ROW_ID, foreign, nullable=False, primary_key=True)


_number = partial(_column, sa.BigInteger())
_flag = partial(_column, sa.Boolean())
_json = partial(_column, _JSON)
