"""``/v1/systemone``: typed questions, answered with probabilities.

Source: the ``ollama`` package 0.6.3 (``SystemOneRequest``, ``SystemOneResponse``). The answers are
the fake's own, the same in every run.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fake_ollama.bending import play
from fake_ollama.decode import SYSTEMONE, parse_fields
from fake_ollama.exchange import Exchange
from fake_ollama.options import load_key, read_options
from fake_ollama.refusals import Refused
from fake_ollama.scripts import DEFAULT_SCRIPT, tokenise

if TYPE_CHECKING:
    from fake_ollama.server import FakeOllama

_SINCE = (0, 35)
_MOST_QUESTIONS = 64
_MOST_LEVELS = 26
_OUTCOMES = {"false", "true"}


def systemone(fake: FakeOllama, exchange: Exchange) -> None:
    if fake.version_numbers < _SINCE:
        exchange.send_text(404, "404 page not found", "text/plain")
        return
    body = parse_fields(exchange.request.body, "SystemOneRequest", SYSTEMONE)
    name, state, questions = body.get("model", ""), body.get("state"), body.get("questions")
    if not name:
        raise Refused(400, "model is required")
    if not isinstance(state, str | dict | list) or not state:
        raise Refused(400, "state is required")
    if not isinstance(questions, dict) or not 1 <= len(questions) <= _MOST_QUESTIONS:
        raise Refused(400, f"questions must have 1 to {_MOST_QUESTIONS} entries")
    model = fake.library.resolve(name, exchange)
    if not model.can("decision"):
        raise Refused(400, f'"{name}" does not support decisions')
    for question in questions.values():
        _check(question)
    key = load_key(model, read_options(model, body.get("options", {})), None, fake.default_num_ctx)
    script = fake.scripts.take(exchange.waiter.targets, exchange.recorded.json or {})
    script = script or DEFAULT_SCRIPT
    exchange.put_on(script.faults)
    if play(exchange, exchange.faults):
        return
    with fake.slot(model, key, body.get("keep_alive"), exchange, script.load_delay_s):
        exchange.waiter.pause(script.first_delay_s)
        exchange.step(0, script.delay_s or 0.0)
        answers = {one: _answer(state, question) for one, question in questions.items()}
        tokens = sum(len(tokenise(json.dumps([state, one]))) for one in questions.values())
        usage = {"input_tokens": tokens, "output_tokens": len(questions)}
        made = {"model": name, "answers": answers, "usage": usage}
        exchange.send_json(200, {**made, **script.final})


def _check(question: Any) -> None:
    """Raise Refused for a question that is none."""
    if not isinstance(question, dict) or not question.get("instructions"):
        raise Refused(400, "instructions are required")
    criteria = question.get("criteria")
    match question.get("type"):
        case "choice":
            fits = isinstance(criteria, dict) and len(criteria) > 1
        case "noul":
            fits = criteria is None or (isinstance(criteria, dict) and set(criteria) <= _OUTCOMES)
        case "score":
            fits = isinstance(criteria, list) and 1 < len(criteria) <= _MOST_LEVELS
        case _:
            raise Refused(400, "unknown question type")
    if not fits:
        raise Refused(400, "invalid criteria")


def _answer(state: Any, question: Mapping[str, Any]) -> dict[str, Any]:
    kind, criteria = question["type"], question.get("criteria")
    if kind == "noul":
        return {"type": "noul", "noul": _shares(state, question, ["false", "true"])["true"]}
    keys = list(criteria) if kind == "choice" else [str(at) for at in range(len(criteria))]
    shares = _shares(state, question, keys)
    entropy = -math.fsum(share * math.log(share) for share in shares.values())
    spread = {"probabilities": shares, "confidence": 1 - entropy / math.log(len(shares))}
    if kind == "choice":
        return {"type": kind, "choice": max(shares, key=lambda key: shares[key]), **spread}
    score = math.fsum(int(key) * share for key, share in shares.items())
    return {
        "type": kind,
        "score": score,
        "legend": dict(zip(keys, criteria, strict=True)),
        **spread,
    }


def _shares(state: Any, question: Mapping[str, Any], keys: list[str]) -> dict[str, float]:
    """Return a probability for each key; together they are 1."""
    asked = json.dumps([state, question["instructions"]], sort_keys=True)
    weights = {
        key: 1 + hashlib.sha256(f"{asked}/{key}".encode("utf-8", "replace")).digest()[0]
        for key in keys
    }
    total = sum(weights.values())
    return {key: weight / total for key, weight in weights.items()}
