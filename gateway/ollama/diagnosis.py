"""Why a server cannot be used, in words an admin can act on.

The public errors of `gateway.errors` name no address and no cause, as callers read them. Their
`__cause__` still has the cause; here it becomes a kind, a sentence and what to do about it.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gateway.errors import GatewayError, Message, UpstreamTimeout, UpstreamUnreachable
from gateway.ollama import server_url
from gateway.ollama.addresses import ForbiddenAddress, LateAnswer

Kind: TypeAlias = Literal[
    "refused",
    "forbidden",
    "dns",
    "no_route",
    "timeout",
    "tls",
    "not_ollama",
    "unauthorized",
    "failed",
]
_NO_ROUTE = frozenset(
    {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL}
)
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong and what helps. `certain` means that asking again soon will not differ."""

    kind: Kind
    message: str
    fix: str

    @property
    def certain(self) -> bool:
        """Whether one such failure already proves that the server is down."""
        return self.kind in {"refused", "no_route"}

    def __str__(self) -> str:
        return self.message


def explain(error: GatewayError, url: str) -> Trouble:
    """Return the trouble behind a failed call to the server at `url`."""
    _, host, port = server_url.split(url)
    causes = tuple(_causes(error))
    if found := _by_cause(causes, host, port):
        return found
    if isinstance(error, UpstreamTimeout) or _any(causes, TimeoutError):
        return Trouble(
            "timeout",
            Message("%(host)s does not answer on port %(port)s.", host=host, port=port),
            Message("The machine may be off, busy or behind a firewall: allow this port there."),
        )
    if found := _by_code(error.code, host, port):
        return found
    if isinstance(error, UpstreamUnreachable):
        return Trouble(
            "failed",
            Message("%(host)s closed the connection without an answer.", host=host),
            Message("Check that Ollama runs there, and not something else on this port."),
        )
    fix = Message("Look into the log of Ollama on that machine.")
    return Trouble("failed", error.message, fix)


def _by_cause(causes: Sequence[BaseException], host: str, port: int) -> Trouble | None:
    if _any(causes, ssl.SSLError):
        return _tls(causes)
    if _any(causes, ForbiddenAddress):
        return Trouble(
            "forbidden",
            Message("%(host)s leads to an address that no server may have.", host=host),
            Message(
                "Link-local, multicast and cloud metadata addresses are refused: use another one."
            ),
        )
    if _any(causes, LateAnswer):
        return Trouble(
            "failed",
            Message("The name server does not answer when asked for %(host)s.", host=host),
            Message("Check the name server of the gateway's machine, or use the IP address."),
        )
    if _any(causes, socket.gaierror):
        return Trouble(
            "dns",
            Message("The name %(host)s is unknown.", host=host),
            Message(
                "Check the spelling, or use the IP address. In a container only names on its own "
                "network are known; the machine itself is host.docker.internal."
            ),
        )
    if _any(causes, ConnectionRefusedError):
        return _refused(host, port)
    if any(isinstance(cause, OSError) and cause.errno in _NO_ROUTE for cause in causes):
        return Trouble(
            "no_route",
            Message("There is no way to %(host)s from here.", host=host),
            Message("Check the address, and that both machines are on the same network."),
        )
    return None


def _by_code(code: str, host: str, port: int) -> Trouble | None:
    match code:
        case "upstream_unauthorized":
            return Trouble(
                "unauthorized",
                Message("The server wants other credentials."),
                Message("Enter the header that the proxy in front of Ollama asks for."),
            )
        case "upstream_forbidden":
            return Trouble(
                "failed",
                Message("The server refuses requests to the name %(host)s.", host=host),
                Message(
                    "Ollama on 127.0.0.1 answers to few names: use its IP address, or have the "
                    "proxy in front of it send 'Host: localhost'."
                ),
            )
        case "upstream_bad_response" | "upstream_endpoint_missing":
            return Trouble(
                "not_ollama",
                Message(
                    "Something answers on port %(port)s of %(host)s, but it is not Ollama.",
                    host=host,
                    port=port,
                ),
                Message("Check the port (Ollama's is 11434) and the path."),
            )
    return None


def _refused(host: str, port: int) -> Trouble:
    if host in _LOCAL:
        fix = Message(
            "Start Ollama (`ollama serve`). If the gateway runs in a container, this address is "
            "the container itself: use http://host.docker.internal:11434 instead."
        )
    else:
        fix = Message(
            "Start Ollama there. If it runs, it probably listens on 127.0.0.1 only: set "
            "OLLAMA_HOST=0.0.0.0 for its service and restart it."
        )
    message = Message("Nothing listens on port %(port)s of %(host)s.", port=port, host=host)
    return Trouble("refused", message, fix)


def _tls(causes: Sequence[BaseException]) -> Trouble:
    verify = [cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)]
    if verify:
        reason = verify[0].verify_message or "it cannot be verified"
        return Trouble(
            "tls",
            Message("The certificate was not accepted: %(reason)s.", reason=reason),
            Message(
                "Name the file of the authority that signed it, or switch verification off for "
                "this server if you know the network."
            ),
        )
    return Trouble(
        "tls",
        Message("No encrypted connection could be made."),
        Message(
            "Ollama itself speaks plain http: write http:// unless a proxy in front of it does TLS."
        ),
    )


def _any(causes: Sequence[BaseException], kind: type[BaseException]) -> bool:
    return any(isinstance(cause, kind) for cause in causes)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what an error came from, nearest first; some libraries hide it in `args`."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting and len(seen) < 32:
        found = waiting.pop(0)
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [found.__cause__, found.__context__, getattr(found, "reason", None)]
        waiting += [argument for argument in found.args if isinstance(argument, BaseException)]
