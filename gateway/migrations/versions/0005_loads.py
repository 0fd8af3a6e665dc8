"""Loading a model into memory is a job as pulling one is; a job says which of them it is.

The default stays in the table: a gateway of before, that runs on while others are renewed, knows
pulls only.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the kind; all jobs there are are pulls."""
    with op.batch_alter_table("pull_job") as batch:
        batch.add_column(
            sa.Column("kind", sa.String(length=64), nullable=False, server_default="pull")
        )


def downgrade() -> None:
    """Forget what was loaded, then take the column out again."""
    op.execute("DELETE FROM pull_job WHERE kind <> 'pull'")
    with op.batch_alter_table("pull_job") as batch:
        batch.drop_column("kind")
