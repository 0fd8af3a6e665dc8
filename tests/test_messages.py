"""A sentence carries its template and values, and is English for whoever only reads it."""

from __future__ import annotations

import orjson

from gateway.errors import InvalidRequest, Message


def test_a_message_is_its_english_sentence() -> None:
    message = Message("%(what)s is not %(wanted)s.", what="'a'", wanted=Message("a number"))

    assert message == "'a' is not a number."
    assert (message.template, message.values["what"]) == ("%(what)s is not %(wanted)s.", "'a'")
    assert orjson.dumps(InvalidRequest(message).message) == b"\"'a' is not a number.\""


def test_a_message_without_values_may_hold_a_percent_sign() -> None:
    assert Message("100 % of it") == "100 % of it"
