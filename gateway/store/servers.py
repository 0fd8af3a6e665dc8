"""Ollama servers in the store."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from gateway.errors import InvalidRequest, Message
from gateway.schemas.server import Server
from gateway.store import names
from gateway.store.mapping import add, columns, fill, row_of, value_of, values
from gateway.store.tables import ServerRow


def all_servers(session: Session) -> list[Server]:
    """Return every server, oldest first."""
    return values(session, select(ServerRow).order_by(ServerRow.id), Server)


def get(session: Session, server_id: int) -> Server:
    """Return a server. Raises NotFound."""
    return value_of(row_of(session, ServerRow, server_id, "server"), Server)


def insert(session: Session, server: Server, now: datetime) -> Server:
    """Store a new server under a new id. Raises InvalidRequest if name or address is taken."""
    _check_free(session, server)
    return add(session, ServerRow(created_at=now, **columns(server, ServerRow)), Server)


def save(session: Session, server: Server) -> Server:
    """Store the changed values of a server. Raises NotFound, InvalidRequest."""
    row = row_of(session, ServerRow, server.id, "server")
    _check_free(session, server)
    if row.url != server.url:
        row.vram_seen_bytes = 0  # of another machine
    return fill(session, row, server)


def delete(session: Session, server_id: int) -> None:
    """Remove a server and what it listed; models stay with their settings. Raises NotFound."""
    row = row_of(session, ServerRow, server_id, "server")
    names.keep(session, "server", server_id, row.name)
    session.delete(row)


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
