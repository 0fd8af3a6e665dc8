"""How Alembic runs our migrations: on a connection it is handed, one transaction a migration.

SQLite's DDL is transactional, but only inside a transaction that was begun by hand: the engine of
`store/database/engine.py` does that, so a migration killed half-way leaves nothing behind.
"""

from __future__ import annotations

from alembic import context

from gateway.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transaction_per_migration=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
