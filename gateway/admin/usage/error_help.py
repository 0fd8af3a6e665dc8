"""What helps when a call failed: one sentence and the page where it can be done."""

from __future__ import annotations

from dataclasses import dataclass

from flask import url_for

from gateway.core.requests import CallRow
from gateway.web.words import _

_LIMITS = frozenset({"rate_limit_exceeded", "insufficient_quota", "concurrency_limit_exceeded"})
_AWAY = frozenset({"upstream_unreachable", "upstream_disconnected", "no_upstream_available"})
_SLOW = frozenset({"upstream_timeout", "upstream_busy"})


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, and where: `link` names the page at `url`."""

    words: str
    link: str
    url: str


def advice(call: CallRow) -> Advice | None:
    """Return what helps against the failure of `call`; None where nothing sure can be said."""
    code = call.error_code
    if code in _LIMITS and call.key_id:
        return Advice(
            _("The key used up what it may. Raise its limits, or let the app call less often."),
            _("Limits of %(name)s", name=call.key_name),
            url_for("admin.key_edit", key_id=call.key_id, open="limits"),
        )
    if code == "model_access_denied" and call.key_id:
        return Advice(
            _("The key may not use this model."),
            _("Models of %(name)s", name=call.key_name),
            url_for("admin.key_edit", key_id=call.key_id),
        )
    if code == "model_not_found":
        return Advice(
            _("Pull the model, or give this name to one you have, as a further name."),
            _("Models"),
            url_for("admin.models"),
        )
    if code == "context_length_exceeded":
        words = _("Give the model a larger num_ctx, or let the app send less.")
        if call.model_id is None:
            return Advice(words, _("Models"), url_for("admin.models"))
        place = url_for("admin.model_parameters", model_id=call.model_id)
        return Advice(words, _("Parameters of %(name)s", name=call.model), place)
    if code in _AWAY:
        return Advice(
            _("Look whether Ollama runs there and can be reached; a test says what is wrong."),
            _("Servers"),
            url_for("admin.servers"),
        )
    if code in _SLOW:
        return Advice(
            _("Ollama was busy or slow: look at what is loaded and running."),
            _("Now"),
            url_for("admin.now"),
        )
    return None
