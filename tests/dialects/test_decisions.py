"""OpenAI's form of typed questions, to Ollama's and back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.core.chat import DecisionRequest, Decisions
from gateway.dialects.decisions import dialect
from gateway.ollama import wire
from tests.dialects.making import reading, refusal

PREDICATE = {"type": "predicate", "name": "safe", "instructions": "It is safe."}
CHOICE = {
    "type": "choice",
    "instructions": "Go?",
    "choices": [{"value": True}, {"value": "true", "description": "The word."}, {"value": "no"}],
}
SCORE = {
    "type": "score",
    "name": "height",
    "instructions": [
        {"type": "input_text", "text": "How"},
        {"type": "input_text", "text": "high?"},
    ],
    "levels": [{"label": "low"}, {"label": "high", "description": "Above the wall."}],
}
QUESTIONS = [PREDICATE, CHOICE, SCORE]


def parse(**fields: Any) -> DecisionRequest:
    body = {"model": "nimble", "input": "The tide.", "questions": QUESTIONS, **fields}
    return dialect.parse(body, reading())


def sent(**fields: Any) -> Any:
    return orjson.loads(wire.encode(parse(**fields), "nimble:latest"))


def test_questions_become_ollamas() -> None:
    assert sent(keep_alive=60, temperature=1) == {
        "model": "nimble:latest",
        "state": "The tide.",
        "questions": {
            "safe": {"type": "noul", "instructions": "It is safe."},
            "2": {
                "type": "choice",
                "instructions": "Go?",
                "criteria": {"true'": None, "true": "The word.", "no": None},
            },
            "height": {
                "type": "score",
                "instructions": "How\nhigh?",
                "criteria": ["low", "high: Above the wall."],
            },
        },
        "keep_alive": 60,
        "options": {"temperature": 1},
    }


def test_answers_become_openais() -> None:
    shares = {"true'": 0.5, "true": 0.25, "no": 0.25}
    answers = {
        "safe": {"type": "noul", "noul": 0.75},
        "2": {"type": "choice", "choice": "true'", "probabilities": shares, "confidence": 0.1},
        "height": {
            "type": "score",
            "score": 0.4,
            "legend": {"0": "low", "1": "high: Above the wall."},
            "probabilities": {"1": 0.4, "0": 0.6},
            "confidence": 0.2,
        },
    }

    assert orjson.loads(dialect.render(Decisions(answers, 30, 3), parse())) == {
        "model": "nimble",
        "answers": [
            {"type": "predicate", "name": "safe", "probability": 0.75},
            {
                "type": "choice",
                "name": None,
                "choice": True,
                "confidence": 0.1,
                "probabilities": [
                    {"value": True, "probability": 0.5},
                    {"value": "true", "probability": 0.25},
                    {"value": "no", "probability": 0.25},
                ],
            },
            {
                "type": "score",
                "name": "height",
                "score": 0.4,
                "confidence": 0.2,
                "probabilities": [
                    {"label": "low", "value": 0, "probability": 0.6},
                    {"label": "high", "value": 1, "probability": 0.4},
                ],
            },
        ],
        "usage": {
            "input_tokens": 30,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 33,
        },
    }


def test_a_number_that_is_a_name_is_not_given_again() -> None:
    questions = [{**PREDICATE, "name": "2"}, CHOICE, {**CHOICE, "name": "2'"}]

    assert list(parse(questions=questions).questions) == ["2", "2''", "2'"]


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


TEXT = {"type": "input_text", "text": "The"}
TIDE = {"type": "input_text", "text": "tide."}
DATA = {"type": "input_json", "data": {"m": 2}}
CALL = {"type": "function_call", "call_id": "c", "name": "tide", "arguments": "{}", "id": "f"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": [TEXT, TIDE]}
CUSTOM = {"type": "custom_tool_call", "call_id": "c", "name": "look", "input": "at it"}
STATES: dict[str, tuple[Any, Any]] = {
    "a text": ("The tide.", "The tide."),
    "one message": ([user("The tide.")], "The tide."),
    "texts": ([user([TEXT, TIDE])], "The\ntide."),
    "JSON": ([user([DATA])], {"m": 2}),
    "a list of JSON": ([user([{**DATA, "data": [{"m": 2}]}])], [{"m": 2}]),
    "texts and JSON": ([user([TEXT, DATA])], ["The", {"m": 2}]),
    "messages": (
        [
            {"role": "developer", "content": "Be brief."},
            {"type": "message", **user("Low?"), "phase": None},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Yes."},
                                              {"type": "refusal", "refusal": "No."}]},
        ],
        [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Low?"},
            {"role": "assistant", "content": "Yes.\nNo."},
        ],
    ),
    "one message of the system": (
        [{"role": "system", "content": "The tide."}],
        [{"role": "system", "content": "The tide."}],
    ),
    "calls": (
        [CALL, OUTPUT, CUSTOM, {"type": "custom_tool_call_output", "call_id": "c", "output": "x"}],
        [
            {"type": "function_call", "call_id": "c", "name": "tide", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "The\ntide."},
            {"type": "custom_tool_call", "call_id": "c", "name": "look", "input": "at it"},
            {"type": "custom_tool_call_output", "call_id": "c", "output": "x"},
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "state"), STATES.values(), ids=STATES)
def test_the_input_becomes_one_state(given: Any, state: Any) -> None:
    assert parse(input=given).state == state


def asking(question: Any) -> dict[str, Any]:
    return {"questions": [question]}


def choices(*values: Any) -> dict[str, Any]:
    return asking({**CHOICE, "choices": [{"value": value} for value in values]})


IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
MISSING, VALUE, TYPE = "missing_required_parameter", "invalid_value", "invalid_type"
FIRST = "questions[0]"
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no model": ({"model": None}, MISSING, "model"),
    "no input": ({"input": None}, MISSING, "input"),
    "blank input": ({"input": " "}, MISSING, "input"),
    "no items": ({"input": []}, MISSING, "input"),
    "input of a number": ({"input": 5}, TYPE, "input"),
    "an item of a text": ({"input": ["x"]}, TYPE, "input[0]"),
    "too many items": ({"input": [user("x")] * 10_001}, VALUE, "input"),
    "an unknown item": ({"input": [{"type": "reasoning"}]}, VALUE, "input[0].type"),
    "no role": ({"input": [{"content": "x"}]}, MISSING, "input[0].role"),
    "an unknown role": ({"input": [{"role": "tool", "content": "x"}]}, VALUE, "input[0].role"),
    "no content": ({"input": [user(None)]}, MISSING, "input[0].content"),
    "no parts": ({"input": [user([])]}, MISSING, "input[0].content"),
    "an image": (
        {"input": [user([TEXT, IMAGE])]}, "unsupported_parameter", "input[0].content[1]"),
    "an unknown part": ({"input": [user([{"type": "x"}])]}, VALUE, "input[0].content[0].type"),
    "data of a text": (
        {"input": [user([{**DATA, "data": "x"}])]}, TYPE, "input[0].content[0].data"),
    "an output of no call": ({"input": [OUTPUT]}, VALUE, "input[0].call_id"),
    "an output of another kind": ({"input": [CUSTOM, OUTPUT]}, VALUE, "input[1].call_id"),
    "no call id": ({"input": [{**CALL, "call_id": ""}]}, MISSING, "input[0].call_id"),
    "questions missing": ({"questions": None}, MISSING, "questions"),
    "no questions": ({"questions": []}, MISSING, "questions"),
    "too many questions": ({"questions": [CHOICE] * 401}, VALUE, "questions"),
    "questions by name": ({"questions": {"q": CHOICE}}, TYPE, "questions"),
    "a question of a text": (asking("Is it?"), TYPE, FIRST),
    "doubled names": ({"questions": [PREDICATE, SCORE, PREDICATE]}, VALUE, "questions[2].name"),
    "a blank name": (asking({**PREDICATE, "name": " "}), VALUE, f"{FIRST}.name"),
    "a name of a number": (asking({**PREDICATE, "name": 1}), TYPE, f"{FIRST}.name"),
    "no type": (asking({**PREDICATE, "type": None}), MISSING, f"{FIRST}.type"),
    "Ollama's type": (asking({**PREDICATE, "type": "noul"}), VALUE, f"{FIRST}.type"),
    "no instructions": (
        asking({**PREDICATE, "instructions": ""}), MISSING, f"{FIRST}.instructions"),
    "instructions of a number": (
        asking({**PREDICATE, "instructions": 1}), TYPE, f"{FIRST}.instructions"),
    "an image in them": (
        asking({**PREDICATE, "instructions": [IMAGE]}), "unsupported_parameter",
        f"{FIRST}.instructions[0]"),
    "no choices": (asking({**CHOICE, "choices": None}), VALUE, f"{FIRST}.choices"),
    "one choice": (choices("a"), VALUE, f"{FIRST}.choices"),
    "too many choices": (choices(*map(str, range(27))), VALUE, f"{FIRST}.choices"),
    "doubled choices": (choices("a", True, True), VALUE, f"{FIRST}.choices[2].value"),
    "a choice of a number": (choices("a", 1), TYPE, f"{FIRST}.choices[1].value"),
    "a choice of nothing": (choices("a", ""), MISSING, f"{FIRST}.choices[1].value"),
    "one level": (asking({**SCORE, "levels": [{"label": "a"}]}), VALUE, f"{FIRST}.levels"),
    "too many levels": (
        asking({**SCORE, "levels": [{"label": "a"}] * 27}), VALUE, f"{FIRST}.levels"),
    "a level without a label": (
        asking({**SCORE, "levels": [{"label": "a"}, {}]}), MISSING, f"{FIRST}.levels[1].label"),
    "keep_alive": ({"keep_alive": "soon"}, VALUE, "keep_alive"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "code", "param"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_asked_is_refused(fields: dict[str, Any], code: str, param: str) -> None:
    body = {"model": "nimble", "input": "The tide.", "questions": QUESTIONS, **fields}

    assert refusal(body, dialect) == (code, param)
