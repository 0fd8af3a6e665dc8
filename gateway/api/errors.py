"""Refusals in the caller's language, and the headers they carry."""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Request, Response
from werkzeug.exceptions import HTTPException

from gateway.api.answers import as_json
from gateway.dialects.base import Endpoint
from gateway.errors import (
    GatewayError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    fault,
)

log = logging.getLogger(__name__)

MAX_RETRY_AFTER_S = 60

_KNOWN_UNSUPPORTED = (
    "moderations", "images", "audio", "files", "batches", "fine_tuning", "vector_stores",
    "assistants", "threads", "realtime", "conversations", "videos", "evals", "containers",
    "uploads", "skills", "chatkit", "organization", "rerank", "live", "edits",
)  # fmt: skip


def response_for(error: GatewayError, endpoint: Endpoint, request_id: str) -> Response:
    """Return the whole error response: body, status, and the headers SDKs act on (D50)."""
    response = as_json(endpoint.error_body(error, request_id), error.status)
    headers = response.headers
    should_retry = error.should_retry
    if error.retry_after_s is not None:
        if error.retry_after_s > MAX_RETRY_AFTER_S and should_retry is None:
            should_retry = False
        headers["Retry-After"] = str(max(1, min(error.retry_after_s, MAX_RETRY_AFTER_S)))
    if should_retry is not None:
        headers["x-should-retry"] = "true" if should_retry else "false"
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    headers.update(error.headers)
    return response


def logged_fault(error: Exception, request_id: str) -> GatewayError:
    """Log a fault of ours, places without values, and return what the caller is told."""
    log.error("fault in the gateway", exc_info=error)
    return fault(request_id)


def from_http(error: HTTPException, request: Request) -> GatewayError:
    """Turn what Werkzeug raises while routing or reading into ours."""
    status = error.code or 500
    if status == HTTPStatus.NOT_FOUND:
        return unknown_path(request.method, request.path)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        return MethodNotAllowed(
            f"{request.method} is not allowed on {request.path[:200]}; allowed: {allowed}.",
            headers={"Allow": allowed},
        )
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge("The request body is too large.", headers={"Connection": "close"})
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return InvalidRequest(error.description or "Bad request.", code="invalid_request")
    return GatewayError("The gateway failed on this request.")


def unknown_path(method: str, path: str) -> NotFound:
    """Return the honest 404: a known endpoint Ollama cannot serve, or one nobody knows (D52)."""
    shown = f"{method} {path[:200]}"
    parts = [part for part in path.split("/") if part and part not in {"v1", "anthropic"}]
    known = bool(parts) and (
        parts[0] in _KNOWN_UNSUPPORTED
        or parts[:2] == ["messages", "batches"]
        or (parts[0] == "responses" and parts[-1] == "compact")
        or parts[:2] == ["chat", "completions"]
        or (parts[0] == "models" and method == "DELETE")
    )
    if known:
        return NotFound(f"{shown} is not supported by this gateway", code="unsupported_endpoint")
    return NotFound(f"{shown} does not exist here", code="unknown_url")
