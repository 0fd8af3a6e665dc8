"""Every table of the first release."""

from __future__ import annotations

from functools import partial
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "release_1"
down_revision = None

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit "
        "BEGIN SELECT RAISE(ABORT, 'audit rows cannot be changed'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'audit rows cannot be changed'; END $$",
        "CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit "
        "FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()",
    ),
}
_MERGE_HISTOGRAMS = """
CREATE FUNCTION merge_histograms(stored text, more text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT COALESCE(jsonb_object_agg(metric, counts)::text, '{}')
  FROM (
    SELECT metric, jsonb_object_agg(bucket, times) AS counts
    FROM (
      SELECT m.key AS metric, b.key AS bucket, SUM(b.value::bigint) AS times
      FROM (
        SELECT * FROM jsonb_each(stored::jsonb)
        UNION ALL
        SELECT * FROM jsonb_each(more::jsonb)
      ) AS m(key, value), LATERAL jsonb_each_text(m.value) AS b(key, value)
      GROUP BY m.key, b.key
    ) AS summed
    GROUP BY metric
  ) AS sets
$$
"""
"""PostgreSQL's twin of `engine.merge_histograms`."""


def upgrade() -> None:
    """Create the tables, then what watches over them."""
    _catalog()
    _keys()
    _access()
    _work()
    _usage()
    connection = op.get_bind()
    for statement in _APPEND_ONLY[connection.dialect.name]:
        connection.exec_driver_sql(statement)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_MERGE_HISTOGRAMS)


def _row_id() -> sa.Column[Any]:
    return sa.Column("id", _ROW_ID, primary_key=True)


def _text(*names: str, length: int = 0, **more: Any) -> list[sa.Column[Any]]:
    return _columns(sa.String(length) if length else sa.Text(), *names, **more)


def _refers(
    name: str, target: str, ondelete: str = "CASCADE", kind: Any = _ROW_ID, **more: Any
) -> sa.Column[Any]:
    foreign = sa.ForeignKey(target, ondelete=ondelete)
    return sa.Column(name, kind, foreign, **{"nullable": False, **more})


def _columns(kind: Any, *names: str, **more: Any) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, **{"nullable": False, **more}) for name in names]


def _index(table: str, *columns: str, **more: Any) -> None:
    op.create_index("_".join(("ix", table, *columns)), table, columns, **more)


_integer = partial(_columns, sa.BigInteger())
_at = _integer  # a moment: microseconds since 1970
_real = partial(_columns, sa.Double())
_flag = partial(_columns, sa.Boolean())
_json = partial(_columns, _JSON)
_digest = partial(_columns, sa.LargeBinary(32), "digest")


