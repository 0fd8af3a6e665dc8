"""How Alembic runs our migrations: on the application's engine, one transaction a migration.

SQLite's DDL is transactional, but only inside a transaction that was begun by hand: the engine of
`store/database/engine.py` does that, so a migration killed half-way leaves nothing behind.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from gateway.store.tables import Base

target_metadata = Base.metadata


def run(connection: Connection) -> None:
    """Run what is asked for on `connection`."""
    context.configure(
        connection=connection,
        target_metadata=target_metadata,
        render_as_batch=True,
        transaction_per_migration=True,
        compare_type=True,
        compare_server_default=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_from_application() -> None:
    """Run with a connection handed over in the config, or with the Flask application's engine."""
    given = context.config.attributes.get("connection")
    if given is not None:
        run(given)
        return
    from flask import current_app

    with current_app.extensions["sqlalchemy"].engine.connect() as connection:
        run(connection)


if context.is_offline_mode():
    raise SystemExit("migrations need a database: run them without --sql")
run_from_application()
