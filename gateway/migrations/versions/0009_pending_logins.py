"""A login whose second factor is still to come is a row of its own.

The default stays in the table: a gateway of before, that runs on while others are renewed, knows no
pending logins.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the mark; no login is pending yet."""
    with op.batch_alter_table("admin_session") as batch:
        batch.add_column(
            sa.Column("pending", sa.Boolean(), nullable=False, server_default=sa.false())
        )


def downgrade() -> None:
    """Remove the mark again, and the logins that opened nothing."""
    op.execute("DELETE FROM admin_session WHERE pending")
    with op.batch_alter_table("admin_session") as batch:
        batch.drop_column("pending")
