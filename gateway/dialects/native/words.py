"""What every answer of Ollama's own API has in common: its errors and its times
(docs/contract/native.md)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from gateway.core.chat import Json
from gateway.dialects.base import Vendor
from gateway.errors import GatewayError

NEVER = "0001-01-01T00:00:00Z"
"""How Ollama writes a time nobody knows."""


def error_body(error: GatewayError) -> Json:
    """Return an error as Ollama writes it: a sentence and nothing else."""
    return {"error": error.message or error.code}


def written(moment: datetime | None) -> str:
    """Return a moment in RFC 3339 and UTC; `NEVER` where none is known."""
    if moment is None:
        return NEVER
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _headers(request_id: str, version: str | None, elapsed_ms: int) -> Iterable[tuple[str, str]]:
    return (("x-request-id", request_id),)


NATIVE = Vendor(
    "ollama", lambda error, request_id, prompt_param: error_body(error), _headers, ("/api/",)
)
