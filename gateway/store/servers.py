"""Ollama servers in the store."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete as sql_delete
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from gateway.errors import InvalidRequest, Message, NotFound
from gateway.schemas.server import Server
from gateway.store import names
from gateway.store.mapping import columns, value_of
from gateway.store.tables import ServerRow


def all_servers(session: Session) -> list[Server]:
    """Return every server, oldest first."""
    return [
        value_of(row, Server) for row in session.scalars(select(ServerRow).order_by(ServerRow.id))
    ]


def get(session: Session, server_id: int) -> Server:
    """Return a server. Raises NotFound."""
    return value_of(_row(session, server_id), Server)


def count(session: Session) -> int:
    """Return how many servers there are."""
    return session.scalar(select(func.count()).select_from(ServerRow)) or 0


def insert(session: Session, server: Server, now: datetime) -> Server:
    """Store a new server (its `id` is given here). Raises InvalidRequest if name or address is
    taken."""
    _check_free(session, server)
    row = ServerRow(created_at=now, **columns(server, ServerRow))
    session.add(row)
    session.flush()
    return value_of(row, Server)


def save(session: Session, server: Server) -> Server:
    """Store the changed values of a server. Raises NotFound, InvalidRequest."""
    row = _row(session, server.id)
    _check_free(session, server)
    for name, value in columns(server, ServerRow).items():
        setattr(row, name, value)
    session.flush()
    return value_of(row, Server)


def delete(session: Session, server_id: int) -> None:
    """Remove a server and what it listed; models stay with their settings. Raises NotFound."""
    names.keep(session, "server", server_id, _row(session, server_id).name)
    session.execute(sql_delete(ServerRow).where(ServerRow.id == server_id))


def note_refresh(
    session: Session, server_id: int, now: datetime, *, version: str = "", error: str = ""
) -> None:
    """Note how the last refresh of a server went. A server removed meanwhile is passed over."""
    row = session.get(ServerRow, server_id)
    if row is None:
        return
    row.refresh_error = error[:2000]
    if not error:
        row.refreshed_at = now
        row.version = version[:64] or row.version


def _row(session: Session, server_id: int) -> ServerRow:
    row = session.get(ServerRow, server_id)
    if row is None:
        raise NotFound(f"There is no server {server_id}.", code="server_not_found")
    return row


def _check_free(session: Session, server: Server) -> None:
    query = select(ServerRow).where(
        ServerRow.id != (server.id or 0),
        or_(func.lower(ServerRow.name) == server.name.lower(), ServerRow.url == server.url),
    )
    taken = session.scalars(query).first()
    if taken is None:
        return
    field = "url" if taken.url == server.url else "name"
    problem = Message(
        "The server '%(name)s' already has this %(field)s.", name=taken.name, field=field
    )
    raise InvalidRequest(problem, param=field)
