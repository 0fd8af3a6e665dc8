"""Ollama servers in the store."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from gateway.core.catalog import Server
from gateway.core.chat import Json
from gateway.errors import InvalidRequest, NotFound
from gateway.store.tables import ModelServerRow, ServerRow


def all_servers(session: Session) -> list[Server]:
    """Return every server, oldest first."""
    return [to_server(row) for row in session.scalars(select(ServerRow).order_by(ServerRow.id))]


def get(session: Session, server_id: int) -> Server:
    """Return a server. Raises NotFound."""
    return to_server(_row(session, server_id))


def count(session: Session) -> int:
    """Return how many servers there are."""
    return session.scalar(select(func.count()).select_from(ServerRow)) or 0


def insert(session: Session, server: Server, now: datetime) -> Server:
    """Store a new server (its `id` is given here). Raises InvalidRequest if name or address is
    taken."""
    _check_free(session, server)
    row = ServerRow(created_at=now, **_columns(server))
    session.add(row)
    session.flush()
    return to_server(row)


def save(session: Session, server: Server) -> Server:
    """Store the changed values of a server. Raises NotFound, InvalidRequest."""
    row = _row(session, server.id)
    _check_free(session, server)
    for name, value in _columns(server).items():
        setattr(row, name, value)
    session.flush()
    return to_server(row)


def delete(session: Session, server_id: int) -> None:
    """Remove a server and what it listed; models stay with their settings. Raises NotFound."""
    _row(session, server_id)
    session.execute(sql_delete(ModelServerRow).where(ModelServerRow.server_id == server_id))
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


def as_json(server: Server) -> dict[str, Json]:
    """Return a server as plain values, its secret header left out."""
    return {
        "id": server.id,
        "name": server.name,
        "url": server.url,
        "weight": server.weight,
        "enabled": server.enabled,
        "draining": server.draining,
        "has_auth_header": bool(server.auth_header),
        "tls_verify": server.tls_verify,
        "tls_ca_file": server.tls_ca_file,
        "slots": server.slots,
        "tags": list(server.tags),
    }


def to_server(row: ServerRow) -> Server:
    """Return a row as the value the rest of the gateway works with."""
    return Server(
        id=row.id,
        name=row.name,
        url=row.url,
        weight=row.weight,
        enabled=row.enabled,
        draining=row.draining,
        auth_header=row.auth_header,
        tls_verify=row.tls_verify,
        tls_ca_file=row.tls_ca_file,
        slots=row.slots,
        tags=tuple(row.tags),
    )


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
    raise InvalidRequest(f"The server '{taken.name}' already has this {field}.", param=field)


def _columns(server: Server) -> dict[str, Any]:
    return {
        "name": server.name,
        "url": server.url,
        "weight": server.weight,
        "enabled": server.enabled,
        "draining": server.draining,
        "auth_header": server.auth_header,
        "tls_verify": server.tls_verify,
        "tls_ca_file": server.tls_ca_file,
        "slots": server.slots,
        "tags": list(server.tags),
    }