def _catalog() -> None:
    op.create_table(
        "server",
        _row_id(),
        *_text("name", length=128, unique=True),
        *_text("url", length=512, unique=True),
        *_integer("weight", "slots"),
        *_flag("enabled", "draining", "tls_verify"),
        *_text("auth_header", "refresh_error"),
        *_text("tls_ca_file", length=512),
        *_json("tags"),
        *_at("created_at"),
        *_text("version", length=64),
        *_at("refreshed_at", nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "model",
        _row_id(),
        *_text("name", "display_name", length=256),
        *_text("name_key", "display_key", length=256, unique=True),
        *_flag("enabled", "remote"),
        *_json("override"),
        *_json("capabilities", "details", nullable=True),
        *_integer("context_tokens", nullable=True),
        *_at("modified_at", "missing_since", nullable=True),
        *_text("digest", "details_digest", length=80),
        *_integer("size_bytes"),
        *_text("family", length=64),
        *_text("parameter_size", "quantization", length=32),
        *_text("notes"),
        *_at("created_at"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "model_fallback",
        _refers("model_id", "model.id", primary_key=True),
        _refers("fallback_id", "model.id", primary_key=True, index=True),
        *_integer("position"),
    )
    op.create_table(
        "model_alias",
        _row_id(),
        _refers("model_id", "model.id", index=True),
        *_text("name", length=256),
        *_text("name_key", length=256, unique=True),
        *_json("override"),
    )
    op.create_table(
        "model_server",
        _refers("model_id", "model.id", primary_key=True),
        _refers("server_id", "server.id", primary_key=True, index=True),
        *_flag("pinned"),
    )
    op.create_table(
        "override_version",
        _row_id(),
        _refers("model_id", "model.id"),
        *_text("alias", "actor_name", "note", length=256),
        *_at("created_at"),
        *_json("override"),
    )
    _index("override_version", "model_id", "id")


def _keys() -> None:
    op.create_table(
        "api_key",
        _row_id(),
        *_digest(unique=True),
        *_text("name", "owner", length=256),
        *_text("prefix", "zone", length=64),
        *_text("last4", length=4),
        *_flag("enabled", "legacy"),
        *_at("created_at"),
        *_at("expires_at", "revoked_at", "last_used_at", nullable=True),
        _refers("rotated_from", "api_key.id", "SET NULL", nullable=True, index=True),
        *_integer("lineage_id", nullable=True, index=True),
        *_json("allow", "deny", "cidrs", "scopes"),
        *_text("opus_model", "sonnet_model", "haiku_model", length=256),
        *_text("small_fast_model", "sub_agent_model", length=256),
        *_json("budgets", "default_params", "forced_params", "tags"),
        *_integer("requests_per_minute", "tokens_per_minute", "concurrent"),
        *_text("priority", length=16),
        *_text("notes"),
        *_flag("log_bodies", nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "api_key_model",
        _refers("key_id", "api_key.id", primary_key=True),
        _refers("model_id", "model.id", primary_key=True, index=True),
    )
    op.create_table(
        "key_counter",
        *_integer("key_id", primary_key=True),
        *_text("metric", "period", length=16, primary_key=True),
        *_at("start", primary_key=True),
        *_integer("used", "reserved"),
    )
    op.create_table(
        "counter_lease",
        *_text("worker", length=64, primary_key=True),
        *_integer("key_id", primary_key=True),
        *_text("metric", "period", length=16, primary_key=True),
        *_at("start", primary_key=True),
        *_integer("units"),
    )


def _access() -> None:
    op.create_table(
        "account",
        _row_id(),
        *_text("username", length=64, unique=True),
        *_text("role", "totp_secret", "last_login_ip", length=64),
        *_text("password_hash"),
        *_flag("must_change_password", "enabled", "totp_enabled"),
        *_integer("totp_last_step", "epoch"),
        *_json("preferences"),
        *_at("created_at"),
        *_at("password_changed_at", "last_login_at", nullable=True),
    )
    op.create_table(
        "account_session",
        _row_id(),
        *_digest(unique=True),
        _refers("account_id", "account.id", index=True),
        *_integer("epoch"),
        *_flag("pending"),
        *_at("created_at", "seen_at"),
        *_at("expires_at", index=True),
        *_text("ip", length=64),
        *_text("user_agent", length=256),
    )
    op.create_table(
        "admin_token",
        _row_id(),
        _refers("account_id", "account.id", nullable=True, index=True),
        *_text("name", length=256),
        *_text("role", "prefix", length=64),
        *_digest(unique=True),
        *_text("last4", length=4),
        *_at("created_at"),
        *_at("expires_at", "revoked_at", "last_used_at", nullable=True),
    )
    op.create_table(
        "login_failure",
        *_text("subject", length=160, primary_key=True),
        *_integer("failures"),
        *_at("last_at", index=True),
        *_at("blocked_until", nullable=True),
    )
    op.create_table("spent_secret", *_digest(primary_key=True), *_at("created_at", index=True))
    op.create_table(
        "audit",
        _row_id(),
        *_at("created_at"),
        *_text("actor_kind", "ip", "action", "object_kind", "object_id", length=64),
        *_integer("actor_id", nullable=True),
        *_text("actor_name", "object_name", length=256),
        *_json("before", "after", nullable=True),
    )
    _index("audit", "created_at", "id")
    _index("audit", "object_kind", "object_id", "id")


def _work() -> None:
    op.create_table("setting", *_text("name", length=64, primary_key=True), *_json("value"))
    op.create_table(
        "change_version", *_text("topic", length=32, primary_key=True), *_integer("version")
    )
    op.create_table("job_lock", *_text("name", length=32, primary_key=True), *_at("taken_at"))
    op.create_table(
        "worker",
        *_text("name", length=64, primary_key=True),
        *_at("started_at"),
        *_at("heartbeat_at", index=True),
        *_json("snapshot"),
    )
    op.create_table(
        "command",
        _row_id(),
        *_at("created_at", index=True),
        *_text("worker", "kind", length=64),
        *_json("payload"),
    )
    op.create_table(
        "job",
        _row_id(),
        *_text("kind", "worker", length=64),
        _refers("server_id", "server.id", index=True),
        *_text("model", "actor_name", length=256),
        *_text("state", length=64, index=True),
        *_text("status", "error"),
        *_integer("completed_bytes", "total_bytes"),
        *_json("layers"),
        *_flag("cancel_requested"),
        *_at("created_at"),
        *_at("started_at", "finished_at", "heartbeat_at", nullable=True),
    )
    op.create_table(
        "response",
        *_text("id", length=96, primary_key=True),
        *_integer("key_id", index=True),
        *_text("previous_id", length=96, nullable=True),
        *_json("body"),
        *_integer("size_bytes"),
        *_at("created_at"),
        *_at("expires_at", nullable=True, index=True),
    )
    _index("response", "created_at", "id")
    op.create_table(
        "response_item",
        _row_id(),
        _refers("response_id", "response.id", kind=sa.String(96)),
        *_integer("key_id", "position"),
        *_text("item_id", length=96),
        *_text("kind", length=8),
        *_json("body"),
    )
    _index("response_item", "key_id", "item_id")
    _index("response_item", "response_id", "position", unique=True)


def _usage() -> None:
    op.create_table(
        "request_log",
        _row_id(),
        *_text("request_id", length=64, unique=True),
        *_at("created_at"),
        *_integer("key_id", "model_id", "server_id", nullable=True),
        *_text("key_name", "model", "requested_model", length=256),
        *_text("endpoint", "client_ip", "client_app", "end_user", length=64),
        *_text("worker", "error_code", "route_reason", length=64),
        *_flag("streamed", "has_tools", "has_images", "counted", "estimated", "had_thinking"),
        *_flag("cut"),
        *_at("settled_at", nullable=True),
        *_integer("status", "prompt_tokens", "completion_tokens"),
        *_integer("reasoning_tokens", "cached_tokens", "upstream_calls"),
        *_integer("context_tokens"),
        *_text("load_reason", length=16),
        *_text("finish", length=32),
        *_text("error_message"),
        *_text("server_name", length=128),
        *_real("queue_ms", "first_token_ms", "first_answer_ms", nullable=True),
        *_real("ollama_load_ms", "ollama_prompt_ms", "ollama_eval_ms", nullable=True),
        *_real("duration_ms"),
        *_json("explain"),
    )
    _index("request_log", "created_at", "id")
    for name in ("key_id", "model_id", "server_id", "status"):
        _index("request_log", name, "created_at", "id")
    for name, column, condition in (
        ("unsettled", "worker", "settled_at IS NULL"),
        ("loads", "created_at", "load_reason != ''"),
        ("cut", "created_at", "cut"),
    ):
        where = sa.text(condition)
        op.create_index(
            f"ix_request_log_{name}",
            "request_log",
            [column],
            sqlite_where=where,
            postgresql_where=where,
        )
    op.create_table(
        "request_log_body",
        _refers("request_log_id", "request_log.id", primary_key=True, autoincrement=False),
        *_at("created_at", index=True),
        *_text("request_body", "upstream_body", "response_body", nullable=True),
    )
    for name in ("usage_hour", "usage_day"):
        op.create_table(
            name,
            *_at("start", primary_key=True),
            *_integer("key_id", "model_id", "server_id", primary_key=True),
            *_text("endpoint", length=64, primary_key=True),
            *_integer("status", primary_key=True),
            *_text("client_app", length=64, primary_key=True),
            *_text("outcome", length=16, primary_key=True),
            *_sums(),
            sqlite_with_rowid=False,
        )
    op.create_table(
        "usage_sum",
        *_text("dimension", length=16, primary_key=True),
        *_text("step", length=8, primary_key=True),
        *_at("start", primary_key=True),
        *_text("value", length=256, primary_key=True),
        *_sums(),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "memory_span",
        _row_id(),
        _refers("server_id", "server.id"),
        *_text("model", "evicted_by", length=256),
        *_integer("context_tokens", "size_bytes", "vram_bytes"),
        *_at("started_at", index=True),
        *_at("ended_at", nullable=True),
        *_text("end_reason", length=16),
    )
    still = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_memory_span_open",
        "memory_span",
        ["server_id", "model"],
        unique=True,
        sqlite_where=still,
        postgresql_where=still,
    )
    op.create_table(
        "removed_name",
        *_text("kind", length=16, primary_key=True),
        *_integer("object_id", primary_key=True),
        *_text("name", length=256),
    )


def _sums() -> list[sa.Column[Any]]:
    return [
        *_integer("requests", "errors", "streamed", "prompt_tokens"),
        *_integer("completion_tokens", "reasoning_tokens", "cached_tokens", "timed_tokens"),
        *_real("duration_ms", "queue_ms", "ollama_load_ms"),
        *_real("ollama_prompt_ms", "ollama_eval_ms"),
        *_text("histograms"),
    ]
