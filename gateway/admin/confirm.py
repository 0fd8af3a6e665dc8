"""Asks before something cannot be undone: one page that says what will be affected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from flask import render_template, request


@dataclass(frozen=True, slots=True)
class Question:
    """What is about to happen. `effects` name what else it touches; `typed` must be typed first."""

    title: str
    yes: str
    back: str
    back_words: str
    words: str = ""
    effects: Sequence[str] = ()
    refusal: str = ""
    typed: str = ""
    mistyped: bool = False
    danger: bool = True
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)


def answered(question: Question) -> bool:
    """Return whether the page was sent, with the right word typed."""
    if request.method != "POST":
        return False
    return not question.typed or request.form.get("typed", "").strip() == question.typed


def page(question: Question) -> str:
    """Return the page with the question; a wrong word is pointed out."""
    mistyped = request.method == "POST" and bool(question.typed)
    return render_template("admin/confirm.html", question=replace(question, mistyped=mistyped))
