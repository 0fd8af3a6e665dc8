"""Histograms add up, and their percentiles are close to the true ones."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import histogram
from gateway.core.histogram import Histograms

VALUES = st.lists(st.floats(0.02, 1e9), min_size=1, max_size=300)


def of(values: list[float]) -> Histograms:
    found: Histograms = {}
    for value in values:
        histogram.count(found, "duration_ms", value)
    return found


@given(values=VALUES, share=st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_within_six_percent(values: list[float], share: float) -> None:
    true = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
    found = histogram.percentile(of(values)["duration_ms"], share)

    assert found == pytest.approx(true, rel=0.06)


@given(first=VALUES, second=VALUES)
def test_sums_of_parts_equal_the_whole(first: list[float], second: list[float]) -> None:
    whole = of([*first, *second])
    merged = histogram.merge([histogram.dump(of(first)), histogram.dump(of(second))])
    added: Histograms = {}
    histogram.add(added, of(first))
    histogram.add(added, of(second))

    assert merged == added == whole


@pytest.mark.parametrize("value", [0.0, -5.0, float("nan"), 1e-9, 1e300, float("inf")])
def test_odd_values_have_a_bucket(value: float) -> None:
    assert 0 <= histogram.bucket(value) <= 300


def test_nothing_has_no_percentile() -> None:
    assert histogram.percentile({}, 0.5) is None
    assert histogram.merge([]) == {}
    assert histogram.merge(["{}"]) == {}


def test_what_is_stored_is_read_back() -> None:
    stored = histogram.dump({"queue_ms": {3: 2, 1: 0}, "duration_ms": {}})

    assert stored == '{"queue_ms":{"3":2}}'
    assert histogram.load(stored) == {"queue_ms": {3: 2}}
