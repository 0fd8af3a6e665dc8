"""How a view answers a form: with what is wrong in it, or with a question first."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from flask import render_template, request
from flask_wtf import FlaskForm
from wtforms import Field

from gateway.admin.edits import Edited, EditForm, is_changed_meanwhile
from gateway.errors import (
    Forbidden,
    GatewayError,
    InvalidFields,
    InvalidRequest,
    Message,
    RateLimited,
)
from gateway.web.words import _, translated

T = TypeVar("T")
_ENTRY = re.compile(r"\[(\d+)\]$")


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
    if isinstance(error, InvalidFields):
        for (param, problem), (_name, sentence) in zip(
            error.problems, error.sentences(), strict=True
        ):
            target = _field_of(form, param)
            words = translated(sentence) if target is None else _below(target, param, problem)
            _complain(form, target, words)
    else:
        _complain(form, _field_of(form, error.param or ""), translated(error.message))


def _field_of(form: FlaskForm, param: str) -> Field | None:
    """Return the field that a problem concerns, None where the form has none for it."""
    elsewhere = getattr(form, "elsewhere", {})
    whole = param.partition(".")[0]
    name = whole.partition("[")[0]
    name = elsewhere.get(whole) or elsewhere.get(name, name)
    return next((field for field in form if field.name == name), None)


def _below(field: Field, param: str, problem: Message) -> str:
    """Return a problem as a sentence that stands below its field, whose label names it."""
    entry = _ENTRY.search(param)
    if entry is not None and field.type == "LinesField":
        return _("Line %(line)s: %(problem)s.", line=int(entry[1]) + 1, problem=translated(problem))
    words = _("%(problem)s.", problem=translated(problem))
    return words[:1].upper() + words[1:]


def _complain(form: FlaskForm, target: Field | None, words: str) -> None:
    field = next(iter(form)) if target is None else target
    field.errors = [*field.errors, words]


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
