"""Accounts, audit, servers, models and keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from gateway.store.tables import AUDIT_TRIGGERS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_AT = sa.BigInteger()
_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "admin",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("must_change_password", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("totp_secret", sa.String(length=64), nullable=True),
        sa.Column("totp_enabled", sa.Boolean(), nullable=False),
        sa.Column("totp_last_step", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("preferences", _JSON, nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("password_changed_at", _AT, nullable=True),
        sa.Column("last_login_at", _AT, nullable=True),
        sa.Column("last_login_ip", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_admin"),
        sa.UniqueConstraint("username", name="uq_admin_username"),
    )
    op.create_table(
        "api_key",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("prefix", sa.String(length=64), nullable=False),
        sa.Column("last4", sa.String(length=4), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("legacy", sa.Boolean(), nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("created_by", sa.String(length=256), nullable=False),
        sa.Column("expires_at", _AT, nullable=True),
        sa.Column("revoked_at", _AT, nullable=True),
        sa.Column("rotated_from", sa.Integer(), nullable=True),
        sa.Column("rotate_until", _AT, nullable=True),
        sa.Column("lineage_id", sa.Integer(), nullable=True),
        sa.Column("allow", _JSON, nullable=False),
        sa.Column("deny", _JSON, nullable=False),
        sa.Column("model_ids", _JSON, nullable=False),
        sa.Column("cidrs", _JSON, nullable=False),
        sa.Column("scopes", _JSON, nullable=False),
        sa.Column("requests_per_minute", sa.Integer(), nullable=False),
        sa.Column("tokens_per_minute", sa.Integer(), nullable=False),
        sa.Column("concurrent", sa.Integer(), nullable=False),
        sa.Column("budgets", _JSON, nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.String(length=16), nullable=False),
        sa.Column("default_params", _JSON, nullable=False),
        sa.Column("forced_params", _JSON, nullable=False),
        sa.Column("owner", sa.String(length=256), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("tags", _JSON, nullable=False),
        sa.Column("log_bodies", sa.Boolean(), nullable=True),
        sa.Column("last_used_at", _AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
        sa.UniqueConstraint("digest", name="uq_api_key_digest"),
    )
    op.create_index("ix_api_key_lineage_id", "api_key", ["lineage_id"], unique=False)
    op.create_index("ix_api_key_rotated_from", "api_key", ["rotated_from"], unique=False)
    op.create_table(
        "audit",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("at", _AT, nullable=False),
        sa.Column("actor_kind", sa.String(length=64), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("actor_name", sa.String(length=256), nullable=False),
        sa.Column("ip", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("object_kind", sa.String(length=64), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("object_name", sa.String(length=256), nullable=False),
        sa.Column("before", _JSON, nullable=True),
        sa.Column("after", _JSON, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_at_id", "audit", ["at", "id"], unique=False)
    op.create_index(
        "ix_audit_object_kind_object_id_id",
        "audit",
        ["object_kind", "object_id", "id"],
        unique=False,
    )
    op.create_table(
        "counter_lease",
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("metric", sa.String(length=16), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("start", _AT, nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "worker", "key_id", "metric", "period", "start", name="pk_counter_lease"
        ),
    )
    op.create_table(
        "key_counter",
        sa.Column("key_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("metric", sa.String(length=16), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("start", _AT, nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "metric", "period", "start", name="pk_key_counter"),
    )
    op.create_table(
        "login_failure",
        sa.Column("subject", sa.String(length=160), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", _AT, nullable=False),
        sa.Column("blocked_until", _AT, nullable=True),
        sa.PrimaryKeyConstraint("subject", name="pk_login_failure"),
    )
    op.create_index("ix_login_failure_last_at", "login_failure", ["last_at"], unique=False)
    op.create_table(
        "model",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("name_key", sa.String(length=256), nullable=False),
        sa.Column("display_name", sa.String(length=256), nullable=False),
        sa.Column("display_key", sa.String(length=256), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("override", _JSON, nullable=False),
        sa.Column("fallbacks", _JSON, nullable=False),
        sa.Column("capabilities", _JSON, nullable=True),
        sa.Column("context_tokens", sa.Integer(), nullable=True),
        sa.Column("modified_at", _AT, nullable=True),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("family", sa.String(length=64), nullable=False),
        sa.Column("parameter_size", sa.String(length=32), nullable=False),
        sa.Column("quantization", sa.String(length=32), nullable=False),
        sa.Column("remote", sa.Boolean(), nullable=False),
        sa.Column("details", _JSON, nullable=True),
        sa.Column("details_digest", sa.String(length=80), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("missing_since", _AT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_model"),
        sa.UniqueConstraint("display_key", name="uq_model_display_key"),
        sa.UniqueConstraint("name_key", name="uq_model_name_key"),
    )
    op.create_table(
        "server",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("url", sa.String(length=512), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.Column("auth_header", sa.Text(), nullable=False),
        sa.Column("tls_verify", sa.Boolean(), nullable=False),
        sa.Column("tls_ca_file", sa.String(length=512), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("tags", _JSON, nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("refreshed_at", _AT, nullable=True),
        sa.Column("refresh_error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_server"),
        sa.UniqueConstraint("name", name="uq_server_name"),
        sa.UniqueConstraint("url", name="uq_server_url"),
    )
    op.create_table(
        "admin_session",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("admin_id", _ID, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("seen_at", _AT, nullable=False),
        sa.Column("expires_at", _AT, nullable=False),
        sa.Column("ip", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(
            ["admin_id"], ["admin.id"], name="fk_admin_session_admin_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_admin_session"),
        sa.UniqueConstraint("digest", name="uq_admin_session_digest"),
    )
    op.create_index("ix_admin_session_admin_id", "admin_session", ["admin_id"], unique=False)
    op.create_index("ix_admin_session_expires_at", "admin_session", ["expires_at"], unique=False)
    op.create_table(
        "admin_token",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("admin_id", _ID, nullable=True),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("prefix", sa.String(length=64), nullable=False),
        sa.Column("last4", sa.String(length=4), nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("expires_at", _AT, nullable=True),
        sa.Column("revoked_at", _AT, nullable=True),
        sa.Column("last_used_at", _AT, nullable=True),
        sa.ForeignKeyConstraint(
            ["admin_id"], ["admin.id"], name="fk_admin_token_admin_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_admin_token"),
        sa.UniqueConstraint("digest", name="uq_admin_token_digest"),
    )
    op.create_index("ix_admin_token_admin_id", "admin_token", ["admin_id"], unique=False)
    op.create_table(
        "model_alias",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("name_key", sa.String(length=256), nullable=False),
        sa.Column("override", _JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["model.id"], name="fk_model_alias_model_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_model_alias"),
        sa.UniqueConstraint("name_key", name="uq_model_alias_name_key"),
    )
    op.create_index("ix_model_alias_model_id", "model_alias", ["model_id"], unique=False)
    op.create_table(
        "model_server",
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("server_id", _ID, nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", _AT, nullable=True),
        sa.Column("details", _JSON, nullable=False),
        sa.Column("seen_at", _AT, nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["model.id"], name="fk_model_server_model_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["server_id"], ["server.id"], name="fk_model_server_server_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("model_id", "server_id", name="pk_model_server"),
    )
    op.create_index("ix_model_server_server_id", "model_server", ["server_id"], unique=False)
    op.create_table(
        "override_version",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("alias", sa.String(length=256), nullable=False),
        sa.Column("at", _AT, nullable=False),
        sa.Column("actor_name", sa.String(length=256), nullable=False),
        sa.Column("override", _JSON, nullable=False),
        sa.Column("note", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["model.id"], name="fk_override_version_model_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_override_version"),
    )
    op.create_index(
        "ix_override_version_model_id_id", "override_version", ["model_id", "id"], unique=False
    )
    op.create_table(
        "pull_job",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("server_id", _ID, nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("completed_bytes", sa.BigInteger(), nullable=False),
        sa.Column("total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("layers", _JSON, nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("actor_name", sa.String(length=256), nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("started_at", _AT, nullable=True),
        sa.Column("finished_at", _AT, nullable=True),
        sa.Column("beat_at", _AT, nullable=True),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["server_id"], ["server.id"], name="fk_pull_job_server_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_pull_job"),
    )
    op.create_index("ix_pull_job_server_id", "pull_job", ["server_id"], unique=False)
    op.create_index("ix_pull_job_state", "pull_job", ["state"], unique=False)
    # ### end Alembic commands ###
    for statement in AUDIT_TRIGGERS.get(op.get_bind().dialect.name, ()):
        op.execute(sa.text(statement))


def downgrade() -> None:
    """Drop them again, what refers to others first."""
    op.drop_table("pull_job")
    op.drop_table("override_version")
    op.drop_table("model_server")
    op.drop_table("model_alias")
    op.drop_table("admin_token")
    op.drop_table("admin_session")
    op.drop_table("server")
    op.drop_table("model")
    op.drop_table("login_failure")
    op.drop_table("key_counter")
    op.drop_table("counter_lease")
    op.drop_table("audit")
    op.drop_table("api_key")
    op.drop_table("admin")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_is_append_only()")
