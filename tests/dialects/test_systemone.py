"""Ollama's form of typed questions."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.core.chat import DecisionRequest, Decisions, Question
from gateway.dialects.systemone import dialect
from gateway.ollama import wire
from tests.dialects.making import reading, refusal

NOUL = {"type": "noul", "instructions": "Is it safe?"}
CHOICE = {"type": "choice", "instructions": ["Which", 1], "criteria": {"a": None, "b": "The bay."}}
SCORE = {"type": "score", "instructions": {"how": "high"}, "criteria": ["low", "middle", "high"]}
QUESTIONS = {"safe": NOUL, "way": CHOICE, "height": SCORE}


def parse(**fields: Any) -> DecisionRequest:
    body = {"model": "nimble", "state": "The tide.", "questions": QUESTIONS, **fields}
    return dialect.parse(body, reading())


def test_what_is_asked_reaches_ollama_as_it_is() -> None:
    body = wire.body(parse(keep_alive="300", options={"num_ctx": 4096}), "nimble:latest")

    assert orjson.loads(orjson.dumps(body)) == {
        "model": "nimble:latest",
        "state": "The tide.",
        "questions": QUESTIONS,
        "keep_alive": 300,
        "options": {"num_ctx": 4096},
    }


def test_a_stream_is_ignored_with_notice() -> None:
    assert parse(stream=True).ignored == ("stream",)
    assert parse(stream=False).ignored == ()


def test_outcomes_may_be_described() -> None:
    asked = parse(questions={"safe": {**NOUL, "criteria": {"true": "Calm.", "false": None}}})

    assert asked.questions["safe"] == Question("noul", "Is it safe?", {"true": "Calm."})


def test_the_answer_is_ollamas_with_the_clients_name() -> None:
    answers = {"safe": {"type": "noul", "noul": 0.25}}

    assert orjson.loads(dialect.render(Decisions(answers, 7, 1), parse())) == {
        "model": "nimble",
        "answers": answers,
        "usage": {"input_tokens": 7, "output_tokens": 1},
    }


def asking(question: Any) -> dict[str, Any]:
    return {"questions": {"q": question}}


MISSING, VALUE, TYPE = "missing_required_parameter", "invalid_value", "invalid_type"
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no model": ({"model": None}, MISSING, "model"),
    "no state": ({"state": None}, MISSING, "state"),
    "blank state": ({"state": " "}, MISSING, "state"),
    "state of a number": ({"state": 5}, TYPE, "state"),
    "questions missing": ({"questions": None}, MISSING, "questions"),
    "no questions": ({"questions": {}}, MISSING, "questions"),
    "too many questions": (
        {"questions": {str(n): NOUL for n in range(401)}}, VALUE, "questions"),
    "questions in a list": ({"questions": [NOUL]}, TYPE, "questions"),
    "blank name": ({"questions": {"": NOUL}}, VALUE, "questions"),
    "question of a text": (asking("Is it?"), TYPE, "questions.q"),
    "no type": (asking({**NOUL, "type": None}), MISSING, "questions.q.type"),
    "unknown type": (asking({**NOUL, "type": "predicate"}), VALUE, "questions.q.type"),
    "no instructions": (asking({"type": "noul"}), MISSING, "questions.q.instructions"),
    "instructions of a flag": (
        asking({**NOUL, "instructions": True}), TYPE, "questions.q.instructions"),
    "outcomes in a list": (asking({**NOUL, "criteria": ["no"]}), TYPE, "questions.q.criteria"),
    "unknown outcome": (
        asking({**NOUL, "criteria": {"maybe": "x"}}), VALUE, "questions.q.criteria"),
    "no options": (asking({**CHOICE, "criteria": None}), MISSING, "questions.q.criteria"),
    "one option": (asking({**CHOICE, "criteria": {"a": None}}), VALUE, "questions.q.criteria"),
    "too many options": (
        asking({**CHOICE, "criteria": dict.fromkeys(map(str, range(27)))}), VALUE,
        "questions.q.criteria"),
    "blank option": (
        asking({**CHOICE, "criteria": {"a": None, " ": None}}), VALUE, "questions.q.criteria"),
    "option of a number": (
        asking({**CHOICE, "criteria": {"a": 1, "b": None}}), TYPE, "questions.q.criteria.a"),
    "no levels": (asking({**SCORE, "criteria": None}), MISSING, "questions.q.criteria"),
    "one level": (asking({**SCORE, "criteria": ["low"]}), VALUE, "questions.q.criteria"),
    "too many levels": (
        asking({**SCORE, "criteria": ["x"] * 27}), VALUE, "questions.q.criteria"),
    "level of a number": (
        asking({**SCORE, "criteria": ["low", 1]}), TYPE, "questions.q.criteria[1]"),
    "levels in an object": (asking({**SCORE, "criteria": {"a": "b"}}), TYPE,
     "questions.q.criteria"),
    "keep_alive": ({"keep_alive": "soon"}, VALUE, "keep_alive"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "code", "param"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_asked_is_refused(fields: dict[str, Any], code: str, param: str) -> None:
    body = {"model": "nimble", "state": "The tide.", "questions": QUESTIONS, **fields}

    assert refusal(body, dialect) == (code, param)
