"""What servers tell of their models is asked for once more: it says which weights a model has.

No column changes: details without the weights are taken for old.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forget the details of all models: they are asked for again."""
    op.execute("UPDATE model SET details_digest = ''")


def downgrade() -> None:
    """Nothing is taken out: what is not known is passed over."""
