"""One model object serves both vendors' SDKs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from gateway.core.catalog import Model
from gateway.dialects import codex_models
from gateway.dialects.models import render_list, render_model
from gateway.errors import InvalidRequest

QWEN = Model(
    1,
    "qwen3:8b",
    "qwen3:8b",
    capabilities=frozenset({"tools", "completion"}),
    context_tokens=40960,
    modified_at=datetime(2025, 7, 31, 22, 13, 20, tzinfo=UTC),
)
PLAIN = Model(2, "Alder:latest", "Alder")
MODELS = [Model(n, f"m{n}:latest", f"m{n}") for n in range(5)]


def ids(page: Any) -> list[str]:
    return [model["id"] for model in page["data"]]


def test_a_model_has_every_key_of_the_contract() -> None:
    assert render_model(QWEN) == {
        "id": "qwen3:8b",
        "object": "model",
        "created": 1_754_000_000,
        "owned_by": "ollama",
        "permission": [],
        "root": "qwen3:8b",
        "parent": None,
        "type": "model",
        "display_name": "qwen3:8b",
        "created_at": "2025-07-31T22:13:20Z",
        "lifecycle": "active",
        "context_length": 40960,
        "max_model_len": 40960,
        "max_input_tokens": 40960,
        "max_tokens": 40960,
        "capabilities": ["completion", "tools"],
    }


def test_what_is_unknown_is_left_out() -> None:
    found = render_model(PLAIN)

    unknown = {"context_length", "max_model_len", "max_input_tokens", "max_tokens", "capabilities"}
    assert not unknown & found.keys()
    assert (found["created"], found["created_at"]) == (0, "1970-01-01T00:00:00Z")


def test_times_are_utc() -> None:
    zone = timezone(timedelta(hours=2))
    model = Model(1, "a", "a", modified_at=datetime(2025, 1, 1, 1, 0, tzinfo=zone))

    assert render_model(model)["created_at"] == "2024-12-31T23:00:00Z"


@pytest.mark.parametrize(
    ("override", "window"),
    [
        ({}, 40960),
        ({"num_ctx": 8192}, 8192),
        ({"options": {"num_ctx": 4096}}, 4096),
        ({"num_ctx": 8192, "options": {"num_ctx": 4096}}, 8192),
        ({"num_ctx": 8192, "force": {"num_ctx": 2048}}, 2048),
        ({"force": {"options": {"num_ctx": 1024}}}, 1024),
        ({"num_ctx": None, "options": None}, 40960),
        ({"num_ctx": 4096, "context_steps": [8192, 32768]}, 32768),
        ({"context_steps": [8192, 65536]}, 40960),
        ({"context_steps": []}, 40960),
    ],
)
def test_the_window_is_what_the_admin_set(override: Any, window: int) -> None:
    model = Model(1, "a", "a", override=override, context_tokens=40960)

    found = render_model(model)

    assert found["context_length"] == found["max_input_tokens"] == found["max_tokens"] == window


@pytest.mark.parametrize(
    ("override", "window"),
    [({}, 8192), ({"num_ctx": 4096}, 4096), ({"context_steps": [16384]}, 16384)],
)
def test_callers_are_told_the_window_a_model_is_loaded_with(override: Any, window: int) -> None:
    model = Model(1, "a", "a", override=override, context_tokens=40960)

    assert render_model(model, 8192)["max_input_tokens"] == window
    assert render_list([model], {"a": 8192})["data"][0]["max_input_tokens"] == window


def test_codex_is_told_what_it_must_know() -> None:
    seeing = Model(2, "b", "b", capabilities=frozenset({"completion", "vision"}))
    vectors = Model(3, "c", "c", capabilities=frozenset({"embedding"}))
    decides = Model(4, "d", "d", capabilities=frozenset({"decision"}))
    able = replace(QWEN, capabilities=frozenset({"completion", "thinking"}))
    thinking, plain = codex_models.render([able, seeing, vectors, decides], {QWEN.name: 16_384})

    assert thinking["slug"] == "qwen3:8b"
    assert thinking["context_window"] == 16_384
    assert thinking["auto_compact_token_limit"] == 12_288
    assert thinking["truncation_policy"] == {"mode": "tokens", "limit": 2_048}
    assert [one["effort"] for one in thinking["supported_reasoning_levels"]] == [
        "low",
        "medium",
        "high",
    ]
    assert plain["input_modalities"] == ["text", "image"]
    assert plain["supported_reasoning_levels"] == []
    assert "context_window" not in plain
    assert thinking["base_instructions"] == plain["base_instructions"] != ""


@pytest.mark.parametrize(("cap", "most"), [(1000, 1000), (10**6, 40960)])
def test_an_answer_is_at_most_what_the_admin_allows(cap: int, most: int) -> None:
    model = Model(1, "a", "a", override={"max_tokens_cap": cap}, context_tokens=40960)

    assert render_model(model)["max_tokens"] == most


def test_the_list_is_ordered_by_display_name() -> None:
    page = render_list([QWEN, PLAIN])

    assert page["object"] == "list"
    assert ids(page) == ["Alder", "qwen3:8b"]
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("Alder", "qwen3:8b", False)


def test_an_empty_list_has_no_cursors() -> None:
    assert render_list([]) == {
        "object": "list",
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }


PAGES = {
    "all": ({}, ["m0", "m1", "m2", "m3", "m4"], False),
    "limit": ({"limit": 2}, ["m0", "m1"], True),
    "limit text": ({"limit": "1000"}, ["m0", "m1", "m2", "m3", "m4"], False),
    "limit empty": ({"limit": ""}, ["m0", "m1", "m2", "m3", "m4"], False),
    "after": ({"after_id": "m2"}, ["m3", "m4"], False),
    "after limit": ({"after_id": "m0", "limit": 3}, ["m1", "m2", "m3"], True),
    "after last": ({"after_id": "m4", "limit": 3}, [], False),
    "before": ({"before_id": "m2"}, ["m0", "m1"], False),
    "before limit": ({"before_id": "m4", "limit": 2}, ["m2", "m3"], True),
    "before first": ({"before_id": "m0", "limit": 2}, [], False),
    "cursor empty": ({"after_id": "", "limit": 1}, ["m0"], True),
}


@pytest.mark.parametrize(("asked", "expected", "more"), PAGES.values(), ids=PAGES)
def test_pages_follow_the_cursors(asked: Any, expected: list[str], more: bool) -> None:
    page = render_list(reversed(MODELS), **asked)

    assert ids(page) == expected
    assert page["has_more"] is more


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"limit": 0}, "limit"), ({"limit": 1001}, "limit"), ({"limit": "many"}, "limit"),
        ({"after_id": "nobody"}, "after_id"), ({"before_id": "nobody"}, "before_id"),
    ],
)  # fmt: skip
def test_a_page_that_cannot_be_is_refused(asked: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        render_list(MODELS, **asked)

    assert caught.value.param == param
