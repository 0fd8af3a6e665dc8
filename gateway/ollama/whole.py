"""Reads what Ollama answers as a whole: vectors, and the answers to typed questions.

An answer that is missing, is of another kind than its question or has a number that is no
probability fails the whole: a guess would be taken for a decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.core.chat import Decisions, Embeddings, Json, Question
from gateway.ollama import faults, records
from gateway.ollama.records import Counts

_ROUNDING: Final = 1e-6


def decode_embeddings(body: bytes) -> Embeddings:
    """Return the vectors of an `/api/embed` answer. Raises UpstreamError when there are none."""
    try:
        answer = records.read_vectors(body)
    except records.UNREADABLE as exc:
        raise faults.bad_response("embeddings that cannot be read") from exc
    if answer.error is not None:
        raise faults.from_line(answer.error, "/api/embed")
    if not answer.embeddings or not all(answer.embeddings):
        raise faults.bad_response("an answer without vectors")
    counts = Counts()
    return Embeddings(
        vectors=answer.embeddings,
        prompt_tokens=counts.read(answer.prompt_eval_count),
        total_ns=counts.read(answer.total_duration),
        load_ns=counts.read(answer.load_duration),
    )


def decode_decisions(body: bytes, questions: Mapping[str, Question]) -> Decisions:
    """Return the answers to `questions`, in their order. Raises UpstreamError."""
    try:
        answer = records.read_decided(body)
    except records.UNREADABLE as exc:
        raise faults.bad_response("decisions that cannot be read") from exc
    if answer.error is not None:
        raise faults.from_line(answer.error, "/v1/systemone")
    found = answer.answers or {}
    for name, question in questions.items():
        if name not in found:
            raise faults.bad_response("no answer to one of the questions")
        if not _fits(found[name], question):
            raise faults.bad_response("an answer that does not fit its question")
    usage = answer.usage if isinstance(answer.usage, dict) else {}
    counts = Counts()
    return Decisions(
        answers={name: found[name] for name in questions},
        prompt_tokens=counts.read(usage.get("input_tokens")),
        completion_tokens=counts.read(usage.get("output_tokens")),
    )


def _fits(answer: Mapping[str, Json], question: Question) -> bool:
    if answer.get("type") != question.kind:
        return False
    if question.kind == "noul":
        return _is_within(answer.get("noul"), 1)
    shares = answer.get("probabilities")
    if not isinstance(shares, dict) or shares.keys() != set(question.options):
        return False
    if not all(_is_within(share, 1) for share in (*shares.values(), answer.get("confidence"))):
        return False
    if question.kind == "choice":
        return answer.get("choice") in question.options
    return _is_within(answer.get("score"), len(question.options) - 1)


def _is_within(value: Json, most: float) -> bool:
    """Whether a value is a number from 0 to `most`, give or take what floating point adds."""
    return type(value) in (int, float) and -_ROUNDING <= value <= most + _ROUNDING
