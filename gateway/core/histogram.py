"""Histograms that can be added: percentiles over any time range from sums of small parts.

Buckets grow by a tenth each, so a percentile is right within 5 %. One histogram is a mapping from
bucket to count; a set of them, one a metric, is stored as compact JSON text:

    {"first_token_ms":{"48":3,"51":1},"duration_ms":{"90":4}}
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeAlias

Histograms: TypeAlias = dict[str, Counter[int]]

METRICS: tuple[str, ...] = (
    "queue_ms",
    "first_token_ms",
    "duration_ms",
    "tokens_per_s",
    "ollama_load_ms",
)
_GROWTH = 1.1
_SCALE = 1 / math.log(_GROWTH)
_SMALLEST = 0.01
_LARGEST = 1e10
_LAST = 300


def bucket(value: float) -> int:
    """Return the bucket of a value: 0 holds everything up to 0.01, 300 all beyond 10 to the 10."""
    if not value > _SMALLEST:
        return 0
    if value >= _LARGEST:
        return _LAST
    return min(_LAST, 1 + int(math.log(value / _SMALLEST) * _SCALE))


def middle(number: int) -> float:
    """Return the value a bucket stands for: its geometric middle."""
    return 0.0 if number <= 0 else _SMALLEST * _GROWTH ** (number - 0.5)


def count(histograms: Histograms, metric: str, value: float, times: int = 1) -> None:
    """Count a value in the histogram of `metric`."""
    histograms.setdefault(metric, Counter())[bucket(value)] += times


def add(into: Histograms, other: Mapping[str, Mapping[int, int]]) -> None:
    """Add the counts of `other` to `into`."""
    for metric, counts in other.items():
        into.setdefault(metric, Counter()).update(counts)


def merge(
    texts: Iterable[str], metrics: Iterable[str] = METRICS
) -> Mapping[str, Mapping[int, int]]:
    """Add up stored histograms, of some metrics only."""
    raw: dict[str, Counter[str]] = {metric: Counter() for metric in metrics}
    # one array is read much faster than its parts one by one
    for stored in json.loads(f"[{','.join(texts)}]"):
        for metric, counts in raw.items():
            counts.update(stored.get(metric, {}))
    return {
        metric: {int(number): times for number, times in counts.items()}
        for metric, counts in raw.items()
        if counts
    }


def load(text: str) -> Mapping[str, Mapping[int, int]]:
    """Read one stored set."""
    return merge((text,), json.loads(text))


def dump(histograms: Mapping[str, Mapping[int, int]]) -> str:
    """Write one set as it is stored; empty buckets are left out."""
    plain = {
        metric: {str(number): times for number, times in sorted(counts.items()) if times > 0}
        for metric, counts in sorted(histograms.items())
    }
    return json.dumps(
        {metric: counts for metric, counts in plain.items() if counts}, separators=(",", ":")
    )


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the value below which `share` (0 to 1) of the counted ones lie; None of nothing."""
    total = sum(counts.values())
    if total <= 0:
        return None
    rank = max(1, math.ceil(share * total))
    for number in sorted(counts):
        rank -= counts[number]
        if rank <= 0:
            return middle(number)
    return middle(max(counts))
