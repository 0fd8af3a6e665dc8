"""Sums of calls by one property alone, so that charts over a long time read little.

Days that are there already are added up; their percentiles start with the calls to come.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SUMS = (
    "requests", "errors", "streamed", "prompt_tokens", "completion_tokens", "reasoning_tokens",
    "cached_tokens", "duration_ms", "queue_ms", "ollama_load_ms", "ollama_prompt_ms",
    "ollama_eval_ms", "timed_tokens",
)  # fmt: skip
_REAL = {"duration_ms", "queue_ms", "ollama_load_ms", "ollama_prompt_ms", "ollama_eval_ms"}
_VALUES = {
    "all": "''",
    "key": "CAST(key_id AS VARCHAR(256))",
    "model": "model",
    "server": "CAST(server_id AS VARCHAR(256))",
    "endpoint": "endpoint",
    "status": "CAST(status AS VARCHAR(256))",
    "client": "client_app",
}


def upgrade() -> None:
    """Make the table and fill it from the sums there are."""
    sums = [
        sa.Column(name, sa.Double() if name in _REAL else sa.BigInteger(), nullable=False)
        for name in _SUMS
    ]
    op.create_table(
        "usage_sum",
        sa.Column("dimension", sa.String(length=16), nullable=False),
        sa.Column("step", sa.String(length=8), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        *sums,
        sa.Column("histograms", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("dimension", "step", "start", "value", name="pk_usage_sum"),
        sqlite_with_rowid=False,
    )
    for dimension, value in _VALUES.items():
        _fill("day", "usage_day", dimension, value)
    _fill("hour", "usage_hour", "all", "''")


def downgrade() -> None:
    """Drop it again."""
    op.drop_table("usage_sum")


def _fill(step: str, source: str, dimension: str, value: str) -> None:
    names = ", ".join(_SUMS)
    group = "" if dimension == "all" else f", {value}"
    added = ", ".join(f"SUM({name})" for name in _SUMS)
    op.execute(
        f"INSERT INTO usage_sum (dimension, step, start, value, {names}, histograms) "
        f"SELECT '{dimension}', '{step}', start, {value}, {added}, '{{}}' "
        f"FROM {source} GROUP BY start{group}"
    )
