"""Whatever is sent, the answer is JSON of the dialect and says what is wrong; nothing breaks."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.data.conftest import Target
from tests.integration.data.corpus import CORPUS, EXTRAS, JUNK, spoilt
from tests.support.asking import is_refusal

FULL = bool(os.environ.get("FULL"))
BODIES = 200_000 if FULL else 2_100
EXAMPLES = 5_000 if FULL else 60
UNNAMED = {"invalid_json", "upstream_invalid_request", "model_not_found"}
"""Refusals that are about no field of the body."""


def check(target: Target, path: str, raw: bytes) -> None:
    """Send a body and look at what comes back."""
    before = len(target.errors)
    status, headers, body = target.post(path, raw)
    shown = f"{path} {raw[:2000]!r} -> {status} {body[:1000]!r}"

    assert target.errors[before:] == [], shown
    assert status < 500 or (status == 504 and b"imeout" in raw), shown
    assert headers["x-request-id"].startswith("req_"), shown
    if status == 200:
        _check_answer(headers["Content-Type"], body, shown)
        return
    anthropic = "/messages" in path
    told = json.loads(body)
    assert is_refusal(told, "anthropic" if anthropic else "openai"), shown
    assert "Traceback" not in told["error"]["message"], shown
    if not anthropic and status == 400 and told["error"]["code"] not in UNNAMED:
        assert told["error"]["param"], shown


def _check_answer(kind: str, body: bytes, shown: str) -> None:
    if kind.startswith("application/json"):
        assert isinstance(json.loads(body), dict), shown
        return
    blocks = body.decode().split("\n\n")
    assert blocks[-1] == "", shown
    for block in blocks[:-1]:
        for line in block.split("\n"):
            name, _, data = line.partition(": ")
            assert name in {"data", "event", ""}, shown
            if name == "data" and data != "[DONE]":
                assert isinstance(json.loads(data), dict), shown


@pytest.mark.parametrize("path", CORPUS)
def test_the_bodies_are_right_before_they_are_spoilt(target: Target, path: str) -> None:
    for body in CORPUS[path]:
        status, _, answer = target.post(path, json.dumps(body).encode())

        assert status == 200, answer


@pytest.mark.timeout(3600 if FULL else 120)
@pytest.mark.parametrize("path", CORPUS)
def test_a_spoilt_body_is_answered_or_refused(target: Target, path: str) -> None:
    rng = random.Random(f"{path} of a stormy night")

    for _ in range(BODIES // len(CORPUS)):
        check(target, path, spoilt(rng, path))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(JUNK),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner,
                                                               max_size=3),
    max_leaves=8,
)  # fmt: skip
FIELDS = sorted({*EXTRAS, *(name for bodies in CORPUS.values() for b in bodies for name in b)})


@pytest.mark.timeout(3600 if FULL else 120)
@pytest.mark.parametrize("path", CORPUS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
    database=None,
)
@given(changes=st.dictionaries(st.sampled_from(FIELDS), VALUES, min_size=1, max_size=3))
def test_any_value_of_any_field_is_answered_or_refused(
    target: Target, path: str, changes: dict[str, Any]
) -> None:
    raw = json.dumps({**CORPUS[path][0], **changes}).encode("utf-8", "surrogatepass")

    check(target, path, raw)


@pytest.mark.parametrize("path", CORPUS)
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_refused(target: Target, path: str, raw: bytes) -> None:
    check(target, path, raw)
