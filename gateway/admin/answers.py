"""How a view answers a form: with what is wrong in it, or with a question first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from flask import render_template, request
from flask_wtf import FlaskForm

from gateway.admin.edits import Edited, EditForm, is_changed_meanwhile
from gateway.errors import Forbidden, GatewayError, InvalidFields, InvalidRequest, RateLimited
from gateway.web.words import translated

T = TypeVar("T")


def sent(form: FlaskForm, work: Callable[[], T]) -> T | None:
    """Return what `work` gives when the form was sent and is right; None otherwise, and what was
    refused then stands in the form."""
    if not form.validate_on_submit():
        return None
    return _done(form, work)


def edited(form: EditForm, what: Edited, work: Callable[[], T]) -> T | None:
    """Return what `work` gives as `sent` does, unless what the form changes was changed since the
    form was opened: that stands in the form then."""
    is_right = form.validate_on_submit()
    if is_changed_meanwhile(form, what) or not is_right:
        return None
    return _done(form, work)


def _done(form: FlaskForm, work: Callable[[], T]) -> T | None:
    try:
        return work()
    except (InvalidRequest, Forbidden, RateLimited) as error:
        into_form(form, error)
        return None


def into_form(form: FlaskForm, error: GatewayError) -> None:
    """Show what is wrong at the fields concerned, or above the form where it has none of them.

    `form.elsewhere` names the fields of a form that stand for others.
    """
    problems = (
        error.sentences() if isinstance(error, InvalidFields) else [(error.param, error.message)]
    )
    elsewhere = getattr(form, "elsewhere", {})
    for param, sentence in problems:
        whole = (param or "").partition(".")[0]
        name = whole.partition("[")[0]
        name = elsewhere.get(whole) or elsewhere.get(name, name)
        target = form[name] if name in form else next(iter(form))
        target.errors = [*target.errors, translated(sentence)]


@dataclass(frozen=True, slots=True)
class Question:
    """What is about to happen and cannot be undone. `effects` name what it touches; `typed` must
    be typed first."""

    title: str
    yes: str
    back: str
    back_words: str
    effects: Sequence[str] = ()
    typed: str = ""


def asked(question: Question) -> str | None:
    """Return the page with a question; None once it was sent, with the right word typed."""
    is_sent = request.method == "POST"
    if is_sent and request.form.get("typed", "").strip() == question.typed:
        return None
    return render_template("admin/confirm.html", question=question, mistyped=is_sent)
