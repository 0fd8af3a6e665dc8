"""What may be saved as an override, and what an admin is told otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.options import KEYS, OPTIONS, SPELLINGS, Option
from gateway.policy.overrides import json_positions, rules
from gateway.policy.overrides.rules import InvalidOverride, Problem, validate, validate_text

GOOD: list[tuple[str, Any, Any]] = [
    ("num_ctx", 8192, 8192),
    ("num_ctx", 8192.0, 8192),
    ("num_ctx", "8192", 8192),
    ("temperature", 0, 0),
    ("temperature", "0.7", 0.7),
    ("temperature", "1e-1", 0.1),
    ("top_p", 1, 1),
    ("num_predict", -1, -1),
    ("num_predict", 5, 5),
    ("num_gpu", -1, -1),
    ("seed", -5, -5),
    ("use_mmap", True, True),
    ("use_mmap", "off", False),
    ("use_mmap", "YES", True),
    ("use_mmap", 1, True),
    ("stop", "x", ["x"]),
    ("stop", ["x", "", "y"], ["x", "y"]),
    ("think", False, False),
    ("think", "High", "high"),
    ("think", "on", True),
    ("think", "off", False),
    ("think", "none", False),
    ("think", "minimal", "minimal"),
    ("think", "xhigh", "max"),
    ("keep_alive", 300, 300),
    ("keep_alive", "300", 300),
    ("keep_alive", "-1", -1),
    ("keep_alive", "0.5", 0.5),
    ("keep_alive", " 5m ", "5m"),
    ("keep_alive", "1h30m", "1h30m"),
    ("format", "json", "json"),
    ("format", {"type": "object"}, {"type": "object"}),
    ("timeout_ms", 0, 0),
    ("system", "Be brief.", "Be brief."),
    ("system_mode", "append", "append"),
    ("max_tokens_cap", 5, 5),
    ("reasoning_field", "both", "both"),
    ("context_policy", "grow", "grow"),
    ("context_steps", [8192, 32768], [8192, 32768]),
    ("context_steps", "8192, 32768", [8192, 32768]),
    ("context_steps", 8192.0, [8192]),
]


@pytest.mark.parametrize(("name", "value", "stored"), GOOD)
def test_a_good_value_is_stored_in_its_type(name: str, value: Any, stored: Any) -> None:
    found = validate({name: value})

    assert found == {name: stored}
    assert type(found[name]) is type(stored)
    assert validate(found) == found


_STEPS = "must be whole numbers of tokens, ascending, such as 8192, 32768"
BAD: list[tuple[str, Any, str]] = [
    ("num_ctx", "many", "must be a whole number"),
    ("num_ctx", 1.5, "must be a whole number"),
    ("num_ctx", True, "must be a whole number"),
    ("num_ctx", -1, "must be at least 0"),
    ("num_ctx", 2**70, "must be a number of at most 64 bits"),
    ("temperature", "warm", "must be a number"),
    ("temperature", float("nan"), "must be a number"),
    ("temperature", -1, "must be at least 0"),
    ("top_p", 2, "must be from 0 to 1"),
    ("num_predict", 0, "must be at least 1, or -1 for no limit"),
    ("num_predict", -3, "must be at least 1, or -1 for no limit"),
    ("use_mmap", "maybe", "must be true or false"),
    ("use_mmap", 1.0, "must be true or false"),
    ("use_mmap", [], "must be true or false"),
    ("stop", 5, "must be a text or a list of texts"),
    ("stop", ["x", 5], "must be a text or a list of texts"),
    ("think", "sometimes", "must be true, false, low, medium, high or max"),
    ("think", 1, "must be true, false, low, medium, high or max"),
    ("keep_alive", "5 minutes", "must be seconds, or a duration such as 5m"),
    ("keep_alive", True, "must be seconds, or a duration such as 5m"),
    ("keep_alive", 1e18, "must be seconds, or a duration such as 5m"),
    ("keep_alive", "inf", "must be seconds, or a duration such as 5m"),
    ("format", "yaml", 'must be "json" or a JSON schema'),
    ("format", [], 'must be "json" or a JSON schema'),
    ("timeout_ms", -1, "must be from 0 to 8.64e+07"),
    ("system", 5, "must be a text of at most 200000 characters"),
    ("system", "a\0b", "must be a text of at most 200000 characters"),
    ("system_mode", "maybe", "must be one of default, prepend, append, replace"),
    ("context_policy", "cut", "must be one of error, grow, allow"),
    ("context_steps", [32768, 8192], _STEPS),
    ("context_steps", [8192, 8192], _STEPS),
    ("context_steps", [8192.5], _STEPS),
    ("context_steps", "8k", _STEPS),
    ("context_steps", {"a": 1}, _STEPS),
    ("context_steps", list(range(1_000, 1_017)), _STEPS),
    ("context_steps", [16], "must be at least 256"),
    ("options", 5, "must be an object"),
    ("options", {"num_ctx": "x"}, "must be a whole number"),
    ("options", {"think": True}, "belongs one level up, beside 'options'"),
    ("force", [], "must be an object"),
    ("force", {"force": {}}, "has no place here"),
    ("force", {"num_ctx": "x"}, "must be a whole number"),
    ("num_cxt", 5, "unknown parameter; did you mean 'num_ctx'?"),
    ("zzz", 5, "unknown parameter; an option of a newer Ollama belongs into 'options'"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_a_bad_value_is_told(name: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidOverride) as caught:
        validate({name: value})

    assert [problem.message for problem in caught.value.problems] == [message]
    assert caught.value.problems[0].path.startswith(name)
    assert caught.value.status == 400
    assert name in caught.value.message


def test_other_spellings_are_understood() -> None:
    assert validate({"keepAlive": 5, "requestTimeout": 7}) == {"keep_alive": 5, "timeout_ms": 7}
    assert validate({"timeout": "9"}) == {"timeout_ms": 9}
    with pytest.raises(InvalidOverride, match="another spelling of 'timeout_ms'"):
        validate({"timeout": 9, "timeout_ms": 9})


def test_null_is_as_good_as_absent() -> None:
    assert validate({"num_ctx": None, "options": {"seed": None}, "force": None}) == {"options": {}}


def test_options_nobody_knows_may_stand_in_options() -> None:
    raw = {"options": {"new_thing": [1]}, "force": {"options": {"newer": "x"}}}

    assert validate(raw) == raw


def test_a_keys_parameters_have_no_force() -> None:
    with pytest.raises(InvalidOverride, match="has no place here"):
        validate({"force": {}}, force=False)


@pytest.mark.parametrize("raw", [None, [], "x", 5])
def test_an_override_is_an_object(raw: Any) -> None:
    with pytest.raises(InvalidOverride, match="must be an object"):
        validate(raw)


TEXT = """{
  "num_ctx": 8192,
  "temprature": 0.5,
  "options": {"top_k": "x",
              "seed": 1},
  "stop": [
     "a",
     5
  ],
  "force": {
     "system_mode": "loud"
  },
  "num_ctx": 4096
}"""


def test_every_problem_comes_with_its_line() -> None:
    with pytest.raises(InvalidOverride) as caught:
        validate_text(TEXT)

    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (3, "temprature"),
        (4, "options.top_k"),
        (6, "stop"),
        (11, "force.system_mode"),
        (13, "num_ctx"),
    ]
    assert str(caught.value.problems[0]).startswith("line 3: temprature: unknown parameter")


@pytest.mark.parametrize(
    ("text", "line"), [("{", 1), ('{\n"a": 1,\n}', 2), ("nonsense", 1), ('{"a": NaN}', 1)]
)
def test_text_that_is_no_json_is_told_with_its_line(text: str, line: int) -> None:
    with pytest.raises(InvalidOverride) as caught:
        validate_text(text)

    problem = caught.value.problems[0]
    assert (problem.line, problem.path) == (line, "")
    assert str(problem).startswith(f"line {line}: is not JSON")


def test_good_text_is_stored() -> None:
    assert validate_text(' {"num_ctx": "8192",\n"keepAlive": "5m"} ') == {
        "num_ctx": 8192,
        "keep_alive": "5m",
    }
    assert validate_text(" \n ") == {}


def test_a_text_can_be_too_long() -> None:
    with pytest.raises(InvalidOverride, match="at most"):
        validate_text('{"system": "' + "x" * rules.MAX_TEXT + '"}')


def test_many_problems_are_not_all_told() -> None:
    with pytest.raises(InvalidOverride) as caught:
        validate({f"zzz{i}": 1 for i in range(200)})

    assert len(caught.value.problems) == 50


def test_a_problem_without_a_place_reads_well() -> None:
    assert str(Problem(0, "", "is odd")) == "is odd"
    assert str(Problem(0, "a", "is odd")) == "a: is odd"


# -- the table of keys -----------------------------------------------------------------------------


def test_the_table_knows_every_option_of_ollama() -> None:
    assert set(OPTIONS) <= set(KEYS)
    assert set(SPELLINGS.values()) <= set(KEYS)
    assert not set(SPELLINGS) & set(KEYS)


@pytest.mark.parametrize("rule", KEYS.values(), ids=list(KEYS))
def test_every_key_is_explained(rule: Option) -> None:
    assert rule.help.endswith(".")
    assert rule.default
    assert (rule.kind == "choice" or rule.name == "parse_think_tags") == bool(rule.choices)


def test_runner_options_are_marked() -> None:
    assert {name for name, rule in KEYS.items() if rule.runner} == {
        "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap",
        "draft_num_predict", "shift",
    }  # fmt: skip


# -- lines -----------------------------------------------------------------------------------------


def test_lines_are_found_by_path() -> None:
    lines = json_positions.read_lines('\n{"a":\n[1,\n{"b\\"":\n2}], "c": {}\n, "d": []}')

    assert lines.of[()] == 2
    assert lines.of[("a",)] == 2
    assert lines.of[("a", 0)] == 3
    assert lines.of[("a", 1)] == 4
    assert lines.of[("a", 1, 'b"')] == 4
    assert lines.of[("c",)] == 5
    assert lines.of[("d",)] == 6
    assert lines.nearest(("a", 1, "nothing", 5)) == 4
    assert lines.nearest(("nothing",)) == 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> set[tuple[Any, ...]]:
    found = {path}
    pairs = enumerate(value) if isinstance(value, list) else ()
    for name, inner in value.items() if isinstance(value, dict) else pairs:
        found |= paths(inner, (*path, name))
    return found


@given(json_values.filter(lambda v: "Infinity" not in json.dumps(v)), st.sampled_from([None, 2]))
def test_every_value_has_a_line(value: Any, indent: int | None) -> None:
    lines = json_positions.read_lines(json.dumps(value, indent=indent))

    assert set(lines.of) == paths(value)
    assert lines.twice == []
