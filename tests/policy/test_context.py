"""Which window a call is sent with."""

from __future__ import annotations

import pytest

from gateway.policy import context
from gateway.policy.context import MOST_ROOM, Wish, wish

STEPS = (8_192, 32_768, 131_072)


def wished(policy: str = "grow", **given: int) -> Wish | None:
    facts = {"estimate": 1_000, "answer": 0, "asked": 0, "cap": 0, **given}
    return wish(policy, steps=STEPS, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "loaded", "window"),
    [
        ({}, 0, 8_192),
        ({}, 32_768, 32_768),
        ({}, 4_096, 8_192),
        ({}, 1, 8_192),
        ({"estimate": 7_500}, 0, 32_768),
        ({"estimate": 7_500}, 8_192, 32_768),
        ({"estimate": 1_000_000}, 0, 131_072),
        ({"answer": 64_000}, 0, 8_192),
        ({"estimate": 8_192 - MOST_ROOM, "answer": 64_000}, 0, 8_192),
        ({"estimate": 8_193 - MOST_ROOM, "answer": 64_000}, 0, 32_768),
        ({"asked": 16_000}, 0, 32_768),
        ({"asked": 2_000, "estimate": 9_000}, 0, 32_768),
        ({"asked": 500_000}, 0, 131_072),
        ({"asked": 500_000, "cap": 40_000}, 0, 32_768),
        ({"estimate": 50_000, "cap": 4_000}, 0, 4_000),
    ],
)
def test_a_growing_window_is_a_step_that_holds_prompt_and_answer(
    given: dict[str, int], loaded: int, window: int
) -> None:
    found = wished(**given)

    assert found is not None
    assert found.window(loaded) == window


@pytest.mark.parametrize(
    ("given", "loaded", "window"),
    [
        ({}, 0, 131_072),
        ({"asked": 4_096}, 0, 8_192),
        ({"asked": 4_096}, 32_768, 32_768),
        ({"asked": 4_096, "estimate": 100_000}, 0, 8_192),
        ({"cap": 40_000}, 0, 32_768),
    ],
)
def test_a_window_that_may_not_grow_is_the_one_asked_for(
    given: dict[str, int], loaded: int, window: int
) -> None:
    found = wished("error", **given)

    assert found is not None
    assert found.window(loaded) == window
    assert found.after(window, {"prompt_tokens": 200_000}) is None


def test_the_window_is_left_alone_without_steps_and_where_cutting_is_allowed() -> None:
    nothing = {"estimate": 1, "answer": 0, "asked": 0, "cap": 0}

    assert wished("allow") is None
    assert wish("error", steps=(), **nothing) is None
    assert wish("grow", steps=(), **nothing) is None


@pytest.mark.parametrize(
    ("sent", "refusal", "window"),
    [
        (8_192, {"prompt_tokens": 9_000, "context_tokens": 8_192}, 32_768),
        (8_192, {"prompt_tokens": 90_000}, 131_072),
        (8_192, {"prompt_tokens": 900_000}, 131_072),
        (8_192, {"prompt_tokens": 100}, 32_768),
        (8_192, {}, 32_768),
        (8_192, {"context_tokens": 2_048}, 32_768),  # the server made less of it
        (32_768, {"context_tokens": 2_048}, 131_072),
        (131_072, {"prompt_tokens": 200_000, "context_tokens": 2_048}, None),
    ],
)
def test_a_refusal_chooses_a_larger_step(
    sent: int, refusal: dict[str, int], window: int | None
) -> None:
    first = wished()
    assert first is not None
    following = first.after(sent, refusal)

    assert (None if following is None else following.window(sent)) == window


@pytest.mark.parametrize(
    ("prompts", "trained", "spilled", "steps"),
    [
        pytest.param([500] * 19, 131_072, 0, (), id="too few"),
        pytest.param([500] * 20, 131_072, 0, (8_192,), id="short ones"),
        pytest.param([500] * 99 + [40_000], 131_072, 0, (8_192, 65_536), id="one long one"),
        pytest.param([500] * 99 + [40_000], 32_768, 0, (8_192, 32_768), id="trained for less"),
        pytest.param([500] * 99 + [40_000], 131_072, 32_768, (8_192, 16_384), id="beyond the GPU"),
        pytest.param([500] * 20, 2_048, 0, (2_048,), id="a small model"),
        pytest.param([500] * 99 + [40_000], 0, 0, (8_192, 65_536), id="trained length unknown"),
    ],
)
def test_steps_are_proposed(
    prompts: list[int], trained: int, spilled: int, steps: tuple[int, ...]
) -> None:
    assert context.propose(prompts, trained, spilled) == steps


@pytest.mark.parametrize(
    ("estimate", "counted", "window", "cut"),
    [
        pytest.param(7_610, 1_026, 2_048, True, id="one long message, half of the window"),
        pytest.param(6_382, 2_046, 2_048, True, id="the oldest messages were dropped"),
        pytest.param(1_030, 1_026, 2_048, False, id="half by chance"),
        pytest.param(2_000, 1_500, 2_048, False, id="it fitted"),
        pytest.param(3_000, 2_040, 4_096, False, id="an estimate that was too high"),
        pytest.param(7_610, 1_026, 0, False, id="the window is not known"),
        pytest.param(7_610, 0, 2_048, False, id="Ollama did not count"),
    ],
)
def test_a_cut_prompt_is_known_by_its_length(
    estimate: int, counted: int, window: int, cut: bool
) -> None:
    assert context.looks_cut(estimate, counted, window) is cut
