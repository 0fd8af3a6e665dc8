"""Foreign errors of a call to Ollama, turned into ours (requests, urllib3, sockets, framing)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import requests

from gateway.errors import GatewayError, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from gateway.ollama import faults
from gateway.ollama.exchange import Stalled
from gateway.ollama.framing import Malformed, Truncated

FOREIGN: Final = (
    requests.RequestException,
    OSError,
    Stalled,
    Malformed,
    Truncated,
    OverflowError,
)
_DEEPEST: Final = 16
_RESETS: Final = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)


def map_error(error: BaseException, has_records: bool) -> GatewayError:
    """Return our error; `has_records` tells that a part of the answer has already been handed
    on."""
    for found in _chain(error):
        match found:
            case Stalled():
                return UpstreamTimeout(str(found))
            case Malformed():
                return faults.bad_response("an answer that is not HTTP")
            case OverflowError():
                return UpstreamError(
                    "The Ollama server sent a line that is too long.",
                    code="upstream_line_too_long",
                )
            case requests.exceptions.SSLError():
                return UpstreamUnreachable("The certificate of the Ollama server was not accepted.")
            case TimeoutError():
                return _not_connected()
    if has_records:
        return UpstreamError(
            "The connection to the Ollama server broke in the middle of the answer.",
            code="upstream_disconnected",
        )
    return UpstreamUnreachable("The Ollama server cannot be reached.")


def is_reset(error: BaseException) -> bool:
    """Whether the connection died, as opposed to a time limit or a refusal to connect."""
    return any(isinstance(found, _RESETS) for found in _chain(error))


def _not_connected() -> UpstreamUnreachable:
    """A time limit (504, D45), but one before anything was sent: another server may be
    asked."""
    error = UpstreamUnreachable(
        "The Ollama server did not accept a connection in time.",
        code="upstream_timeout",
        status=504,
        should_retry=False,
    )
    error.anthropic_type = "timeout_error"
    return error


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from."""
    found: BaseException | None = error
    for _ in range(_DEEPEST):
        if found is None:
            return
        yield found
        found = found.__cause__ or found.__context__
