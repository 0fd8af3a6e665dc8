"""A model pinned in the memory of a server is remembered, so that calls can keep it there.

The default stays in the table: a gateway of before, that runs on while others are renewed, knows no
pins.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the mark; nothing is pinned yet."""
    with op.batch_alter_table("model_server") as batch:
        batch.add_column(
            sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.false())
        )


def downgrade() -> None:
    """Remove the mark again."""
    with op.batch_alter_table("model_server") as batch:
        batch.drop_column("pinned")
