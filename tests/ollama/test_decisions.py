"""What Ollama answers to typed questions: taken only where nothing of it is missing or odd."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.chat import Question
from gateway.errors import GatewayError
from gateway.ollama import faults, whole

QUESTIONS = {
    "safe": Question("noul", "Is it safe?"),
    "way": Question("choice", "Which?", {"a": None, "b": "The bay."}),
    "height": Question("score", "How high?", ("low", "middle", "high")),
}
CHOICE = {
    "type": "choice", "choice": "b", "probabilities": {"a": 0.25, "b": 0.75}, "confidence": 0.2,
}  # fmt: skip
SCORE = {
    "type": "score", "score": 1.5, "legend": {"0": "low", "1": "middle", "2": "high"},
    "probabilities": {"0": 0, "1": 0.5, "2": 0.5000000001}, "confidence": 0.4,
}  # fmt: skip
ANSWERS: dict[str, Any] = {"height": SCORE, "safe": {"type": "noul", "noul": 1}, "way": CHOICE}


def body(**answers: Any) -> bytes:
    usage = {"input_tokens": 12, "output_tokens": 3}
    return json.dumps({"answers": {**ANSWERS, **answers}, "usage": usage}).encode()


def test_answers_stand_in_the_order_of_the_questions() -> None:
    found = whole.decode_decisions(body(), QUESTIONS)

    assert list(found.answers.items()) == [(name, ANSWERS[name]) for name in QUESTIONS]
    assert (found.prompt_tokens, found.completion_tokens) == (12, 3)


NAN = float("nan")
ODD = {
    "not JSON": b"<html>",
    "no answers": b"{}",
    "answers in a list": b'{"answers": []}',
    "an answer missing": json.dumps({"answers": {"safe": ANSWERS["safe"]}}).encode(),
    "an answer of null": body(safe=None),
    "another type": body(safe={"type": "score", "noul": 0.5}),
    "NaN": body(safe={"type": "noul", "noul": NAN}),
    "no number": body(safe={"type": "noul"}),
    "a flag": body(safe={"type": "noul", "noul": True}),
    "above 1": body(safe={"type": "noul", "noul": 1.1}),
    "below 0": body(safe={"type": "noul", "noul": -0.1}),
    "an unknown option": body(way={**CHOICE, "choice": "c"}),
    "an option of a list": body(way={**CHOICE, "choice": ["a"]}),
    "a probability missing": body(way={**CHOICE, "probabilities": {"b": 1.0}}),
    "a probability of null": body(way={**CHOICE, "probabilities": {"a": None, "b": 1.0}}),
    "probabilities in a list": body(way={**CHOICE, "probabilities": [0.5, 0.5]}),
    "no confidence": body(way={**CHOICE, "confidence": None}),
    "a score too high": body(height={**SCORE, "score": 2.5}),
    "a level too many": body(height={**SCORE, "probabilities": {"0": 1, "1": 0, "2": 0, "3": 0}}),
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
def test_nothing_is_guessed(answer: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        whole.decode_decisions(answer, QUESTIONS)

    assert (caught.value.status, caught.value.code) == (502, "upstream_bad_response")


def test_an_error_in_the_body_is_told() -> None:
    with pytest.raises(GatewayError, match="out of memory"):
        whole.decode_decisions(b'{"error": "out of memory"}', QUESTIONS)


def test_a_server_without_the_path_is_too_old() -> None:
    found = faults.from_status(404, b"404 page not found", None, "/v1/systemone")

    assert (found.status, found.code, found.param) == (400, "decisions_not_supported", "model")
    assert "0.35" in found.message
