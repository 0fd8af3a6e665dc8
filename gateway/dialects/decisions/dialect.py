"""`POST /v1/decisions` (docs/contract/decisions.md): OpenAI's questions, put to Ollama as its own.

    predicate    noul
    choice       choice, its options by names: values are texts or booleans, and go back as such
    score        score, each level by its label and description

Ollama wants a name for each question: who gave none gets a number there, and null back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from gateway.core.chat import EMPTY, DecisionRequest, Decisions, Json, Question
from gateway.dialects.base import DecisionDialect, Reading
from gateway.dialects.decisions.input import read_content, read_state
from gateway.dialects.shared.openai import OPENAI
from gateway.dialects.shared.params import root_of
from gateway.dialects.shared.questions import (
    check_options,
    check_questions,
    read_decision_params,
    read_ignored,
)
from gateway.dialects.shared.reading import (
    Fields,
    invalid,
    missing,
    read_end_user,
    read_model,
    wrong_type,
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question: `name` is the caller's, None where there is none; `values` are of a choice,
    by Ollama's names of them, `labels` of the levels of a score."""

    name: str | None
    question: Question
    values: Mapping[str, str | bool] = field(default_factory=lambda: EMPTY)
    labels: tuple[str, ...] = ()


def parse(body: Mapping[str, Json], reading: Reading) -> DecisionRequest:
    """Read a request of OpenAI's form. Raises InvalidRequest."""
    root = root_of(body)
    check_questions(root.items("questions"))
    asked = [_question(question) for question in root.objects("questions")]
    names = _names(asked)
    return DecisionRequest(
        model=read_model(root),
        state=read_state(root, reading.behaviour.max_messages),
        questions={name: one.question for name, one in zip(names, asked, strict=True)},
        params=read_decision_params(body),
        ignored=read_ignored(root),
        end_user=read_end_user(root),
        extra=asked,
    )


def render(decisions: Decisions, request: DecisionRequest) -> bytes:
    """Return the whole answer as JSON, answers in the order of the questions."""
    found = zip(request.extra, decisions.answers.values(), strict=True)
    prompt, completion = decisions.prompt_tokens, decisions.completion_tokens
    return orjson.dumps(
        {
            "model": request.model,
            "answers": [_answer(one, answer) for one, answer in found],
            "usage": {
                "input_tokens": prompt,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": completion,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": prompt + completion,
            },
        }
    )


def _question(question: Fields) -> _Asked:
    name = question.text("name")
    if name is not None and not name.strip():
        raise invalid(f"{question.path('name')!r} must not be blank.", question.path("name"))
    instructions = read_content(question, "instructions")
    match question.word("type", ("predicate", "choice", "score")):
        case "predicate":
            return _Asked(name, Question("noul", instructions))
        case "choice":
            return _choice(name, instructions, question)
        case "score":
            return _score(name, instructions, question)
        case _:
            raise missing(question.path("type"))


def _choice(name: str | None, instructions: Json, question: Fields) -> _Asked:
    check_options(question.items("choices"), question.path("choices"))
    described: dict[tuple[bool, str | bool], str | None] = {}
    for choice in question.objects("choices"):
        value = _value(choice)
        known = (isinstance(value, bool), value)
        if known in described:
            raise invalid(f"{choice.path('value')!r} stands there twice.", choice.path("value"))
        described[known] = choice.text("description")
    texts = {value for _, value in described if isinstance(value, str)}
    values = {
        value if isinstance(value, str) else _unlike(str(value).lower(), texts): value
        for _, value in described
    }
    criteria = dict(zip(values, described.values(), strict=True))
    return _Asked(name, Question("choice", instructions, criteria), values)


def _value(choice: Fields) -> str | bool:
    value = choice.get("value")
    if value is None or (isinstance(value, str) and not value.strip()):
        raise missing(choice.path("value"))
    if not isinstance(value, str | bool):
        raise wrong_type(choice.path("value"), "a string or a boolean", value)
    return value


def _score(name: str | None, instructions: Json, question: Fields) -> _Asked:
    check_options(question.items("levels"), question.path("levels"))
    levels = [
        (level.required_text("label"), level.text("description"))
        for level in question.objects("levels")
    ]
    criteria = tuple(f"{label}: {about}" if about else label for label, about in levels)
    labels = tuple(label for label, _ in levels)
    return _Asked(name, Question("score", instructions, criteria), labels=labels)


def _names(asked: Sequence[_Asked]) -> list[str]:
    """Return a name for each question, none twice: its number where it has none."""
    given: set[str] = set()
    for at, one in enumerate(asked):
        if one.name in given:
            raise invalid("Two questions have the same name.", f"questions[{at}].name")
        if one.name is not None:
            given.add(one.name)
    numbers = (_unlike(str(at), given) for at in range(1, len(asked) + 1))
    return [
        number if one.name is None else one.name for number, one in zip(numbers, asked, strict=True)
    ]


def _unlike(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken, the wanted one if it can be."""
    while name in taken:
        name += "'"
    return name


def _answer(asked: _Asked, answer: Mapping[str, Json]) -> dict[str, Json]:
    """Make OpenAI's answer of Ollama's."""
    if asked.question.kind == "noul":
        return {"type": "predicate", "name": asked.name, "probability": answer["noul"]}
    shares = answer["probabilities"]
    found = {"type": asked.question.kind, "name": asked.name, "confidence": answer["confidence"]}
    if asked.question.kind == "choice":
        return {
            **found,
            "choice": asked.values[answer["choice"]],
            "probabilities": [
                {"value": value, "probability": shares[key]} for key, value in asked.values.items()
            ],
        }
    return {
        **found,
        "score": answer["score"],
        "probabilities": [
            {"label": label, "value": number, "probability": shares[str(number)]}
            for number, label in enumerate(asked.labels)
        ],
    }


DECISIONS = DecisionDialect(
    name="decisions",
    label="decisions",
    vendor=OPENAI,
    paths=("/v1/decisions", "/decisions"),
    prompt_param="input",
    parse=parse,
    render=render,
)
