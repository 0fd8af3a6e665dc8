"""Sums tell how calls came out: ok, failed, cancelled. A status alone does not, as a stream that
fails inside had begun with 200.

Of sums that are there already, what the status says is taken.
"""

from contextlib import AbstractContextManager
from typing import Literal

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
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    # Beside the other columns of the key: where a key's columns are not a table's first ones,
    # SQLite 3.40 takes a sound table WITHOUT ROWID for a damaged one.
    place = {"insert_after": "client_app"} if is_sqlite else {}
    for table in ("usage_hour", "usage_day"):
        with _altered(table) as batch:
            batch.add_column(
                sa.Column("outcome", sa.String(length=16), nullable=False, server_default="ok"),
                **place,
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
    recreate: Literal["always", "auto"] = "always" if _is_sqlite() else "auto"
    return op.batch_alter_table(table, recreate=recreate, table_kwargs={"sqlite_with_rowid": False})


def _place() -> dict[str, str]:
    return {"insert_after": "client_app"} if _is_sqlite() else {}


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
