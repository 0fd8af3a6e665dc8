"""What is stored of one key is bounded in bytes, belongs to its rotations, and secrets show once.

The default of `size` stays in the table: a gateway of before, that runs on while others are
renewed, knows no sizes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the size of stored responses, their owner, and the marks of secrets that were shown."""
    with op.batch_alter_table("stored_response") as batch:
        batch.add_column(sa.Column("size", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE stored_response SET size = length(CAST(body AS TEXT)) + COALESCE("
        "(SELECT SUM(length(CAST(i.body AS TEXT))) FROM stored_item i"
        " WHERE i.response_id = stored_response.id), 0)"
    )
    for table in ("stored_response", "stored_item"):
        op.execute(
            f"UPDATE {table} SET key_id = COALESCE((SELECT k.lineage_id FROM api_key k"
            f" WHERE k.id = {table}.key_id), key_id)"
        )
    op.create_table(
        "spent_secret",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_spent_secret"),
    )
    op.create_index("ix_spent_secret_at", "spent_secret", ["at"], unique=False)


def downgrade() -> None:
    """Remove both; whose the responses are stays."""
    op.drop_table("spent_secret")
    with op.batch_alter_table("stored_response") as batch:
        batch.drop_column("size")
