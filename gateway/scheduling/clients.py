"""One client a server, shared by calls, probes, refreshes and pulls, so that they share its
connections."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.errors import InvalidRequest
from gateway.ollama import server_url
from gateway.ollama.client import OllamaClient
from gateway.schemas.server import Server
from gateway.schemas.settings import RuntimeSettings

log = logging.getLogger(__name__)

_Address: TypeAlias = tuple[str, str, bool, str]


@dataclass(eq=False)
class Clients:
    """Hands out one client for each server, as long as its address and TLS options stay."""

    behaviour: Callable[[], RuntimeSettings]
    pool_size: int = 512
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _clients: dict[int, tuple[_Address, OllamaClient]] = field(default_factory=dict)

    def __call__(self, server: Server) -> OllamaClient:
        """Return the server's client. Raises InvalidRequest for an unusable address or header."""
        address = address_of(server)
        with self._lock:
            known = self._clients.get(server.id)
            if known is not None and known[0] == address:
                return known[1]
            client = self.fresh(server)
            self._clients[server.id] = (address, client)
        if known is not None:
            known[1].close()
        return client

    def fresh(self, server: Server) -> OllamaClient:
        """Return a client nobody else uses, for a server that is only tried out."""
        try:
            return OllamaClient(
                server,
                connect_timeout_s=self.behaviour().connect_timeout_s,
                pool_size=self.pool_size,
                allows=server_url.may_be,
            )
        except ValueError as error:
            raise InvalidRequest(str(error), param="url") from error

    def forget(self, server_id: int) -> None:
        """Close the client of a server that was removed."""
        with self._lock:
            known = self._clients.pop(server_id, None)
        if known is not None:
            known[1].close()


def address_of(server: Server) -> _Address:
    """Return what decides how a server is reached."""
    return server.url, server.auth_header, server.tls_verify, server.tls_ca_file
