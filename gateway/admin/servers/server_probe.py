"""Tries a server and tells what was found, or what is wrong and what helps."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.management.servers import Tried
from gateway.ollama.diagnosis import Trouble
from gateway.schemas.server import Server
from gateway.web.context import services
from gateway.web.service_messages import translated
from gateway.web.words import _


@dataclass(frozen=True, slots=True)
class Found:
    """A server that answers."""

    url: str
    version: str
    models: tuple[str, ...]
    latency_ms: float | None


@dataclass(frozen=True, slots=True)
class Told:
    """A server that does not, and what to do about it."""

    url: str
    message: str
    fix: str


def looked(server: Server) -> Found | Told:
    """Ask a server, stored or not, for its version and models. Never raises for its failures."""
    return told(services().servers.attempt(server))


def told(tried: Tried) -> Found | Told:
    """Put the outcome of a trial into the visitor's words."""
    if tried.trouble is not None:
        return in_words(tried.trouble, tried.url)
    return Found(tried.url, tried.version, tried.models, tried.latency_ms)


def in_words(trouble: Trouble, url: str) -> Told:
    """Return a trouble in the visitor's language."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    is_here = host in {"localhost", "127.0.0.1", "::1"}
    match trouble.kind:
        case "refused":
            message = _("Nothing listens on port %(port)s of %(host)s.", host=host, port=port)
            fix = (
                _(
                    "Start Ollama there: ollama serve. If the gateway runs in a container, this "
                    "address is the container itself: use http://host.docker.internal:11434."
                )
                if is_here
                else _(
                    "Start Ollama there. If it runs, it probably listens on 127.0.0.1 only: start "
                    "it with OLLAMA_HOST=0.0.0.0."
                )
            )
        case "dns":
            message = _("The name %(host)s is unknown.", host=host)
            fix = _(
                "Check the spelling, or use the IP address. In a container, this machine is called "
                "host.docker.internal."
            )
        case "no_route":
            message = _("There is no way to %(host)s from here.", host=host)
            fix = _("Check the address, and that both machines are in the same network.")
        case "timeout":
            message = _("%(host)s does not answer on port %(port)s.", host=host, port=port)
            fix = _(
                "The machine may be off, or a firewall may drop the connection: open this port."
            )
        case "tls":
            message = _("No secure connection to %(host)s could be made.", host=host)
            fix = _(
                "Ollama itself speaks plain http. Behind a proxy with its own certificate, name "
                "the authority's file, or switch the check off for this server."
            )
        case "not_ollama":
            message = _("Something answers there, but it is not Ollama.")
            fix = _("Check the port; Ollama's is 11434.")
        case "unauthorized":
            message = _("The server wants other credentials.")
            fix = _("Enter the header that the proxy in front of Ollama asks for.")
        case _other:
            message, fix = translated(trouble.message), translated(trouble.fix)
    return Told(url, message, fix)
