"""Usage, rollups, settings, workers and stored responses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from gateway.store.tables import MERGE_HISTOGRAMS

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_AT = sa.BigInteger()
_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "command",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("at", _AT, nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("payload", _JSON, nullable=False),
        sa.Column("actor_name", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_command"),
    )
    op.create_index("ix_command_at", "command", ["at"], unique=False)
    op.create_table(
        "notice",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("since", _AT, nullable=False),
        sa.Column("seen_at", _AT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_notice"),
    )
    op.create_table(
        "revision",
        sa.Column("topic", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("at", _AT, nullable=False),
        sa.PrimaryKeyConstraint("topic", name="pk_revision"),
    )
    op.create_table(
        "setting",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", _JSON, nullable=False),
        sa.Column("updated_at", _AT, nullable=False),
        sa.Column("updated_by", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_setting"),
    )
    op.create_table(
        "stored_response",
        sa.Column("id", sa.String(length=96), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("previous_id", sa.String(length=96), nullable=True),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("body", _JSON, nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("expires_at", _AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_stored_response"),
    )
    op.create_index(
        "ix_stored_response_created_at_id", "stored_response", ["created_at", "id"], unique=False
    )
    op.create_index(
        "ix_stored_response_expires_at", "stored_response", ["expires_at"], unique=False
    )
    op.create_index("ix_stored_response_key_id", "stored_response", ["key_id"], unique=False)
    op.create_table(
        "usage",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("at", _AT, nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=True),
        sa.Column("key_name", sa.String(length=256), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("model_id", sa.BigInteger(), nullable=True),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("requested_model", sa.String(length=256), nullable=False),
        sa.Column("streamed", sa.Boolean(), nullable=False),
        sa.Column("client_ip", sa.String(length=64), nullable=False),
        sa.Column("client_app", sa.String(length=64), nullable=False),
        sa.Column("end_user", sa.String(length=64), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("has_tools", sa.Boolean(), nullable=False),
        sa.Column("has_images", sa.Boolean(), nullable=False),
        sa.Column("settled_at", _AT, nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("finish", sa.String(length=32), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=False),
        sa.Column("server_id", sa.BigInteger(), nullable=True),
        sa.Column("server_name", sa.String(length=128), nullable=False),
        sa.Column("route_reason", sa.String(length=64), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("queue_ms", sa.Double(), nullable=True),
        sa.Column("first_token_ms", sa.Double(), nullable=True),
        sa.Column("first_answer_ms", sa.Double(), nullable=True),
        sa.Column("duration_ms", sa.Double(), nullable=False),
        sa.Column("ollama_load_ms", sa.Double(), nullable=True),
        sa.Column("ollama_prompt_ms", sa.Double(), nullable=True),
        sa.Column("ollama_eval_ms", sa.Double(), nullable=True),
        sa.Column("upstream_calls", sa.Integer(), nullable=False),
        sa.Column("had_thinking", sa.Boolean(), nullable=False),
        sa.Column("explain", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usage"),
        sa.UniqueConstraint("request_id", name="uq_usage_request_id"),
    )
    op.create_index("ix_usage_at_id", "usage", ["at", "id"], unique=False)
    op.create_index("ix_usage_key_id_at", "usage", ["key_id", "at", "id"], unique=False)
    op.create_index("ix_usage_model_at", "usage", ["model", "at", "id"], unique=False)
    op.create_index("ix_usage_server_id_at", "usage", ["server_id", "at", "id"], unique=False)
    op.create_index("ix_usage_status_at", "usage", ["status", "at", "id"], unique=False)
    op.create_index(
        "ix_usage_unsettled",
        "usage",
        ["worker"],
        unique=False,
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.create_table(
        "usage_day",
        sa.Column("start", _AT, nullable=False),
        sa.Column("key_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("server_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("client_app", sa.String(length=64), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.BigInteger(), nullable=False),
        sa.Column("streamed", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.Double(), nullable=False),
        sa.Column("queue_ms", sa.Double(), nullable=False),
        sa.Column("ollama_load_ms", sa.Double(), nullable=False),
        sa.Column("ollama_prompt_ms", sa.Double(), nullable=False),
        sa.Column("ollama_eval_ms", sa.Double(), nullable=False),
        sa.Column("timed_tokens", sa.BigInteger(), nullable=False),
        sa.Column("histograms", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "start",
            "key_id",
            "model",
            "server_id",
            "endpoint",
            "status",
            "client_app",
            name="pk_usage_day",
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_hour",
        sa.Column("start", _AT, nullable=False),
        sa.Column("key_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("server_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("client_app", sa.String(length=64), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.BigInteger(), nullable=False),
        sa.Column("streamed", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.Double(), nullable=False),
        sa.Column("queue_ms", sa.Double(), nullable=False),
        sa.Column("ollama_load_ms", sa.Double(), nullable=False),
        sa.Column("ollama_prompt_ms", sa.Double(), nullable=False),
        sa.Column("ollama_eval_ms", sa.Double(), nullable=False),
        sa.Column("timed_tokens", sa.BigInteger(), nullable=False),
        sa.Column("histograms", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "start",
            "key_id",
            "model",
            "server_id",
            "endpoint",
            "status",
            "client_app",
            name="pk_usage_hour",
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "worker_state",
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(length=256), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("started_at", _AT, nullable=False),
        sa.Column("beat_at", _AT, nullable=False),
        sa.Column("snapshot", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("worker", name="pk_worker_state"),
    )
    op.create_index("ix_worker_state_beat_at", "worker_state", ["beat_at"], unique=False)
    op.create_table(
        "stored_item",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("response_id", sa.String(length=96), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.String(length=96), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("body", _JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["response_id"],
            ["stored_response.id"],
            name="fk_stored_item_response_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_stored_item"),
    )
    op.create_index(
        "ix_stored_item_key_id_item_id", "stored_item", ["key_id", "item_id"], unique=False
    )
    op.create_index(
        "ix_stored_item_response_id_position",
        "stored_item",
        ["response_id", "position"],
        unique=True,
    )
    op.create_table(
        "usage_body",
        sa.Column("usage_id", _ID, autoincrement=False, nullable=False),
        sa.Column("at", _AT, nullable=False),
        sa.Column("request_body", sa.Text(), nullable=True),
        sa.Column("response_body", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["usage_id"], ["usage.id"], name="fk_usage_body_usage_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("usage_id", name="pk_usage_body"),
    )
    op.create_index("ix_usage_body_at", "usage_body", ["at"], unique=False)
    # ### end Alembic commands ###
    if op.get_bind().dialect.name == "postgresql":
        op.execute(sa.text(MERGE_HISTOGRAMS.replace(":", "\\:")))


def downgrade() -> None:
    """Drop them again, what refers to others first."""
    op.drop_table("usage_body")
    op.drop_table("stored_item")
    op.drop_table("worker_state")
    op.drop_table("usage_hour")
    op.drop_table("usage_day")
    op.drop_table("usage")
    op.drop_table("stored_response")
    op.drop_table("setting")
    op.drop_table("revision")
    op.drop_table("notice")
    op.drop_table("command")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION merge_histograms(text, text)")
