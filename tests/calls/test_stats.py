"""What a record says of a failure: nothing a caller, a model or Ollama said, unless texts are
kept."""

from __future__ import annotations

import json

import pytest

from gateway.calls.stats import recorded_words
from gateway.errors import GatewayError, InvalidRequest
from gateway.ollama import faults

CANARY = "the-hidden-bay"


def _said(status: int, text: str) -> GatewayError:
    return faults.from_status(status, json.dumps({"error": text}).encode(), None, "/api/chat")


FAILURES = {
    "an unknown sentence": (
        _said(500, f"prompt was: {CANARY}"),
        "The Ollama server answered with an error; its words are kept with texts only.",
    ),
    "a known one in a prompt": (
        _said(500, f"{CANARY}: runner process has terminated"),
        "The Ollama server: runner process has terminated",
    ),
    "memory": (
        _said(500, "model requires more system memory (9.1 GiB) than is available (2.0 GiB)"),
        "The Ollama server: requires more system memory (9.1 GiB) than is available (2.0 GiB)",
    ),
    "a refusal": (_said(403, CANARY), None),
    "a model that is gone": (_said(404, f"model '{CANARY}' not found"), None),
    "a call that cannot be read": (
        _said(500, f"error parsing tool call: raw='{CANARY}'"),
        "The Ollama server: error parsing tool call",
    ),
    "a stream's record": (
        faults.from_line({"message": CANARY}),
        "The Ollama server answered with an error; its words are kept with texts only.",
    ),
    "a value of the caller": (
        InvalidRequest(f"'messages[0].role' must not be '{CANARY}'.", param="messages[0].role"),
        "'messages[0].role' must not be '…'.",
    ),
    "an apostrophe before a value": (
        InvalidRequest(f"This key's model refused '{CANARY}'s word' or '{CANARY}'."),
        "This key's model refused '…'.",
    ),
    "an overrun field": (
        InvalidRequest(f"'{CANARY}' is not known here.", param="options"),
        "'…' is not known here.",
    ),
}


@pytest.mark.parametrize(("error", "words"), FAILURES.values(), ids=FAILURES)
def test_a_record_says_only_what_is_known(error: GatewayError, words: str | None) -> None:
    found = recorded_words(error, with_texts=False)

    assert CANARY not in found
    assert words in (None, found)
    assert recorded_words(error, with_texts=True) == error.message
