"""Puts a refusal of a service where it belongs in a form."""

from __future__ import annotations

from flask_wtf import FlaskForm

from gateway.errors import GatewayError, InvalidFields
from gateway.web.words import translated


def into_form(form: FlaskForm, error: GatewayError) -> None:
    """Show what is wrong at the fields concerned, or above the form where it has none of them.

    `form.elsewhere` names the fields of a form that stand for others.
    """
    problems = (
        error.sentences() if isinstance(error, InvalidFields) else [(error.param, error.message)]
    )
    for param, sentence in problems:
        whole = (param or "").partition(".")[0]
        name = whole.partition("[")[0]
        elsewhere = getattr(form, "elsewhere", {})
        name = elsewhere.get(whole) or elsewhere.get(name, name)
        target = form[name] if name in form else next(iter(form))
        target.errors = [*target.errors, translated(sentence)]
