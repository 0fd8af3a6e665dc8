"""Foreign errors of a call to Ollama, turned into ours (requests, urllib3, sockets, framing)."""

from __future__ import annotations

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


def map_error(error: BaseException, has_records: bool) -> GatewayError:
    """Give our error; `has_records` tells that a part of the answer has already been handed on."""
    error = _root_of(error)
    if isinstance(error, Stalled):
        return UpstreamTimeout(f"The Ollama server did not answer within {error.what}.")
    if isinstance(error, OverflowError):
        return UpstreamError(
            "The Ollama server sent a line that is too long.", code="upstream_line_too_long"
        )
    if isinstance(error, Malformed):
        return faults.bad_response("an answer that is not HTTP")
    if has_records:
        return UpstreamError(
            "The connection to the Ollama server broke in the middle of the answer.",
            code="upstream_disconnected",
        )
    if isinstance(error, requests.exceptions.SSLError):
        return UpstreamUnreachable("The certificate of the Ollama server was not accepted.")
    return UpstreamUnreachable("The Ollama server cannot be reached.")


def _root_of(error: BaseException) -> BaseException:
    """Give the one of our own exceptions that requests or urllib3 wrapped, else `error`."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            break
        if isinstance(seen, Stalled | Malformed | requests.exceptions.SSLError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return error


def is_reset(error: BaseException) -> bool:
    """Whether the connection died, as opposed to a time limit or a refusal to connect."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return False
        if isinstance(seen, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
