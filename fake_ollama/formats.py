"""Whether a ``format`` is applied, and what is refused about it."""

from __future__ import annotations

import json
from typing import Any

from fake_ollama.calls import Call
from fake_ollama.grammar import conversion_errors, is_readable
from fake_ollama.models import FakeModel
from fake_ollama.refusals import Refused, nested
from fake_ollama.schema import fill

_NATIVE = (
    "Unable to generate parser for this template. Automatic parser generation failed: {errors}"
)
_RENDERED = "Field 'json_schema': \"json_schema\": {errors}"
_UNREADABLE = "Failed to initialize samplers: failed to parse grammar"


def is_applied(call: Call, model: FakeModel) -> bool:
    """Return whether the runner heeds the format. A chat on the native path overlooks any JSON."""
    if call.format in (None, "") or model.ignores_format:
        return False
    return not (call.is_native(model) and call.format in ("json", {}))


def check_format(call: Call, model: FakeModel) -> None:
    """Refuse a format that is none, or that llama.cpp cannot turn into a grammar."""
    value = call.format
    if value in (None, "", "json"):
        return
    if not isinstance(value, dict):
        shown = json.dumps(_compact(value))
        text = f'invalid format: {shown}; expected "json" or a valid JSON Schema object'
        raise Refused(500, text)
    if is_applied(call, model):
        _check_schema(value, native=call.is_native(model))


def _check_schema(schema: dict[str, Any], *, native: bool) -> None:
    errors = conversion_errors(schema, sort_keys=native)
    if errors:
        text = "\n".join(("JSON schema conversion failed:", *errors))
        wrapped = (_NATIVE if native else _RENDERED).format(errors=text)
        raise nested(400, wrapped, "invalid_request_error")
    if not is_readable(schema):
        raise nested(400, _UNREADABLE, "invalid_request_error")
    try:
        fill(schema)
    except ValueError as error:
        raise Refused(500, "invalid JSON schema in format") from error


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
