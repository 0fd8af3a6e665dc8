"""What helps against a failed call."""

from __future__ import annotations

from flask import url_for

from gateway.web.words import _

_LIMITS = frozenset({"rate_limit_exceeded", "insufficient_quota", "concurrency_limit_exceeded"})
_AWAY = frozenset({"upstream_unreachable", "upstream_disconnected", "no_upstream_available"})
_SLOW = frozenset({"upstream_timeout", "upstream_busy"})


def advice(
    code: str, *, key: tuple[int | None, str], model: tuple[int | None, str]
) -> tuple[str, str, str] | None:
    """Return what helps against a failure with this code, the name of the page where it can be
    done, and its address; None where nothing sure can be said. `key` and `model` are each an id
    and a name."""
    key_id, key_name = key
    model_id, model_name = model
    if code in _LIMITS and key_id:
        return (
            _("This key reached its limit. Raise it, or let the app send fewer requests."),
            _("Limits of %(name)s", name=key_name),
            url_for("admin.key_edit", key_id=key_id, open="limits"),
        )
    if code == "model_access_denied" and key_id:
        link = _("Models of %(name)s", name=key_name)
        url = url_for("admin.key_edit", key_id=key_id)
        return _("The key may not use this model."), link, url
    if code == "permission_denied" and key_id:
        link = _("Endpoints of %(name)s", name=key_name)
        url = url_for("admin.key_edit", key_id=key_id)
        return _("Allow the key what this app calls."), link, url
    if code == "model_not_found":
        words = _("Pull the model, or add this name as an alias of one you have.")
        return words, _("Models"), url_for("admin.models")
    if code == "tools_not_supported":
        return _("Choose a model that can call tools."), _("Models"), url_for("admin.models")
    if code == "context_length_exceeded":
        words = _("Give the model a larger num_ctx, or let the app send less.")
        if model_id is None:
            return words, _("Models"), url_for("admin.models")
        place = url_for("admin.model_parameters", model_id=model_id)
        return words, _("Parameters of %(name)s", name=model_name), place
    if code in _AWAY:
        words = _("Check that Ollama is running and reachable; a test says what is wrong.")
        return words, _("Servers"), url_for("admin.servers")
    if code in _SLOW:
        words = _("Ollama was busy or slow: look at what is loaded and running.")
        return words, _("Dashboard"), url_for("admin.dashboard")
    return None
