"""Short words for how a request ended: of its error code, and of its outcome."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.admin import bp
from gateway.core.requests import CallRow
from gateway.web.words import _, _l

ERRORS: Mapping[str, str] = {
    "concurrency_limit_exceeded": _l("concurrency limit"),
    "context_length_exceeded": _l("context too long"),
    "decisions_not_supported": _l("not supported"),
    "image_too_large": _l("image too large"),
    "insufficient_quota": _l("budget used up"),
    "invalid_json": _l("invalid JSON"),
    "invalid_request": _l("invalid request"),
    "invalid_type": _l("invalid request"),
    "invalid_value": _l("invalid request"),
    "missing_required_parameter": _l("invalid request"),
    "model_access_denied": _l("model not allowed"),
    "model_not_found": _l("model not found"),
    "no_upstream_available": _l("no server"),
    "permission_denied": _l("not permitted"),
    "previous_response_not_found": _l("response not found"),
    "rate_limit_exceeded": _l("rate limit"),
    "request_timeout": _l("slow client"),
    "request_too_large": _l("request too large"),
    "shutting_down": _l("gateway stopping"),
    "store_unavailable": _l("database away"),
    "tool_call_parse_error": _l("invalid tool call"),
    "tools_not_supported": _l("not supported"),
    "unsupported_parameter": _l("not supported"),
    "unsupported_type": _l("not supported"),
    "unsupported_value": _l("not supported"),
    "upstream_bad_response": _l("Ollama error"),
    "upstream_busy": _l("Ollama busy"),
    "upstream_disconnected": _l("Ollama disconnected"),
    "upstream_error": _l("Ollama error"),
    "upstream_forbidden": _l("Ollama refused"),
    "upstream_invalid_request": _l("Ollama refused"),
    "upstream_rate_limited": _l("Ollama busy"),
    "upstream_timeout": _l("Ollama timeout"),
    "upstream_unauthorized": _l("Ollama refused"),
    "upstream_unreachable": _l("Ollama unreachable"),
    "worker_lost": _l("gateway ended"),
}


@bp.app_template_filter()
def error_label(call: CallRow) -> str:
    """Return two or three words for the error of a call; its status where its code has none."""
    known = ERRORS.get(call.error_code)
    return _("error %(status)s", status=call.status) if known is None else str(known)


@bp.app_template_filter()
def call_state(call: CallRow) -> tuple[str, str, str, str]:
    """Return how a call ended as a state is drawn: kind, words, icon ("" for that of the kind),
    title."""
    if not call.settled:
        return "info", _("running"), "hourglass-split", ""
    if call.status == 499 or call.finish == "client_closed":
        return "secondary", _("client disconnected"), "", ""
    if call.finish == "cancelled":
        return "secondary", _("cancelled"), "slash-circle", ""
    if not call.failed:
        return "success", _("OK"), "", ""
    kind = "danger" if call.status >= 500 or call.status < 400 else "warning"
    title = ": ".join(filter(None, (call.error_code, call.error_message)))
    return kind, error_label(call), "", title


@bp.app_template_filter()
def outcome_words(call: CallRow) -> str:
    """Return a word for how a call ended, to follow its model and key."""
    if not call.settled:
        return _("running")
    if call.status == 499 or call.finish == "client_closed":
        return _("client disconnected")
    if call.finish == "cancelled":
        return _("cancelled")
    if not call.failed:
        return _("answered")
    return _("refused") if 400 <= call.status < 500 else _("failed")
