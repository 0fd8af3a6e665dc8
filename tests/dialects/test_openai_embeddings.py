"""Embeddings: texts in, vectors out in the same order, in the form SDKs ask for."""

from __future__ import annotations

import base64
import struct
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import Embeddings, EmbedRequest
from gateway.dialects import embeddings as openai_embeddings
from gateway.errors import ContextOverflow, InvalidRequest, UpstreamError
from tests.dialects.making import reading, refusal


def parse(**body: Any) -> EmbedRequest:
    return openai_embeddings.parse({"model": "nomic", "input": "a", **body}, reading())


def asked(name: str) -> Any:
    return lambda request: getattr(request, name)


def param(name: str) -> Any:
    return lambda request: getattr(request.params, name)


ROWS = {
    "model": ({}, asked("model"), "nomic"),
    "input": ({}, asked("inputs"), ("a",)),
    "input empty text": ({"input": ""}, asked("inputs"), ("",)),
    "input list": ({"input": ["a", ""]}, asked("inputs"), ("a", "")),
    "encoding_format float": ({"encoding_format": "float"}, asked("encoding"), "float"),
    "encoding_format base64": ({"encoding_format": "base64"}, asked("encoding"), "base64"),
    "keep_alive": ({"keep_alive": "300"}, param("keep_alive"), 300),
    "options": (
        {"options": {"num_ctx": 5, "x": 1}, "num_gpu": 1},
        lambda request: dict(request.params.options),
        {"num_ctx": 5, "x": 1, "num_gpu": 1},
    ),
    "truncate": ({"truncate": False}, param("truncate"), False),
    "input_type": ({"input_type": "query"}, asked("ignored"), ("input_type",)),
    "task prompt_name": (
        {"task": "x", "prompt_name": "y", "late_chunking": None},
        asked("ignored"),
        ("task", "prompt_name"),
    ),
    "unknown root key": ({"chat_id": 1, "reasoning_effort": 5}, asked("ignored"), ()),
}
REFUSED = {
    "model": ({"model": None}, "missing_required_parameter", "model"),
    "input missing": ({"input": None}, "missing_required_parameter", "input"),
    "input empty list": ({"input": []}, "missing_required_parameter", "input"),
    "input too many": ({"input": ["a"] * 2049}, "invalid_value", "input"),
    "input number": ({"input": 5}, "invalid_type", "input"),
    "input object": ({"input": {"a": 1}}, "invalid_type", "input"),
    "input mixed": ({"input": ["a", 5]}, "invalid_type", "input"),
    "input nested": ({"input": [["a"]]}, "invalid_type", "input"),
    "input nested empty": ({"input": [[]]}, "invalid_type", "input"),
    "input tokens": ({"input": [1, 2, 3]}, "unsupported_value", "input"),
    "input token lists": ({"input": [[1, 2], [3]]}, "unsupported_value", "input"),
    "input booleans": ({"input": [True]}, "invalid_type", "input"),
    "encoding_format": ({"encoding_format": "int8"}, "invalid_value", "encoding_format"),
    "dimensions type": ({"dimensions": "big"}, "invalid_type", "dimensions"),
    "keep_alive": ({"keep_alive": "soon"}, "invalid_value", "keep_alive"),
    "options": ({"options": 5}, "invalid_type", "options"),
}


@pytest.mark.parametrize(("body", "look", "expected"), ROWS.values(), ids=ROWS)
def test_a_field_does_what_the_contract_says(body: Any, look: Any, expected: Any) -> None:
    assert look(parse(**body)) == expected


@pytest.mark.parametrize(("body", "code", "param"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_embedded_is_refused(body: Any, code: str, param: str) -> None:
    whole = {"model": "nomic", "input": "a", **body}

    assert refusal(whole, openai_embeddings) == (code, param)


def test_refused_tokens_come_with_the_cure() -> None:
    with pytest.raises(InvalidRequest, match="check_embedding_ctx_length=False"):
        parse(input=[1, 2])


def test_a_long_text_of_tokens_is_no_long_list() -> None:
    with pytest.raises(InvalidRequest, match="token ids"):
        parse(input=list(range(3000)))


def test_the_number_of_texts_is_a_setting() -> None:
    body = {"model": "m", "input": ["a", "b"]}

    assert refusal(body, openai_embeddings, max_embedding_inputs=1) == ("invalid_value", "input")


def test_the_answer_has_every_key_of_the_contract() -> None:
    body = openai_embeddings.render(
        Embeddings([[0.1, -0.2], [0.3, 0.4]], 8), parse(input=["a", "b"])
    )

    assert orjson.loads(body) == {
        "object": "list",
        "model": "nomic",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.1, -0.2]},
            {"object": "embedding", "index": 1, "embedding": [0.3, 0.4]},
        ],
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    }


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_base64_holds_little_endian_float32(vector: list[float]) -> None:
    request = parse(encoding_format="base64")

    body = openai_embeddings.render(Embeddings([vector], 1), request)

    raw = base64.b64decode(orjson.loads(body)["data"][0]["embedding"], validate=True)
    assert list(struct.unpack(f"<{len(vector)}f", raw)) == vector


def test_another_length_than_asked_for_is_an_error() -> None:
    with pytest.raises(InvalidRequest, match="vectors of 2 numbers, not of 3") as caught:
        openai_embeddings.render(Embeddings([[0.1, 0.2]], 1), parse(dimensions=3))

    assert (caught.value.code, caught.value.param) == ("invalid_value", "dimensions")


def test_the_length_asked_for_is_fine() -> None:
    assert openai_embeddings.render(Embeddings([[0.1, 0.2]], 1), parse(dimensions=2))


def test_a_vector_missing_is_ollamas_fault() -> None:
    with pytest.raises(UpstreamError, match="1 vectors for 2 texts") as caught:
        openai_embeddings.render(Embeddings([[0.1]], 1), parse(input=["a", "b"]))

    assert caught.value.code == "upstream_bad_response"


def test_a_number_beyond_float32_is_ollamas_fault() -> None:
    with pytest.raises(UpstreamError, match="32-bit"):
        openai_embeddings.render(Embeddings([[1e300]], 1), parse(encoding_format="base64"))


def test_an_error_names_the_input() -> None:
    body = openai_embeddings.EMBEDDINGS.error_body(ContextOverflow("Too long."), "req_1")

    assert body["error"]["param"] == "input"
