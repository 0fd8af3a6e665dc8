"""What questions for a decision model have in common, in whatever form they come."""

from __future__ import annotations

from collections.abc import Mapping, Sized

from gateway.core.chat import Json, Params
from gateway.dialects.shared.params import FOR_ANSWERS, read_params
from gateway.dialects.shared.reading import Fields, invalid, missing

MAX_QUESTIONS = 400
FEWEST_OPTIONS = 2
MOST_OPTIONS = 26


def read_decision_params(body: Mapping[str, Json]) -> Params:
    """Return how a decision model is to be loaded, and how long it may take: nothing else steers
    such an answer. Raises InvalidRequest."""
    said, _ = read_params(body, {}, own=FOR_ANSWERS)
    return Params(options=said.options, keep_alive=said.keep_alive, timeout_ms=said.timeout_ms)


def read_ignored(root: Fields) -> tuple[str, ...]:
    """Return what is ignored with notice: such an answer comes whole. Raises InvalidRequest."""
    return ("stream",) if root.flag("stream") else ()


def check_questions(questions: Sized) -> None:
    """Raise InvalidRequest for no questions, or more than `MAX_QUESTIONS`."""
    if not questions:
        raise missing("questions")
    if len(questions) > MAX_QUESTIONS:
        raise invalid(f"At most {MAX_QUESTIONS} questions are allowed.", "questions")


def check_options(options: Sized, param: str) -> None:
    """Raise InvalidRequest for fewer options, or levels, than two or more than `MOST_OPTIONS`."""
    if not FEWEST_OPTIONS <= len(options) <= MOST_OPTIONS:
        raise invalid(f"{param!r} must have {FEWEST_OPTIONS} to {MOST_OPTIONS} entries.", param)


def required(question: Fields, name: str) -> Json:
    """Return a value that must be there and, if a text, say something. Raises InvalidRequest."""
    value = question.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise missing(question.path(name))
    return value
