"""INSERT with ON CONFLICT, which SQLAlchemy has once for each database.

A process has one database, so a dialect is loaded when it is first asked for: PostgreSQL's alone
takes 2 MB.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session


def insert(dialect: str, table: Any) -> Any:
    """Return an INSERT into a table or a mapped class, for the database of this name."""
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def insert_for(session: Session, table: Any) -> Any:
    """Do the same for the database of a session."""
    return insert(session.get_bind().dialect.name, table)
