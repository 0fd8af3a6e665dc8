"""Which handler answers which path, and what is checked before any of them.

Source: ``server/routes.go`` GenerateRoutes.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from fake_ollama import (
    routes_control,
    routes_embed,
    routes_inference,
    routes_models,
    routes_pull,
    routes_systemone,
)
from fake_ollama.bending import play
from fake_ollama.exchange import Exchange

if TYPE_CHECKING:
    from fake_ollama.server import FakeOllama

Handler: TypeAlias = Callable[["FakeOllama", Exchange], None]

PLAIN = "text/plain"


def _root(fake: FakeOllama, exchange: Exchange) -> None:
    exchange.send_text(200, "Ollama is running")


def _version(fake: FakeOllama, exchange: Exchange) -> None:
    exchange.send_json(200, {"version": fake.version})


def _status(fake: FakeOllama, exchange: Exchange) -> None:
    off = fake.library.cloud == "disabled"
    cloud = {"disabled": off, "source": "env" if off else "none"}
    exchange.send_json(200, {"cloud": cloud})


def _me(fake: FakeOllama, exchange: Exchange) -> None:
    if fake.library.cloud == "signed_out":
        exchange.send_json(
            401, {"error": "unauthorized", "signin_url": "https://ollama.com/connect"}
        )
    elif fake.library.cloud == "unreachable":
        exchange.send_json(503, {"error": "account unavailable"})
    else:
        account = {"id": "3f0c2a9e", "email": "ada@example.org", "name": "ada", "plan": "free"}
        exchange.send_json(200, account)


def _signout(fake: FakeOllama, exchange: Exchange) -> None:
    if fake.library.cloud == "signed_out":
        exchange.send_json(401, {"error": "you are not currently signed in"})
        return
    fake.library.cloud = "signed_out"
    exchange.send_json(200, None)


ROUTES: Mapping[str, Mapping[str, Handler]] = {
    "/": {"GET": _root, "HEAD": _root},
    "/api/version": {"GET": _version, "HEAD": _version},
    "/api/status": {"GET": _status},
    "/api/chat": {"POST": routes_inference.chat},
    "/api/generate": {"POST": routes_inference.generate_text},
    "/api/embed": {"POST": routes_embed.embed},
    "/api/embeddings": {"POST": routes_embed.embeddings},
    "/v1/systemone": {"POST": routes_systemone.systemone},
    "/api/tags": {"GET": routes_models.tags, "HEAD": routes_models.tags},
    "/api/show": {"POST": routes_models.show},
    "/api/ps": {"GET": routes_models.ps},
    "/api/copy": {"POST": routes_models.copy},
    "/api/delete": {"DELETE": routes_models.delete},
    "/api/pull": {"POST": routes_pull.pull},
    "/api/push": {"POST": routes_pull.push},
    "/api/create": {"POST": routes_pull.create},
    "/api/me": {"POST": _me},
    "/api/signout": {"POST": _signout},
}
_SCRIPTED_HERE = frozenset(
    {"/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/pull", "/api/push"}
    | {"/api/create", "/v1/systemone"}
)
"""These take their scripts themselves, once the request has passed their checks."""

_BLOB = re.compile(r"/api/blobs/[^/]+")
_ORIGINS = re.compile(
    r"https?://(localhost|127\.0\.0\.1|0\.0\.0\.0)(:\d+)?|(app|file|tauri)://.*|vscode-[a-z-]+://.*"
)
_LOCAL_NAMES = (".localhost", ".local", ".internal")


def serve(fake: FakeOllama, exchange: Exchange) -> None:
    """Answer one request."""
    request = exchange.request
    if request.path.startswith(routes_control.PREFIX):
        routes_control.control(fake, exchange)
        return
    if not _host_allowed(str(request.headers.get("host", ""))):
        exchange.send_empty(403)
        return
    if not _origin_allowed(request.headers.get("origin"), str(request.headers.get("host", ""))):
        exchange.send_empty(403)
        return
    if request.method == "OPTIONS" and "origin" in request.headers:
        exchange.send_empty(204)
        return
    handler = _find(exchange)
    if handler is not None and not _scripted(fake, exchange):
        handler(fake, exchange)


def _find(exchange: Exchange) -> Handler | None:
    path, method = exchange.request.path, exchange.request.method
    methods = ROUTES.get(path)
    if methods is None and _BLOB.fullmatch(path):
        methods = {"HEAD": routes_pull.blob, "POST": routes_pull.blob}
    if methods is None and path != "/" and path.rstrip("/") in ROUTES:
        exchange.reply.dress.headers.append(("Location", path.rstrip("/")))
        exchange.send_empty(301 if method == "GET" else 307)
        return None
    if methods is None:
        exchange.send_text(404, "404 page not found", PLAIN)
        return None
    if method not in methods:
        exchange.reply.dress.headers.append(("Allow", ", ".join(methods)))
        exchange.send_text(405, "405 method not allowed", PLAIN)
        return None
    return methods[method]


def _scripted(fake: FakeOllama, exchange: Exchange) -> bool:
    """Play the script of a path such as ``/api/tags``; True when that was the whole answer."""
    if exchange.request.path in _SCRIPTED_HERE:
        return False
    script = fake.scripts.take((exchange.request.path,), exchange.recorded.json or {})
    if script is None:
        exchange.waiter.reach(0)
        return False
    exchange.put_on(script.faults)
    exchange.waiter.pause(script.first_delay_s)
    if play(exchange, exchange.faults):
        return True
    exchange.waiter.reach(0)
    return False


def _host_allowed(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name in ("", "localhost", socket.gethostname().lower()) or name.endswith(_LOCAL_NAMES):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_private or address.is_unspecified


def _origin_allowed(origin: str | None, host: str) -> bool:
    if not origin or urlsplit(origin).netloc == host:
        return True
    return _ORIGINS.fullmatch(origin) is not None
