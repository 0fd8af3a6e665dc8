"""What a line of Ollama's costs to decode and a request costs to encode.

pytest benchmarks/micro/bench_wire.py --benchmark-columns=median,ops
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import replies
from gateway.core.chat import ChatRequest, Message
from gateway.core.events import TextDelta
from gateway.ollama import wire

LINES = 1_000


@pytest.mark.parametrize("together", [1, 8, 64])
def test_a_thousand_lines_are_decoded(benchmark: BenchmarkFixture, together: int) -> None:
    chunk = replies.script("burst-1000", chat=True).token % 1
    line = chunk.split(b"\r\n")[1].rstrip(b"\n")
    groups = [[line] * min(together, LINES - n) for n in range(0, LINES, together)]

    def decode() -> int:
        decoder = wire.Decoder()
        return sum(isinstance(e, TextDelta) for lines in groups for e in decoder.feed(lines))

    assert benchmark(decode) >= len(groups)
    benchmark.extra_info["us_per_line"] = benchmark.stats.stats.median * 1e6 / LINES


def test_a_small_request_is_encoded(benchmark: BenchmarkFixture) -> None:
    request = ChatRequest("quick", (Message("user", "When is low tide at the harbour?"),))

    assert benchmark(wire.encode, request, "quick:latest")
