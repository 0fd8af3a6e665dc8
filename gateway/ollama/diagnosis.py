"""Why a server cannot be used, in words an admin can act on.

The public errors of `gateway.errors` name no address and no cause, as callers read them. Their
`__cause__` still has the cause; here it becomes a kind, a sentence and what to do about it.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from gateway.errors import GatewayError, UpstreamTimeout, UpstreamUnreachable
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


_BY_CAUSE: dict[type[BaseException], Trouble] = {  # the first that fits
    ForbiddenAddress: Trouble(
        "forbidden",
        "{host} leads to an address that no server may have.",
        "Link-local, multicast and cloud metadata addresses are refused: use another one.",
    ),
    LateAnswer: Trouble(
        "failed",
        "The name server does not answer when asked for {host}.",
        "Check the name server of the gateway's machine, or use the IP address.",
    ),
    socket.gaierror: Trouble(
        "dns",
        "The name {host} is unknown.",
        "Check the spelling, or use the IP address. In a container only names on its own "
        "network are known; the machine itself is host.docker.internal.",
    ),
}
_NO_WAY = Trouble(
    "no_route",
    "There is no way to {host} from here.",
    "Check the address, and that both machines are on the same network.",
)
_SILENT = Trouble(
    "timeout",
    "{host} does not answer on port {port}.",
    "The machine may be off, busy or behind a firewall: allow this port there.",
)
_CLOSED = Trouble(
    "failed",
    "{host} closed the connection without an answer.",
    "Check that Ollama runs there, and not something else on this port.",
)
_NOT_OLLAMA = Trouble(
    "not_ollama",
    "Something answers on port {port} of {host}, but it is not Ollama.",
    "Check the port (Ollama's is 11434) and the path.",
)
_BY_CODE = {
    "upstream_unauthorized": Trouble(
        "unauthorized",
        "The server wants other credentials.",
        "Enter the header that the proxy in front of Ollama asks for.",
    ),
    "upstream_forbidden": Trouble(
        "failed",
        "The server refuses calls to the name {host}.",
        "Ollama on 127.0.0.1 answers to few names: use its IP address, or have the proxy in "
        "front of it send 'Host: localhost'.",
    ),
    "upstream_bad_response": _NOT_OLLAMA,
    "upstream_endpoint_missing": _NOT_OLLAMA,
}


def explain(error: GatewayError, url: str) -> Trouble:
    """Return the trouble behind a failed call to the server at `url`."""
    _, host, port = server_url.split(url)
    causes = tuple(_causes(error))
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return _tls(causes)
    for kind in _BY_CAUSE:
        if any(isinstance(cause, kind) for cause in causes):
            return _filled(_BY_CAUSE[kind], host, port)
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return _refused(host, port)
    if any(isinstance(cause, OSError) and cause.errno in _NO_ROUTE for cause in causes):
        return _filled(_NO_WAY, host, port)
    timed_out = any(isinstance(cause, TimeoutError) for cause in causes)
    if isinstance(error, UpstreamTimeout) or timed_out:
        return _filled(_SILENT, host, port)
    if error.code in _BY_CODE:
        return _filled(_BY_CODE[error.code], host, port)
    if isinstance(error, UpstreamUnreachable):
        return _filled(_CLOSED, host, port)
    return Trouble("failed", error.message, "Look into the log of Ollama on that machine.")


def _filled(trouble: Trouble, host: str, port: int) -> Trouble:
    return replace(trouble, message=trouble.message.format(host=host, port=port))


def _refused(host: str, port: int) -> Trouble:
    if host in _LOCAL:
        fix = (
            "Start Ollama (`ollama serve`). If the gateway runs in a container, this address is "
            "the container itself: use http://host.docker.internal:11434 instead."
        )
    else:
        fix = (
            "Start Ollama there. If it runs, it probably listens on 127.0.0.1 only: set "
            "OLLAMA_HOST=0.0.0.0 for its service and restart it."
        )
    return Trouble("refused", f"Nothing listens on port {port} of {host}.", fix)


def _tls(causes: tuple[BaseException, ...]) -> Trouble:
    verify = [cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)]
    if verify:
        reason = verify[0].verify_message or "it cannot be verified"
        return Trouble(
            "tls",
            f"The certificate was not accepted: {reason}.",
            "Name the file of the authority that signed it, or switch verification off for this "
            "server if you know the network.",
        )
    return Trouble(
        "tls",
        "No encrypted connection could be made.",
        "Ollama itself speaks plain http: write http:// unless a proxy in front of it does TLS.",
    )


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
