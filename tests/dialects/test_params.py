"""What steers an answer is found wherever clients put it, and the right place wins."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import readers
from gateway.core.chat import Params
from gateway.core.options import OPTIONS
from gateway.dialects.shared import params as module
from gateway.dialects.shared.params import OPENAI_NAMES, read_format, read_params, root_of
from gateway.dialects.shared.reading import Fields, checked
from gateway.errors import InvalidRequest


def params(**body: Any) -> Any:
    return read_params(body, OPENAI_NAMES)[0]


def ignored(**body: Any) -> tuple[str, ...]:
    return read_params(body, OPENAI_NAMES)[1]


def refused(**body: Any) -> tuple[str, str | None]:
    with pytest.raises(InvalidRequest) as caught:
        read_params(body, OPENAI_NAMES)
    return caught.value.code, caught.value.param


OPTION_ROWS = {
    "temperature": ({"temperature": 0.5}, {"temperature": 0.5}),
    "temperature text": ({"temperature": "0.7"}, {"temperature": 0.7}),
    "top_p": ({"top_p": 1}, {"top_p": 1}),
    "presence_penalty": ({"presence_penalty": -2}, {"presence_penalty": -2}),
    "frequency_penalty": ({"frequency_penalty": 2}, {"frequency_penalty": 2}),
    "max_completion_tokens": ({"max_completion_tokens": 9}, {"num_predict": 9}),
    "max_completion_tokens wins": (
        {"max_completion_tokens": 9, "max_tokens": 5},
        {"num_predict": 9},
    ),
    "max_tokens": ({"max_tokens": 5}, {"num_predict": 5}),
    "max_tokens no limit": ({"max_tokens": -1}, {"num_predict": -1}),
    "max_tokens fill": ({"max_tokens": -2}, {"num_predict": -2}),
    "stop text": ({"stop": "\n"}, {"stop": ["\n"]}),
    "stop list": ({"stop": ["a", "", "b"]}, {"stop": ["a", "b"]}),
    "stop empty": ({"stop": ["", ""]}, {}),
    "stop null": ({"stop": None}, {}),
    "stop more than four": ({"stop": list("abcdef")}, {"stop": list("abcdef")}),
    "seed": ({"seed": 7.0}, {"seed": 7}),
    "seed below zero": ({"seed": -1}, {"seed": -1}),
    "num_ctx": ({"num_ctx": 4096}, {"num_ctx": 4096}),
    "num_predict": ({"num_predict": 3}, {"num_predict": 3}),
    "num_keep": ({"num_keep": 5}, {"num_keep": 5}),
    "top_k": ({"top_k": 40}, {"top_k": 40}),
    "min_p": ({"min_p": 0.05}, {"min_p": 0.05}),
    "typical_p": ({"typical_p": 0.9}, {"typical_p": 0.9}),
    "repeat_penalty": ({"repeat_penalty": 1.1}, {"repeat_penalty": 1.1}),
    "repeat_last_n": ({"repeat_last_n": -1}, {"repeat_last_n": -1}),
    "num_gpu": ({"num_gpu": -1}, {"num_gpu": -1}),
    "num_batch": ({"num_batch": 512}, {"num_batch": 512}),
    "num_thread": ({"num_thread": 4}, {"num_thread": 4}),
    "main_gpu": ({"main_gpu": 0}, {"main_gpu": 0}),
    "use_mmap": ({"use_mmap": "no"}, {"use_mmap": False}),
    "draft_num_predict": ({"draft_num_predict": 4}, {"draft_num_predict": 4}),
    "mirostat": ({"mirostat": 2}, {"mirostat": 2}),
    "mirostat_eta": ({"mirostat_eta": 0.1}, {"mirostat_eta": 0.1}),
    "mirostat_tau": ({"mirostat_tau": 5}, {"mirostat_tau": 5}),
    "tfs_z": ({"tfs_z": 1.0}, {"tfs_z": 1.0}),
    "penalize_newline": ({"penalize_newline": True}, {"penalize_newline": True}),
    "repetition_penalty": ({"repetition_penalty": 1.2}, {"repeat_penalty": 1.2}),
    "options": ({"options": {"top_k": "5"}}, {"top_k": 5}),
    "options unknown": ({"options": {"brand_new": {"x": 1}}}, {"brand_new": {"x": 1}}),
    "options null": ({"options": {"top_k": None}}, {}),
    "options stop_sequences": ({"options": {"stop_sequences": "x"}}, {"stop": ["x"]}),
    "options lifted": ({"options": {"think": True, "keep_alive": 1, "format": "json"}}, {}),
    "root unknown": ({"chat_id": "5", "num_ctxx": 1}, {}),
    "absent": ({}, {}),
}


@pytest.mark.parametrize(("body", "options"), OPTION_ROWS.values(), ids=OPTION_ROWS)
def test_options_are_translated(body: Any, options: Any) -> None:
    assert dict(params(**body).options) == options


REFUSALS = {
    "temperature high": ({"temperature": 2.1}, "invalid_value", "temperature"),
    "temperature low": ({"temperature": -0.1}, "invalid_value", "temperature"),
    "temperature type": ({"temperature": "hot"}, "invalid_type", "temperature"),
    "temperature list": ({"temperature": [1]}, "invalid_type", "temperature"),
    "top_p": ({"top_p": 1.5}, "invalid_value", "top_p"),
    "presence_penalty": ({"presence_penalty": 3}, "invalid_value", "presence_penalty"),
    "frequency_penalty": ({"frequency_penalty": -3}, "invalid_value", "frequency_penalty"),
    "max_tokens 0": ({"max_tokens": 0}, "invalid_value", "max_tokens"),
    "max_tokens -3": ({"max_tokens": -3}, "invalid_value", "max_tokens"),
    "max_completion_tokens 0": (
        {"max_completion_tokens": 0},
        "invalid_value",
        "max_completion_tokens",
    ),
    "num_predict 0": ({"num_predict": 0}, "invalid_value", "num_predict"),
    "options num_predict 0": (
        {"options": {"num_predict": 0}},
        "invalid_value",
        "options.num_predict",
    ),
    "stop type": ({"stop": 5}, "invalid_type", "stop"),
    "seed": ({"seed": 1.5}, "invalid_type", "seed"),
    "seed big": ({"seed": 2**64}, "invalid_value", "seed"),
    "options type": ({"options": [1]}, "invalid_type", "options"),
    "options text": ({"options": "num_ctx=5"}, "invalid_type", "options"),
    "options value": ({"options": {"num_ctx": "big"}}, "invalid_type", "options.num_ctx"),
    "num_ctx": ({"num_ctx": -5}, "invalid_value", "num_ctx"),
    "num_gpu": ({"num_gpu": -2}, "invalid_value", "num_gpu"),
    "num_thread": ({"num_thread": 1.5}, "invalid_type", "num_thread"),
    "use_mmap": ({"use_mmap": "often"}, "invalid_type", "use_mmap"),
    "extra_body type": ({"extra_body": "x"}, "invalid_type", "extra_body"),
    "extra_body value": ({"extra_body": {"num_ctx": "x"}}, "invalid_type", "extra_body.num_ctx"),
    "extra_body.options value": (
        {"extra_body": {"options": {"top_k": "x"}}},
        "invalid_type",
        "extra_body.options.top_k",
    ),
    "think": ({"think": 1}, "invalid_type", "think"),
    "enable_thinking": ({"enable_thinking": "perhaps"}, "invalid_type", "enable_thinking"),
    "thinking.type": ({"thinking": {"type": 5}}, "invalid_type", "thinking.type"),
    "reasoning_effort": ({"reasoning_effort": 5}, "invalid_type", "reasoning_effort"),
    "reasoning": ({"reasoning": "high"}, "invalid_type", "reasoning"),
    "reasoning.effort": ({"reasoning": {"effort": 5}}, "invalid_type", "reasoning.effort"),
    "reasoning.enabled": ({"reasoning": {"enabled": 5}}, "invalid_type", "reasoning.enabled"),
    "chat_template_kwargs": ({"chat_template_kwargs": []}, "invalid_type", "chat_template_kwargs"),
    "chat_template_kwargs.enable_thinking": (
        {"chat_template_kwargs": {"enable_thinking": "x"}},
        "invalid_type",
        "chat_template_kwargs.enable_thinking",
    ),
    "format word": ({"format": "yaml"}, "invalid_value", "format"),
    "format type": ({"format": 5}, "invalid_type", "format"),
    "guided_json": ({"guided_json": "not json"}, "invalid_value", "guided_json"),
    "structured_outputs.json": (
        {"structured_outputs": {"json": [1]}},
        "invalid_type",
        "structured_outputs.json",
    ),
    "keep_alive": ({"keep_alive": "soon"}, "invalid_value", "keep_alive"),
    "keepAlive": ({"keepAlive": [5]}, "invalid_value", "keepAlive"),
    "keep_alive in options": (
        {"options": {"keep_alive": "soon"}},
        "invalid_value",
        "options.keep_alive",
    ),
    "keep_alive in metadata": (
        {"metadata": {"keep_alive": "soon"}},
        "invalid_value",
        "metadata.keep_alive",
    ),
    "truncate": ({"truncate": "maybe"}, "invalid_type", "truncate"),
    "shift": ({"shift": 2}, "invalid_type", "shift"),
    "timeout_ms": ({"timeout_ms": -1}, "invalid_value", "timeout_ms"),
    "request_timeout": ({"request_timeout": "soon"}, "invalid_type", "request_timeout"),
    "metadata timeout": (
        {"metadata": {"timeout_ms": "soon"}},
        "invalid_type",
        "metadata.timeout_ms",
    ),
}


@pytest.mark.parametrize(("body", "code", "param"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_is_refused(body: Any, code: str, param: str) -> None:
    assert refused(**body) == (code, param)


PLACES = {
    "extra_body.options": lambda value: {"extra_body": {"options": {"num_predict": value}}},
    "extra_body": lambda value: {"extra_body": {"num_predict": value}},
    "options": lambda value: {"options": {"num_predict": value}},
    "vendor name": lambda value: {"max_tokens": value},
    "root": lambda value: {"num_predict": value},
}


def merged(*bodies: Any) -> dict[str, Any]:
    """Lay bodies over one another, one level into `extra_body`."""
    whole: dict[str, Any] = {}
    for body in bodies:
        for name, value in body.items():
            inner = whole.get(name)
            whole[name] = {**inner, **value} if isinstance(inner, dict) else value
    return whole


@pytest.mark.parametrize(("weaker", "stronger"), list(combinations(PLACES, 2)))
def test_the_stronger_place_wins(weaker: str, stronger: str) -> None:
    body = merged(PLACES[weaker](11), PLACES[stronger](22))

    assert params(**body).options["num_predict"] == 22


def test_the_weakest_place_counts_where_it_stands_alone() -> None:
    body = {"extra_body": {"options": {"top_k": 5}, "min_p": 0.1, "max_tokens": 3}}

    assert dict(params(**body).options) == {"top_k": 5, "min_p": 0.1, "num_predict": 3}


def test_temperature_at_the_root_beats_the_one_in_options() -> None:
    assert params(temperature=0.1, options={"temperature": 0.9}).options["temperature"] == 0.1


def test_a_null_at_the_root_leaves_the_weaker_place() -> None:
    assert params(temperature=None, options={"temperature": 0.9}).options["temperature"] == 0.9


THINKING = {
    "think true": ({"think": True}, True),
    "think false": ({"think": False}, False),
    "think word": ({"think": "true"}, True),
    "think off": ({"think": "off"}, False),
    "think level": ({"think": "high"}, "high"),
    "think max": ({"think": "max"}, "max"),
    "think effort": ({"think": "xhigh"}, "max"),
    "think empty": ({"think": "", "reasoning_effort": "low"}, "low"),
    "think first": ({"think": False, "reasoning_effort": "high"}, False),
    "enable_thinking": ({"enable_thinking": False}, False),
    "enable_thinking over effort": ({"enable_thinking": True, "reasoning_effort": "low"}, True),
    "chat_template_kwargs.enable_thinking": (
        {"chat_template_kwargs": {"enable_thinking": False}},
        False,
    ),
    "chat_template_kwargs.thinking": ({"chat_template_kwargs": {"thinking": True}}, True),
    "chat_template_kwargs.reasoning_effort": (
        {"chat_template_kwargs": {"reasoning_effort": "low"}},
        "low",
    ),
    "reasoning_effort over the template's": (
        {"chat_template_kwargs": {"reasoning_effort": "low"}, "reasoning_effort": "high"},
        "high",
    ),
    "chat_template_kwargs other": ({"chat_template_kwargs": {"x": 1}}, None),
    "thinking bool": ({"thinking": True}, True),
    "thinking word": ({"thinking": "high"}, "high"),
    "thinking enabled": ({"thinking": {"type": "enabled", "budget_tokens": 9}}, True),
    "thinking adaptive": ({"thinking": {"type": "adaptive"}}, True),
    "thinking disabled": ({"thinking": {"type": "disabled"}}, False),
    "thinking budget": ({"thinking": {"budget_tokens": 9}}, True),
    "effort none": ({"reasoning_effort": "none"}, False),
    "effort off": ({"reasoning_effort": "off"}, False),
    "effort disabled": ({"reasoning_effort": "disabled"}, False),
    "effort minimal": ({"reasoning_effort": "minimal"}, False),
    "effort low": ({"reasoning_effort": "low"}, "low"),
    "effort medium": ({"reasoning_effort": "Medium"}, "medium"),
    "effort high": ({"reasoning_effort": "HIGH"}, "high"),
    "effort xhigh": ({"reasoning_effort": "xhigh"}, "max"),
    "effort max": ({"reasoning_effort": "max"}, "max"),
    "effort ultra": ({"reasoning_effort": "ultra"}, "max"),
    "effort other": ({"reasoning_effort": "gigantic"}, True),
    "effort empty": ({"reasoning_effort": ""}, None),
    "effort before reasoning": (
        {"reasoning_effort": "low", "reasoning": {"effort": "high"}},
        "low",
    ),
    "reasoning disabled": ({"reasoning": {"enabled": False, "effort": "high"}}, False),
    "reasoning effort": ({"reasoning": {"effort": "high"}}, "high"),
    "reasoning enabled and effort": ({"reasoning": {"enabled": True, "effort": "low"}}, "low"),
    "reasoning enabled": ({"reasoning": {"enabled": True}}, True),
    "reasoning budget": ({"reasoning": {"max_tokens": 100}}, True),
    "reasoning no budget": ({"reasoning": {"max_tokens": 0}}, False),
    "reasoning enabled without budget": ({"reasoning": {"enabled": True, "max_tokens": 0}}, True),
    "reasoning exclude only": ({"reasoning": {"exclude": True}}, True),
    "reasoning empty": ({"reasoning": {}}, True),
    "reasoning nulls": ({"reasoning": {"effort": None, "summary": None}}, None),
    "reasoning null": ({"reasoning": None}, None),
    "reasoning summary only": ({"reasoning": {"summary": "auto"}}, None),
    "reasoning manners only": (
        {"reasoning": {"generate_summary": "detailed", "context": "auto", "mode": "x"}},
        None,
    ),
    "reasoning summary and exclude": ({"reasoning": {"summary": "auto", "exclude": True}}, True),
    "reasoning summary and effort": ({"reasoning": {"summary": "auto", "effort": "low"}}, "low"),
    "options.think": ({"options": {"think": "low"}}, "low"),
    "root over options.think": ({"options": {"think": "low"}, "reasoning_effort": "high"}, "high"),
    "extra_body": ({"extra_body": {"think": "low"}}, "low"),
    "options over extra_body": (
        {"extra_body": {"think": "low"}, "options": {"think": False}},
        False,
    ),
    "root over extra_body": ({"extra_body": {"think": True}, "reasoning_effort": "low"}, "low"),
    "nothing": ({}, None),
}  # fmt: skip


@pytest.mark.parametrize(("body", "think"), THINKING.values(), ids=THINKING)
def test_the_first_word_about_thinking_decides(body: Any, think: Any) -> None:
    found = params(**body).think

    assert found == think
    assert type(found) is type(think)


@pytest.mark.parametrize(
    ("body", "effort"),
    [
        ({"reasoning_effort": "Minimal"}, "minimal"),
        ({"reasoning": {"effort": "high"}}, "high"),
        ({"think": "gigantic"}, "gigantic"),
        ({"think": True, "reasoning_effort": "minimal"}, ""),
        ({"extra_body": {"reasoning_effort": "minimal"}, "think": True}, ""),
        ({}, ""),
    ],
)
def test_the_callers_own_effort_word_is_kept(body: Any, effort: str) -> None:
    assert params(**body).effort == effort


HIDING = {
    "exclude": ({"reasoning": {"exclude": True}}, True),
    "exclude false": ({"reasoning": {"exclude": False}}, False),
    "exclude over include": ({"reasoning": {"exclude": True}, "include_reasoning": True}, True),
    "include": ({"include_reasoning": True}, False),
    "include false": ({"include_reasoning": False}, True),
    "include over exclude": ({"include_reasoning": True, "exclude_reasoning": True}, False),
    "exclude_reasoning": ({"exclude_reasoning": True}, True),
    "exclude_reasoning false": ({"exclude_reasoning": False}, False),
    "hide_reasoning": ({"hide_reasoning": True}, True),
    "effort says nothing": ({"reasoning": {"effort": "high"}}, None),
    "extra_body": ({"extra_body": {"hide_reasoning": True}}, True),
    "root over extra_body": (
        {"extra_body": {"hide_reasoning": True}, "include_reasoning": True},
        False,
    ),
    "nothing": ({}, None),
}


@pytest.mark.parametrize(("body", "hidden"), HIDING.values(), ids=HIDING)
def test_only_an_explicit_word_hides_or_shows(body: Any, hidden: bool | None) -> None:
    assert params(**body).hide_thinking is hidden


def test_unknown_template_words_are_named() -> None:
    body = {
        "chat_template_kwargs": {"enable_thinking": True, "colour, red": 1, "none": None},
        "extra_body": {"chat_template_kwargs": {"a": 1}},
    }

    assert ignored(**body) == (
        "extra_body.chat_template_kwargs.a",
        "chat_template_kwargs.colour_red",
    )


KEEP_ALIVES = [
    (300, 300), (-1, -1), (0, 0), (1.5, 1.5), (2.0, 2), ("300", 300), ("-1", -1), ("+5", 5),
    ("0", 0), ("5m", "5m"), ("1h30m", "1h30m"), ("500ms", "500ms"), ("-5m", "-5m"),
    ("1.5h", "1.5h"), (" 5m ", "5m"), ("1.5", 1.5),
]  # fmt: skip


@pytest.mark.parametrize("stop", [["a"] * 65, "a" * 1_025, ["b", "ä" * 1_025]])
def test_stop_strings_are_few_and_short(stop: Any) -> None:
    assert len(params(stop=["a" * 1_024] * 64).options["stop"]) == 64
    with pytest.raises(InvalidRequest, match="at most 64 strings of at most 1024 characters"):
        params(stop=stop)


@pytest.mark.parametrize(("value", "expected"), KEEP_ALIVES, ids=repr)
def test_keep_alive_is_seconds_or_a_duration(value: Any, expected: Any) -> None:
    found = checked(readers.duration, value, "keep_alive")

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "value", ["", "m", "5 minutes", "5x", True, [], {}, 1e12, "99999999999"], ids=repr
)
def test_any_other_keep_alive_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        checked(readers.duration, value, "keep_alive")

    assert caught.value.code == "invalid_value"


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"keep_alive": 1, "options": {"keep_alive": 2}, "metadata": {"keep_alive": "3"}}, 1),
        ({"keepAlive": 1}, 1),
        ({"options": {"keepAlive": 2}, "metadata": {"keep_alive": "3"}}, 2),
        ({"metadata": {"keep_alive": "3"}, "extra_body": {"keep_alive": 4}}, 3),
        ({"extra_body": {"keep_alive": 4}}, 4),
        ({"metadata": "x"}, None),
        ({}, None),
    ],
)
def test_keep_alive_stands_in_many_places(body: Any, seconds: Any) -> None:
    assert read_params(body, {})[0].keep_alive == seconds
    assert params(**body).keep_alive == seconds


@pytest.mark.parametrize(
    ("body", "timeout_ms"),
    [
        ({"timeout_ms": 1, "timeoutMs": 2, "request_timeout": 3, "requestTimeout": 4}, 1),
        ({"timeoutMs": 2, "request_timeout": 3, "requestTimeout": 4}, 2),
        ({"request_timeout": 3, "requestTimeout": 4}, 3),
        ({"requestTimeout": "4", "metadata": {"timeout_ms": 5}}, 4),
        ({"metadata": {"request_timeout": "5"}, "extra_body": {"timeout_ms": 6}}, 5),
        ({"extra_body": {"timeout_ms": 6}}, 6),
        ({"extra_body": {"metadata": {"timeout_ms": 7}}}, 7),
        ({"timeout_ms": 0}, 0),
        ({"timeout": 600}, None),
    ],
)
def test_time_limits_are_milliseconds_from_the_first_place(body: Any, timeout_ms: Any) -> None:
    assert read_params(body, {})[0].timeout_ms == timeout_ms
    assert params(**body).timeout_ms == timeout_ms


FORMATS = {
    "json": ({"format": "json"}, "json"),
    "empty": ({"format": ""}, None),
    "schema": ({"format": {"type": "object"}}, {"type": "object"}),
    "guided_json": ({"guided_json": {"type": "array"}}, {"type": "array"}),
    "guided_json text": ({"guided_json": '{"type":"array"}'}, {"type": "array"}),
    "structured_outputs.json": (
        {"structured_outputs": {"json": {"type": "null"}}},
        {"type": "null"},
    ),
    "structured_outputs other": ({"structured_outputs": {"regex": "x"}}, None),
    "format first": ({"format": "json", "guided_json": {"type": "array"}}, "json"),
    "options.format": ({"options": {"format": "json"}}, "json"),
    "references": (
        {"format": {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}},
        {"type": "string"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), FORMATS.values(), ids=FORMATS)
def test_format_is_json_or_a_schema(body: Any, expected: Any) -> None:
    assert params(**body).format == expected


@pytest.mark.parametrize("name", ["truncate", "shift", "raw"])
def test_switches_are_read_at_the_root_and_in_extra_body(name: str) -> None:
    assert getattr(params(**{name: "false"}), name) is False
    assert getattr(params(extra_body={name: True}), name) is True
    assert getattr(params(), name) is None


def test_names_of_the_dialects_own_are_left_alone() -> None:
    body = {"thinking": {"type": "between_tools"}, "extra_body": {"thinking": 5}, "think": True}

    found, _ = read_params(body, {}, own=("thinking",))

    assert found.think is True


def test_vendor_names_belong_to_the_dialect() -> None:
    assert read_params({"max_tokens": 5, "stop": "x"}, {})[0].options == {"stop": ["x"]}


def test_the_root_is_laid_over_extra_body() -> None:
    body = {"a": 1, "n": None, "extra_body": {"a": 2, "n": 3, "b": 4}}

    root = root_of(body)

    assert (root.get("a"), root.get("n"), root.get("b")) == (1, 3, 4)


def test_a_body_without_extra_body_is_its_own_root() -> None:
    body = {"a": 1}

    assert root_of(body).raw is body


def test_an_unlucky_format_is_named() -> None:
    with pytest.raises(InvalidRequest, match="'x'"):
        read_format("xml", "x")


@given(
    st.dictionaries(
        st.sampled_from([*OPTIONS, "think", "options", "reasoning", "keep_alive", "timeout_ms"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["top_k", "effort", "stop"]), inner, max_size=3)
            ),
            max_leaves=5,
        ),
    )
)
def test_any_body_is_read_or_refused(body: dict[str, Any]) -> None:
    param, options = "fine", {}
    try:
        options = dict(read_params(body, OPENAI_NAMES)[0].options)
    except InvalidRequest as error:
        param = error.param or ""

    assert param
    assert all(value is not None for value in options.values())


class _Watched(dict[str, Any]):
    """A body that says nothing and remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return default


def test_every_place_that_is_looked_at_is_one_that_makes_it_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = module._NO_OPTIONS
    monkeypatch.setattr(module, "_NO_OPTIONS", _Never())
    body = _Watched()
    module._laid_over(Params(), Fields(body))

    assert body.asked == known


class _Never(frozenset[str]):
    def isdisjoint(self, other: Any) -> bool:
        return False


@pytest.mark.parametrize(
    "name", ["max_num_ctx", "max_tokens_cap", "timeout_ms", "system", "reasoning_field", "raw"]
)
def test_what_only_overrides_say_is_no_option(name: str) -> None:
    found, _ = read_params({"options": {name: "x", "top_k": 5}}, {})

    assert found == Params(options={"top_k": 5})
