"""Puts a refusal of a service where it belongs in a form."""

from __future__ import annotations

from flask_wtf import FlaskForm

from gateway.errors import GatewayError
from gateway.web.service_messages import translated

_ELSEWHERE = {"model_ids": "models", "allow": "patterns", "expires_at": "expires_on"}


def into_form(form: FlaskForm, error: GatewayError) -> None:
    """Show `error` at the field its `param` names, or above the form where none does."""
    name = (error.param or "").partition(".")[0].partition("[")[0]
    name = _ELSEWHERE.get(name, name)
    target = form[name] if name in form else next(iter(form))
    target.errors = [*target.errors, translated(error.message)]
