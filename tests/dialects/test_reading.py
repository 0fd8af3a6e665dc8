"""Bodies are read leniently where nothing can be misunderstood, and refused by name elsewhere."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import readers
from gateway.dialects.shared import reading as reading
from gateway.dialects.shared.reading import Fields
from gateway.errors import InvalidRequest

flag_ = partial(reading.checked, readers.flag)
number_ = partial(reading.checked, readers.number)
integer_ = partial(reading.checked, readers.integer)
limit_ = partial(reading.checked, readers.token_limit)
stops_ = partial(reading.checked, readers.texts)

FLAGS = [
    (True, True),
    (False, False),
    *[(word, True) for word in ("true", "1", "yes", "on", "TRUE", " On ")],
    *[(word, False) for word in ("false", "0", "no", "off", "False")],
]
NUMBERS = [
    (1, 1), (0.5, 0.5), ("0.5", 0.5), ("1", 1), (" 2 ", 2), ("1e2", 100.0), ("-.5", -0.5),
    ("+3", 3),
]  # fmt: skip
WRONG = [
    (flag_, 1, "invalid_type"),
    (flag_, "maybe", "invalid_type"),
    (flag_, None, "invalid_type"),
    (flag_, [], "invalid_type"),
    (number_, True, "invalid_type"),
    (number_, "warm", "invalid_type"),
    (number_, "", "invalid_type"),
    (number_, "nan", "invalid_type"),
    (number_, "inf", "invalid_type"),
    (number_, {}, "invalid_type"),
    (number_, math.nan, "invalid_value"),
    (number_, math.inf, "invalid_value"),
    (number_, "1e999", "invalid_value"),
    (integer_, 1.5, "invalid_type"),
    (integer_, "1.5", "invalid_type"),
    (integer_, 2**63, "invalid_value"),
    (integer_, 1.8446744073709552e19, "invalid_value"),
    (reading.as_text, 5, "invalid_type"),
    (reading.as_fields, [], "invalid_type"),
    (reading.as_list, {}, "invalid_type"),
    (reading.as_list, "ab", "invalid_type"),
    (limit_, 0, "invalid_value"),
    (limit_, -3, "invalid_value"),
    (stops_, 7, "invalid_type"),
    (stops_, ["a", 7], "invalid_type"),
]


@pytest.mark.parametrize(("value", "expected"), FLAGS, ids=repr)
def test_a_boolean_may_be_a_word(value: Any, expected: bool) -> None:
    assert flag_(value, "x") is expected


@pytest.mark.parametrize(("value", "expected"), NUMBERS, ids=repr)
def test_a_number_may_be_text(value: Any, expected: float) -> None:
    number = number_(value, "x")

    assert number == expected
    assert type(number) is type(expected)


@pytest.mark.parametrize("value", [3, 3.0, "3", "3.0"], ids=repr)
def test_a_whole_float_is_an_integer(value: Any) -> None:
    number = integer_(value, "x")

    assert number == 3
    assert type(number) is int


@pytest.mark.parametrize(("read", "value", "code"), WRONG)
def test_anything_else_is_refused_by_name(read: Any, value: Any, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(value, "a.b[2].c")

    assert caught.value.code == code
    assert str(caught.value.param).startswith("a.b[2].c")
    assert "a.b[2].c" in caught.value.message


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"), (True, "a boolean"), ("x", "a string"), (1.5, "a number"),
        ({}, "an object"), ([], "a list"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_refusal_says_what_came_instead(value: Any, kind: str) -> None:
    error = reading.wrong_type("x", "a colour", value)

    assert error.message == f"'x' must be a colour, not {kind}."


@pytest.mark.parametrize("value", [0, 1.5, 2])
def test_a_range_includes_its_ends(value: float) -> None:
    assert Fields({"t": value}).number("t", 0, 2) == value


@pytest.mark.parametrize(("value", "words"), [(-0.1, "at least 0"), (2.1, "at most 2")])
def test_beyond_the_range_is_refused(value: float, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        Fields({"t": value}).number("t", 0, 2)


@pytest.mark.parametrize(
    "read",
    [
        lambda fields: fields.get("x"),
        lambda fields: fields.text("x"),
        lambda fields: fields.flag("x"),
        lambda fields: fields.number("x"),
        lambda fields: fields.integer("x"),
        lambda fields: fields.word("x", ("a",)),
        lambda fields: fields.fields("x"),
    ],
)
@pytest.mark.parametrize("raw", [{}, {"x": None}], ids=["absent", "null"])
def test_null_equals_absent(read: Any, raw: Any) -> None:
    assert read(Fields(raw)) is None
    assert tuple(Fields(raw).items("x")) == ()


def test_paths_grow_with_the_depth() -> None:
    root = Fields({"messages": [{}, {"content": [{"image_url": {"url": 5}}]}]})
    part = next(list(root.objects("messages"))[1].objects("content"))
    image = part.fields("image_url")
    assert image is not None

    with pytest.raises(InvalidRequest) as caught:
        image.text("url")

    assert caught.value.param == "messages[1].content[0].image_url.url"


@pytest.mark.parametrize("raw", [{}, {"x": None}, {"x": ""}])
def test_a_required_text_must_say_something(raw: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Fields(raw, "tool").required_text("x")

    assert (caught.value.code, caught.value.param) == ("missing_required_parameter", "tool.x")


def test_a_word_must_be_one_of_those_allowed() -> None:
    assert Fields({"mode": "auto"}).word("mode", ("auto", "none")) == "auto"

    with pytest.raises(InvalidRequest, match="one of auto, none"):
        Fields({"mode": "often"}).word("mode", ("none", "auto"))


@pytest.mark.parametrize(
    ("value", "stops"),
    [("a", ("a",)), ("", ()), (["a", "", "b"], ("a", "b")), ([], ()), (["a"] * 5, ("a",) * 5)],
)
def test_stop_strings_come_alone_or_in_a_list(value: Any, stops: tuple[str, ...]) -> None:
    assert tuple(stops_(value, "stop")) == stops


@pytest.mark.parametrize("value", [1, 5, -1, -2, "7"])
def test_a_limit_counts_tokens_or_is_none(value: Any) -> None:
    assert limit_(value, "max_tokens") == int(value)


@pytest.mark.parametrize(
    ("raw", "user"),
    [
        ({}, ""),
        ({"user": "ann"}, "ann"),
        ({"user": "ann", "safety_identifier": "s1"}, "s1"),
        ({"user": 5}, ""),
        ({"user": "a" * 100}, "a" * 64),
        ({"user": "a\nb\0c"}, "abc"),
    ],
)
def test_the_end_user_is_noted_shortened(raw: Any, user: str) -> None:
    assert reading.read_end_user(Fields(raw)) == user


@given(st.text())
def test_a_label_fits_a_header_list(text: str) -> None:
    label = reading.label(text)

    assert len(label) <= 64
    assert label.isascii()
    assert not set(label) & set(", \r\n\t")


@pytest.mark.parametrize(
    ("value", "deep"), [(1, 0), ({}, 1), ([], 1), ({"a": [{}]}, 3), ([[[[]]]], 4)]
)
def test_depth_is_counted(value: Any, deep: int) -> None:
    assert reading.depth(value, 100) == deep


def test_depth_is_not_counted_beyond_what_matters() -> None:
    value: Any = []
    for _ in range(10_000):
        value = [value]

    assert reading.depth(value, 50) == 51
