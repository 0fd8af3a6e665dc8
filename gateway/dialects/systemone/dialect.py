"""`POST /v1/systemone` (docs/contract/decisions.md): the questions of Ollama's own client."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from gateway.core.chat import DecisionRequest, Decisions, Json, Question
from gateway.dialects.base import DecisionDialect, Reading
from gateway.dialects.shared.openai import OPENAI
from gateway.dialects.shared.params import root_of
from gateway.dialects.shared.questions import (
    check_options,
    check_questions,
    read_decision_params,
    read_ignored,
    required,
)
from gateway.dialects.shared.reading import (
    Fields,
    as_list,
    as_text,
    invalid,
    missing,
    read_end_user,
    read_model,
    wrong_type,
)

_OUTCOMES = ("false", "true")


def parse(body: Mapping[str, Json], reading: Reading) -> DecisionRequest:
    """Read a request of Ollama's form. Raises InvalidRequest."""
    root = root_of(body)
    questions = root.required_fields("questions")
    check_questions(questions.raw)
    return DecisionRequest(
        model=read_model(root),
        state=_content(root, "state"),
        questions={name: _question(questions, name) for name in questions.raw},
        params=read_decision_params(body),
        ignored=read_ignored(root),
        end_user=read_end_user(root),
    )


def render(decisions: Decisions, request: DecisionRequest) -> bytes:
    """Return the whole answer as JSON, answers in the order of the questions."""
    return orjson.dumps(
        {
            "model": request.model,
            "answers": decisions.answers,
            "usage": {
                "input_tokens": decisions.prompt_tokens,
                "output_tokens": decisions.completion_tokens,
            },
        }
    )


def _question(questions: Fields, name: str) -> Question:
    if not name.strip():
        raise invalid("The name of a question must not be blank.", "questions")
    question = questions.required_fields(name)
    instructions = _content(question, "instructions")
    match question.word("type", ("choice", "noul", "score")):
        case "choice":
            options = question.required_fields("criteria")
            check_options(options.raw, options.where)
            return Question("choice", instructions, _descriptions(options))
        case "noul":
            outcomes = question.fields("criteria")
            return Question("noul", instructions, None if outcomes is None else _outcomes(outcomes))
        case "score":
            param = question.path("criteria")
            levels = as_list(required(question, "criteria"), param)
            check_options(levels, param)
            texts = (as_text(text, f"{param}[{at}]") for at, text in enumerate(levels))
            return Question("score", instructions, tuple(texts))
        case _:
            raise missing(question.path("type"))


def _content(fields: Fields, name: str) -> Json:
    """Return a text, or JSON that the model reads as text."""
    value = required(fields, name)
    if not isinstance(value, str | Mapping | list):
        raise wrong_type(fields.path(name), "a string, an object or a list", value)
    return value


def _descriptions(options: Fields) -> dict[str, str | None]:
    """Return what each option means; None where its name says it."""
    if not all(name.strip() for name in options.raw):
        raise invalid(f"An option of {options.where!r} must not be blank.", options.where)
    return {name: options.text(name) for name in options.raw}


def _outcomes(outcomes: Fields) -> dict[str, str | None]:
    for name in outcomes.raw:
        if name not in _OUTCOMES:
            raise invalid(f"{outcomes.where!r} may hold 'false' and 'true' only.", outcomes.where)
    said = {name: outcomes.text(name) for name in _OUTCOMES}
    return {name: text for name, text in said.items() if text is not None}


SYSTEMONE = DecisionDialect(
    name="systemone",
    label="decisions",
    vendor=OPENAI,
    paths=("/v1/systemone", "/systemone"),
    prompt_param="state",
    scope_of="decisions",
    parse=parse,
    render=render,
)
