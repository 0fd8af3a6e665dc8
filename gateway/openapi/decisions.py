"""Questions for decision models."""

from __future__ import annotations

from typing import Any

from gateway.dialects.shared.questions import FEWEST_OPTIONS, MAX_QUESTIONS, MOST_OPTIONS
from gateway.openapi.parts import (
    Schema,
    alike,
    answer,
    constant,
    either,
    flag,
    integer,
    listed,
    nullable,
    number,
    ref,
    request,
    text,
    word,
)
from gateway.openapi.shared import OBJECT, RECORDED, WAITING

_CONTENT = either(text(), OBJECT, listed({}), about="A text, or JSON that is read as text.")
_SHARE = number("", 0, 1)
_SHARES: Schema = {"type": "object", "additionalProperties": _SHARE}
_CHOSEN = {"probabilities": _SHARES, "confidence": _SHARE}
_CALLS = (
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
)
_LOADING = {name: WAITING[name] for name in WAITING if name != "truncate"}


def _entries(kind: str, of: str) -> dict[str, Any]:
    """Return the bounds of a list of items, or of an object's properties."""
    return {f"min{of}": FEWEST_OPTIONS, f"max{of}": MOST_OPTIONS, "type": kind}


def _question(kind: str, criteria: Schema, required: str = "") -> Schema:
    fields = {"type": constant(kind), "instructions": _CONTENT, "criteria": criteria}
    return request(fields, f"type instructions {required}")


_CHOICE = _question(
    "choice",
    {
        **_entries("object", "Properties"),
        "additionalProperties": {"type": ["string", "null"]},
        "description": "What each option means; null where its name says it.",
    },
    "criteria",
)
_NOUL = _question("noul", request({"false": text(), "true": text()}))
_SCORE = _question(
    "score",
    {
        **_entries("array", "Items"),
        "items": text(),
        "description": "What each level means, from the lowest to the highest.",
    },
    "criteria",
)
_TEXT_PART = request({"type": constant("input_text"), "text": text()}, "type text")
_JSON_PART = request(
    {"type": constant("input_json"), "data": either(OBJECT, listed(OBJECT))}, "type data"
)
_PARTS = either(text(), listed(either(_TEXT_PART, _JSON_PART)))


def _asked(kind: str, more: dict[str, Schema]) -> Schema:
    fields = {"type": constant(kind), "instructions": _PARTS, "name": text(), **more}
    return request(fields, " ".join(("type", "instructions", *more)))


_VALUE = either(text(), flag(), about="A text and a boolean of the same letters differ.")
_CHOICES = listed(request({"value": _VALUE, "description": text()}, "value"))
_LEVELS = listed(
    request({"label": text(), "description": text()}, "label"), "From the lowest to the highest."
)
_NAME = nullable(text("The question's; null where it has none."))
_ITEM = request(
    {
        "type": word("message", *_CALLS),
        "role": word("user", "developer", "system", "assistant"),
        "content": either(text(), listed(OBJECT)),
        **alike(text(), "call_id", "name", "arguments", "input"),
        "output": either(text(), listed(OBJECT)),
    },
    about="A message, a call of a tool or an output of a call before it. No images.",
)
SCHEMAS: dict[str, Schema] = {
    "DecisionRequest": request(
        {
            **_LOADING,
            "model": text(),
            "input": either(text(), listed(_ITEM, minItems=1)),
            "questions": listed(
                either(
                    _asked("predicate", {}),
                    _asked("choice", {"choices": {**_CHOICES, **_entries("array", "Items")}}),
                    _asked("score", {"levels": {**_LEVELS, **_entries("array", "Items")}}),
                ),
                minItems=1,
                maxItems=MAX_QUESTIONS,
            ),
            **alike(RECORDED, "user", "safety_identifier"),
            "options": ref("Options"),
            "extra_body": request({}),
        },
        required="model input questions",
    ),
    "Decision": answer(
        {
            "model": text(),
            "answers": listed(
                either(
                    answer({"type": constant("predicate"), "name": _NAME, "probability": _SHARE}),
                    answer(
                        {
                            "type": constant("choice"),
                            "name": _NAME,
                            "choice": _VALUE,
                            "confidence": _SHARE,
                            "probabilities": listed(
                                answer({"value": _VALUE, "probability": _SHARE})
                            ),
                        }
                    ),
                    answer(
                        {
                            "type": constant("score"),
                            "name": _NAME,
                            "score": number("The expected level, from 0.", 0),
                            "confidence": _SHARE,
                            "probabilities": listed(
                                answer(
                                    {
                                        "label": text(),
                                        "value": integer("The level, from 0.", 0),
                                        "probability": _SHARE,
                                    }
                                )
                            ),
                        }
                    ),
                ),
                "In the order of the questions.",
            ),
            "usage": answer(
                {
                    **alike(integer(), "input_tokens", "output_tokens", "total_tokens"),
                    "input_tokens_details": answer(
                        alike(integer(), "cached_tokens", "cache_write_tokens")
                    ),
                    "output_tokens_details": answer(alike(integer(), "reasoning_tokens")),
                }
            ),
        }
    ),
    "SystemOneRequest": request(
        {
            **_LOADING,
            "model": text(),
            "state": _CONTENT,
            "questions": {
                "type": "object",
                "additionalProperties": either(_CHOICE, _NOUL, _SCORE),
                "minProperties": 1,
                "maxProperties": MAX_QUESTIONS,
                "description": "By name.",
            },
            "user": RECORDED,
            "options": ref("Options"),
            "extra_body": request({}),
        },
        required="model state questions",
    ),
    "SystemOneResponse": answer(
        {
            "model": text(),
            "answers": {
                "type": "object",
                "additionalProperties": either(
                    answer({"type": constant("choice"), "choice": text(), **_CHOSEN}),
                    answer({"type": constant("noul"), "noul": number("Of true.", 0, 1)}),
                    answer(
                        {
                            "type": constant("score"),
                            "score": number("The expected level, from 0.", 0),
                            "legend": {"type": "object", "additionalProperties": text()},
                            **_CHOSEN,
                        }
                    ),
                ),
                "description": "By the names of the questions, in their order.",
            },
            "usage": answer({"input_tokens": integer(), "output_tokens": integer()}),
        }
    ),
}
"""The named schemas."""
