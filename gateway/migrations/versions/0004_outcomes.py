"""Sums tell how calls came out: ok, failed, cancelled. A status alone does not, as a stream that
fails inside had begun with 200.

Of sums that are there already, what the status says is taken.
"""

from contextlib import AbstractContextManager

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEY = ("start", "key_id", "model", "server_id", "endpoint", "status", "client_app")
_FROM_STATUS = (
    "CASE WHEN status = 499 THEN 'cancelled' WHEN status >= 400 THEN 'failed' ELSE 'ok' END"
)


def upgrade() -> None:
    """Add the column to both tables and to what tells their rows apart."""
    for table in ("usage_hour", "usage_day"):
        with _altered(table) as batch:
            batch.add_column(
                sa.Column("outcome", sa.String(length=16), nullable=False, server_default="ok")
            )
            batch.drop_constraint(f"pk_{table}", type_="primary")
            batch.create_primary_key(f"pk_{table}", [*_KEY, "outcome"])
        op.execute(f"UPDATE {table} SET outcome = {_FROM_STATUS}")
        with _altered(table) as batch:
            batch.alter_column("outcome", server_default=None)


def downgrade() -> None:
    """Take it out again. Rows that would fall together with another are lost."""
    for table in ("usage_hour", "usage_day"):
        op.execute(f"DELETE FROM {table} WHERE outcome <> {_FROM_STATUS}")
        with _altered(table) as batch:
            batch.drop_constraint(f"pk_{table}", type_="primary")
            batch.drop_column("outcome")
            batch.create_primary_key(f"pk_{table}", list(_KEY))


def _altered(table: str) -> AbstractContextManager[BatchOperations]:
    return op.batch_alter_table(table, table_kwargs={"sqlite_with_rowid": False})
