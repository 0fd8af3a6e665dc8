"""Layers of parameters: which one wins, what is cut, what callers are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.catalog import Alias, Resolved
from gateway.core.chat import Call, ChatRequest, CompletionRequest, EmbedRequest, Message, Params
from gateway.policy.overrides import apply
from gateway.policy.overrides.apply import Change, Layers
from gateway.schemas.settings import RuntimeSettings
from tests.policy.values import chat, key, model

LAYERS = ("default", "key", "model", "alias", "request", "force:model", "force:alias", "force:key")
"""Weak to strong."""


def layers(**said: Mapping[str, Any]) -> Layers:
    """Build layers from what each says; `force_key`, `force_model`, `force_alias` force."""
    return Layers(
        key_forced=said.get("force_key", {}),
        alias={**said.get("alias", {}), "force": said.get("force_alias", {})},
        model={**said.get("model", {}), "force": said.get("force_model", {})},
        key_default=said.get("key", {}),
    )


def applied(request: Any, behaviour: RuntimeSettings | None = None, **said: Any) -> Any:
    return apply.apply(request, layers(**said), behaviour or RuntimeSettings())


@pytest.mark.parametrize("strongest", range(1, len(LAYERS)))
def test_the_strongest_layer_that_says_something_wins(strongest: int) -> None:
    said = {
        name.replace(":", "_"): {"top_k": at + 1} for at, name in enumerate(LAYERS[: strongest + 1])
    }
    request = chat(options=said.pop("request", {}))

    found = applied(request, **said)

    assert found.request.params.options == {"top_k": strongest + 1}
    assert found.provenance == {"top_k": LAYERS[strongest]}


def test_nobody_saying_anything_changes_nothing() -> None:
    request = chat()

    found = apply.apply(request, Layers(), RuntimeSettings(context_policy="allow"))

    assert found.request == request
    assert (found.ignored, found.changes, found.provenance) == ((), (), {})
    assert (found.timeout_ms, found.hide_thinking, found.parse_think_tags) == (
        600_000,
        False,
        False,
    )
    assert found.reasoning_field == "reasoning_content"


def test_values_are_not_merged_inside() -> None:
    found = applied(chat(options={"stop": ["a"]}), model={"stop": ["b"]})

    assert found.request.params.options == {"stop": ["a"]}


def test_flat_keys_beat_the_options_of_the_same_layer() -> None:
    found = applied(chat(), model={"options": {"top_k": 1, "top_p": 0.5}, "top_k": 2})

    assert found.request.params.options == {"top_k": 2, "top_p": 0.5}


def test_every_key_goes_where_it_belongs() -> None:
    found = applied(
        chat(),
        model={
            "think": "low", "keepAlive": "5m", "format": "json", "truncate": False, "shift": True,
            "raw": True, "requestTimeout": 5, "exclude_reasoning": True, "parse_think_tags": True,
            "reasoning_field": "both", "seed": None, "min_p": 0.1,
        },
    )  # fmt: skip

    params = found.request.params
    assert params == Params(
        options={"min_p": 0.1}, think="low", format="json", keep_alive="5m", truncate=False,
        shift=True, timeout_ms=5, hide_thinking=True,
    )  # fmt: skip
    assert (found.timeout_ms, found.hide_thinking, found.parse_think_tags) == (5, True, True)
    assert found.reasoning_field == "both"


def test_what_a_request_says_stays() -> None:
    request = chat(
        options={"top_k": 1}, think=False, format={"type": "object"}, keep_alive=0, truncate=True,
        shift=False, timeout_ms=0, hide_thinking=False, logprobs=True, top_logprobs=3,
    )  # fmt: skip
    other = {
        "top_k": 2, "think": True, "format": "json", "keep_alive": 9, "truncate": False,
        "shift": True, "timeout_ms": 9, "exclude_reasoning": True,
    }  # fmt: skip

    found = applied(request, model=other)

    assert found.request == request
    assert found.timeout_ms == 0
    assert not found.hide_thinking
    assert set(found.provenance.values()) == {"request"}


@pytest.mark.parametrize(
    ("wish", "said", "hidden"),
    [
        (None, {}, False),
        (None, {"model": {"exclude_reasoning": True}}, True),
        (False, {"model": {"exclude_reasoning": True}}, False),
        (True, {"model": {"exclude_reasoning": False}}, True),
        (False, {"force_key": {"exclude_reasoning": True}}, True),
    ],
)
def test_only_an_explicit_wish_undoes_a_hiding_override(
    wish: bool | None, said: dict[str, Any], hidden: bool
) -> None:
    assert applied(chat(hide_thinking=wish), **said).hide_thinking is hidden


@pytest.mark.parametrize(
    ("asked", "said", "default", "think", "source", "effort"),
    [
        (None, {}, None, None, None, ""),
        (None, {}, False, False, "default", ""),
        (None, {"model": {"think": "high"}}, False, "high", "model", ""),
        (None, {"model": {"think": "minimal"}}, None, False, "model", "minimal"),
        ("low", {"model": {"think": "high"}}, False, "low", "request", "minimal"),
        ("low", {"force_model": {"think": False}}, True, False, "force:model", ""),
    ],
)
def test_the_endpoints_default_is_weakest(
    asked: Any, said: Any, default: Any, think: Any, source: str | None, effort: str
) -> None:
    request = chat(think=asked, effort="minimal" if asked else "")
    laid = layers(**said)
    laid = Layers(
        laid.key_forced, laid.alias, laid.model, laid.key_default, default={"think": default}
    )

    found = apply.apply(request, laid, RuntimeSettings())

    assert found.request.params.think == think
    assert found.provenance.get("think") == source
    assert found.request.params.effort == effort


CAPS: dict[str, Any] = {
    "none asked": ({}, {"model": {"max_tokens_cap": 100}}, {"num_predict": 100}, ()),
    "less asked": ({"num_predict": 50}, {"model": {"max_tokens_cap": 100}}, {"num_predict": 50},
     ()),
    "more asked": ({"num_predict": 500}, {"model": {"max_tokens_cap": 100}}, {"num_predict": 100},
     ("max_tokens(capped)",)),
    "no limit asked": ({"num_predict": -1}, {"model": {"max_tokens_cap": 100}},
     {"num_predict": 100}, ("max_tokens(capped)",)),
    "the smallest holds": ({}, {"model": {"max_tokens_cap": 100}, "key": {"max_tokens_cap": 30},
                                "force_key": {"max_tokens_cap": 60}}, {"num_predict": 30}, ()),
    "an override above it": ({}, {"model": {"max_tokens_cap": 100, "num_predict": 200}},
     {"num_predict": 100}, ()),
    "a forced value above it": ({}, {"model": {"max_tokens_cap": 9},
                                     "force_model": {"num_predict": 20}}, {"num_predict": 9}, ()),
    "more context asked": ({"num_ctx": 9999}, {"model": {"max_num_ctx": 4096}},
     {"num_ctx": 4096}, ("num_ctx(capped)",)),
    "less context asked": ({"num_ctx": 99}, {"model": {"max_num_ctx": 4096}}, {"num_ctx": 99}, ()),
    "the override's own context": ({}, {"model": {"max_num_ctx": 4096, "num_ctx": 8192}},
     {"num_ctx": 8192}, ()),
    "no context asked": ({}, {"model": {"max_num_ctx": 4096}}, {}, ()),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "said", "options", "ignored"), CAPS.values(), ids=CAPS)
def test_lengths_are_cut_to_their_limits(
    asked: dict[str, Any], said: dict[str, Any], options: dict[str, Any], ignored: tuple[str, ...]
) -> None:
    found = applied(chat(options=asked), **said)

    assert found.request.params.options == options
    assert found.ignored == ignored
    assert "cap" in found.provenance.values() or not ignored


def test_callers_can_be_kept_from_runner_options() -> None:
    asked = {"num_gpu": 1, "use_mmap": True, "num_ctx": 4096, "top_k": 3}
    request = chat(options=asked, shift=True, keep_alive=-1)
    behaviour = RuntimeSettings(allow_client_runner_options=False, allow_client_keep_alive=False)

    found = applied(request, behaviour, model={"num_gpu": 7})

    assert found.request.params.options == {"num_ctx": 4096, "top_k": 3, "num_gpu": 7}
    assert (found.request.params.shift, found.request.params.keep_alive) == (None, None)
    assert set(found.ignored) == {"num_gpu", "use_mmap", "shift", "keep_alive"}
    assert {change.reason for change in found.changes} == {"not allowed"}


@pytest.mark.parametrize("allowed", [True, False])
def test_options_nobody_knows_pass_unless_switched_off(allowed: bool) -> None:
    behaviour = RuntimeSettings(allow_unverified_options=allowed)

    found = applied(chat(options={"new_thing": 1}), behaviour, model={"options": {"newer": 2}})

    assert found.request.params.options == ({"new_thing": 1, "newer": 2} if allowed else {})
    assert set(found.ignored) == (set() if allowed else {"options.new_thing", "options.newer"})


def test_a_forced_value_is_noted_for_the_log_only() -> None:
    request = chat(options={"temperature": 1.0, "top_k": 4})

    found = applied(request, force_alias={"temperature": 0.0, "top_k": 4})

    assert found.request.params.options == {"temperature": 0.0, "top_k": 4}
    assert found.changes == (Change("temperature", "forced"),)
    assert found.ignored == ()


# -- system prompts --------------------------------------------------------------------------------

S, U = Message("system", "theirs"), Message("user", "Hi")
SYSTEMS: dict[str, Any] = {
    "none": ((U,), {}, ["user:Hi"]),
    "given, none asked": ((U,), {"model": {"system": "ours"}}, ["system:ours", "user:Hi"]),
    "default": ((S, U), {"model": {"system": "ours"}}, ["system:theirs", "user:Hi"]),
    "prepend": ((S, U), {"model": {"system": "ours", "system_mode": "prepend"}},
     ["system:ours\n\ntheirs", "user:Hi"]),
    "append": ((S, U), {"model": {"system": "ours", "system_mode": "append"}},
     ["system:theirs\n\nours", "user:Hi"]),
    "append, none asked": ((U,), {"model": {"system": "ours", "system_mode": "append"}},
     ["system:ours", "user:Hi"]),
    "replace": ((S, U, S), {"model": {"system": "ours", "system_mode": "replace"}},
     ["system:ours", "user:Hi"]),
    "the alias's, not the model's": ((U,),
     {"model": {"system": "a"}, "alias": {"system": "b"}}, ["system:b", "user:Hi"]),
    "forced": ((S, U), {"force_model": {"system": "ours"}}, ["system:ours", "user:Hi"]),
    "forced, prepended": ((S, U), {"force_key": {"system": "ours", "system_mode": "prepend"}},
     ["system:ours\n\ntheirs", "user:Hi"]),
    "not leading": ((U, S), {"model": {"system": "ours"}}, ["user:Hi", "system:theirs"]),
}  # fmt: skip


@pytest.mark.parametrize(("messages", "said", "wanted"), SYSTEMS.values(), ids=SYSTEMS)
def test_a_system_prompt_is_laid_over_a_chat(
    messages: tuple[Message, ...], said: dict[str, Any], wanted: list[str]
) -> None:
    found = applied(chat(*messages), **said)

    assert [f"{m.role}:{m.content}" for m in found.request.messages] == wanted
    assert found.ignored == ()


@pytest.mark.parametrize(
    ("own", "raw", "mode", "wanted"),
    [
        (None, None, "default", "ours"),
        ("theirs", None, "default", "theirs"),
        ("theirs", None, "append", "theirs\n\nours"),
        ("theirs", None, "replace", "ours"),
        (None, True, "default", None),
    ],
)
def test_a_system_prompt_is_laid_over_a_completion(
    own: str | None, raw: bool | None, mode: str, wanted: str | None
) -> None:
    request = CompletionRequest("m", ("p",), Params(raw=raw), system=own)

    found = applied(request, model={"system": "ours", "system_mode": mode})

    assert found.request.system == wanted


@pytest.mark.parametrize(
    ("asked", "said", "default", "suffix", "raw"),
    [
        (None, {}, None, "", None),
        (None, {}, True, "", True),
        (False, {}, True, "", False),
        (None, {"model": {"raw": False}}, True, "", False),
        (None, {"model": {"raw": True}}, None, "", True),
        (True, {}, True, "end", None),
    ],
)
def test_raw_is_for_completions_without_a_suffix(
    asked: bool | None, said: Any, default: bool | None, suffix: str, raw: bool | None
) -> None:
    laid = layers(**said)
    laid = Layers(
        laid.key_forced, laid.alias, laid.model, laid.key_default, default={"raw": default}
    )
    request = CompletionRequest("m", ("p",), Params(raw=asked), suffix=suffix)

    assert apply.apply(request, laid, RuntimeSettings()).request.params.raw is raw


def test_embeddings_take_only_what_means_something_to_them() -> None:
    request = EmbedRequest("m", ("a",), Params(options={"temperature": 1, "num_ctx": 512, "x": 1}))

    found = applied(
        request,
        model={"keep_alive": 5, "truncate": False, "think": True, "system": "s", "num_gpu": 1,
               "timeout_ms": 9, "max_tokens_cap": 3, "format": "json", "shift": True},
    )  # fmt: skip

    assert found.request == EmbedRequest(
        "m", ("a",), Params(options={"num_ctx": 512, "num_gpu": 1}, keep_alive=5, truncate=False,
                            timeout_ms=9))  # fmt: skip
    assert found.timeout_ms == 9
    assert found.ignored == ()
    assert {change.name for change in found.changes} == {"temperature", "x"}


def test_the_layers_of_a_call_are_gathered() -> None:
    resolved = Resolved(model(override={"top_k": 1}), Alias("a", {"top_k": 2}))
    owner = key(default_params={"top_k": 3}, forced_params={"top_k": 4})
    call = Call(chat(), default_think=False, default_raw=True)

    found = apply.layers_of(owner, resolved, call)

    assert found == Layers(
        {"top_k": 4},
        {"top_k": 2},
        {"top_k": 1},
        {"top_k": 3},
        {"think": False, "raw": True, "truncate": None},
    )
    assert apply.layers_of(owner, Resolved(resolved.model)) == Layers(
        {"top_k": 4}, {}, {"top_k": 1}, {"top_k": 3}
    )


def test_settings_stand_in_where_no_layer_speaks() -> None:
    behaviour = RuntimeSettings(
        request_timeout_ms=0, parse_think_tags=True, reasoning_field="reasoning"
    )

    found = applied(chat(), behaviour)

    assert (found.timeout_ms, found.parse_think_tags, found.reasoning_field) == (
        0,
        True,
        "reasoning",
    )


values = st.sampled_from(["top_k", "num_predict", "think", "stop", "new_thing", "num_gpu"])
said = st.dictionaries(values, st.integers(1, 5))


@given(said, said, said, said, said, said)
def test_each_key_comes_from_exactly_one_layer(
    of_key: Any, of_model: Any, of_alias: Any, asked: Any, forced: Any, key_forced: Any
) -> None:
    request = chat(options={name: v for name, v in asked.items() if name != "think"})
    stack = [of_key, of_model, of_alias, dict(request.params.options), forced, key_forced]

    found = applied(
        request,
        key=of_key,
        model=of_model,
        alias=of_alias,
        force_model=forced,
        force_key=key_forced,
    )

    for name in {name for layer in stack for name in layer}:
        wanted = next(layer[name] for layer in reversed(stack) if name in layer)
        params = found.request.params
        assert (params.think if name == "think" else params.options[name]) == wanted
    assert isinstance(found.request, ChatRequest)
