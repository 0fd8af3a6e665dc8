"""What estimates learn from the prompts that Ollama counted."""

from __future__ import annotations

import json
import random
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.policy import estimate
from gateway.policy.estimate import (
    HIGHEST_FACTOR,
    LOWEST_FACTOR,
    START,
    Factors,
    Size,
    units,
)

COUNTED = json.loads((Path(__file__).parents[1] / "data/counted_texts.json").read_text("utf-8"))
TOKENIZERS = tuple(COUNTED["counted_by"])
KINDS = ("english", "code", "json", "chinese")
ENGLISH = Size(units("The tide is low at six and the boats lie in the mud. " * 20), 1)
CHINESE = Size(units("早上六点潮水很低，船停在泥里。" * 20), 1)


def prompts(tokenizer: str, kind: str) -> list[tuple[Size, int]]:
    """Return the texts of a kind as prompts of one message, with what they take."""
    return [
        (Size(units(each["text"]), 1), each["tokens"][tokenizer] + 8)
        for each in COUNTED["texts"]
        if each["kind"] == kind
    ]


def learned(calls: list[tuple[Size, int]]) -> Factors:
    factors = Factors()
    for size, tokens in calls:
        factors.learn("m:1", size, tokens)
    return factors


def errors(factors: Factors, calls: list[tuple[Size, int]]) -> list[float]:
    of_model = factors.of("m:1")
    return [abs(size.tokens(of_model) / tokens - 1) for size, tokens in calls]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("kind", KINDS)
def test_after_twenty_calls_estimates_are_close(tokenizer: str, kind: str) -> None:
    found: list[float] = []
    for seed in range(5):
        shuffled = {each: prompts(tokenizer, each) for each in KINDS}
        for calls in shuffled.values():
            random.Random(seed).shuffle(calls)
        factors = learned([call for calls in shuffled.values() for call in calls[:5]])
        found += errors(factors, shuffled[kind][5:])

    assert statistics.median(found) <= 0.10
    assert statistics.quantiles(found, n=20)[-1] <= 0.25


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("taught", KINDS)
@pytest.mark.parametrize("asked", KINDS)
def test_one_kind_of_text_does_not_spoil_another(tokenizer: str, taught: str, asked: str) -> None:
    calls = prompts(tokenizer, asked)
    before = statistics.fmean(errors(Factors(), calls))

    after = statistics.fmean(errors(learned(prompts(tokenizer, taught) * 2), calls))

    assert after <= max(before + 0.02, 0.10)


def test_each_model_learns_for_itself() -> None:
    factors = Factors()
    factors.learn("m:1", ENGLISH, ENGLISH.tokens() * 2)

    assert factors.of("m:1") != START
    assert factors.of("other:1") == START


def test_what_chinese_takes_says_little_about_english() -> None:
    factors = learned([(CHINESE, CHINESE.tokens() * 2)] * 20)

    assert CHINESE.tokens(factors.of("m:1")) == pytest.approx(CHINESE.tokens() * 2, rel=0.05)
    assert ENGLISH.tokens(factors.of("m:1")) == ENGLISH.tokens()


def test_learning_never_stops() -> None:
    calls = [(ENGLISH, ENGLISH.tokens())] * 2_000
    changed = [(ENGLISH, ENGLISH.tokens() * 2)] * 60

    factors = learned(calls + changed)

    assert ENGLISH.tokens(factors.of("m:1")) == pytest.approx(ENGLISH.tokens() * 2, rel=0.1)


def test_one_odd_count_does_not_spoil_what_is_known() -> None:
    usual = [(ENGLISH, ENGLISH.tokens())] * 20

    factors = learned([*usual, (ENGLISH, ENGLISH.tokens() * 4)])

    assert ENGLISH.tokens(factors.of("m:1")) == pytest.approx(ENGLISH.tokens(), rel=0.1)


@pytest.mark.parametrize("tokens", [0, -5, 31, 2**63, ENGLISH.tokens() * 6, ENGLISH.tokens() // 6])
def test_an_implausible_count_is_not_believed(tokens: int) -> None:
    assert learned([(ENGLISH, tokens)]).of("m:1") == START


def test_a_prompt_without_text_teaches_nothing() -> None:
    assert learned([(Size(messages=3), 500)]).of("m:1") == START


def test_images_make_a_count_useless_for_learning() -> None:
    with_image = Size(ENGLISH.units, 1, images=1)

    assert learned([(with_image, with_image.tokens() * 2)]).of("m:1") == START


@pytest.mark.parametrize("times", [0.3, 4.5])
def test_the_factors_are_bounded(times: float) -> None:
    calls = [(size, int(size.tokens() * times)) for size in (ENGLISH, CHINESE)] * 500

    found = learned(calls).of("m:1")

    assert all(LOWEST_FACTOR <= factor <= HIGHEST_FACTOR for factor in found)


def test_the_models_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "_MAX_MODELS", 3)
    factors = Factors()
    for number in range(10):
        factors.learn(f"m{number}:1", ENGLISH, ENGLISH.tokens() * 2)

    assert factors.of("m9:1") != START
    assert len(factors._models) <= 3


def test_many_threads_may_learn_at_once() -> None:
    factors = Factors()
    with ThreadPoolExecutor(8) as pool:
        for _ in range(400):
            pool.submit(factors.learn, "m:1", CHINESE, CHINESE.tokens() * 2)

    assert CHINESE.tokens(factors.of("m:1")) == pytest.approx(CHINESE.tokens() * 2, rel=0.05)
