"""What a dialect costs for each chunk of a stream, for a small body, and for a long conversation.

    pytest benchmarks/micro/bench_dialects.py --benchmark-columns=median,ops

A stream here is 1,000 chunks, so a median of 2 ms is 2 µs a chunk; `us_per_chunk` is in the JSON
that `--benchmark-json` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from gateway.core.chat import Envelope
from gateway.core.events import Batch, Event, Finish, Reply, TextDelta, ThinkingDelta, Usage
from gateway.dialects.base import Reading, frames
from gateway.schemas.settings import RuntimeSettings

CHUNKS = 1_000
WORDS = ["Low", " tide", " is", " at", " six", ", the", " “harbour”", "\n", " opens", " später"]
TURNS = [{"role": "user", "content": "When is low tide at the harbour today?"}]
BODIES: dict[str, dict[str, Any]] = {
    "openai_chat": {"model": "m", "messages": TURNS, "stream": True},
    "openai_completions": {"model": "m", "prompt": "Low tide is", "stream": True},
    "openai_responses": {"model": "m", "input": "When is low tide?", "stream": True},
    "anthropic_messages": {"model": "m", "max_tokens": 9_000, "messages": TURNS, "stream": True},
}
SHAPES: dict[str, Callable[[], Iterator[Batch]]] = {}
FINISH = Finish("stop", Usage(prompt_tokens=31, completion_tokens=CHUNKS))


def shape(make: Callable[[], Iterator[Batch]]) -> Callable[[], Iterator[Batch]]:
    """Register a way in which the chunks arrive."""
    SHAPES[make.__name__] = make
    return make


@shape
def one_by_one() -> Iterator[Batch]:
    """Give one chunk in each batch, as from a model that speaks slower than we write."""
    for n in range(CHUNKS):
        yield 0, (TextDelta(WORDS[n % 10]),)
    yield 0, (FINISH,)


@shape
def eight_together() -> Iterator[Batch]:
    """Give eight chunks in each batch, as from a socket that filled while we wrote."""
    for n in range(0, CHUNKS, 8):
        yield 0, tuple(TextDelta(WORDS[(n + k) % 10]) for k in range(8))
    yield 0, (FINISH,)


@shape
def half_thinking() -> Iterator[Batch]:
    """Think for the first half, then speak."""
    for n in range(CHUNKS):
        word = WORDS[n % 10]
        event: Event = ThinkingDelta(word) if n < CHUNKS // 2 else TextDelta(word)
        yield 0, (event,)
    yield 0, (FINISH,)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", BODIES)
def test_a_stream_of_a_thousand_chunks(benchmark: BenchmarkFixture, name: str, shape: str) -> None:
    dialect = _dialect(name)
    batches = list(SHAPES[shape]())
    envelope = _envelope(dialect, name)

    def write() -> int:
        return sum(map(len, frames(dialect.writer(envelope), iter(batches))))

    assert benchmark(write) > CHUNKS * 10
    benchmark.extra_info["us_per_chunk"] = benchmark.stats.stats.median * 1e6 / CHUNKS


@pytest.mark.parametrize("name", BODIES)
def test_a_small_body_is_parsed(benchmark: BenchmarkFixture, name: str) -> None:
    dialect = _dialect(name)
    call = benchmark(dialect.parse, BODIES[name], _reading())

    assert call.model == "m"


@pytest.mark.parametrize("name", ["openai_chat", "anthropic_messages"])
def test_a_conversation_of_400_turns_is_parsed(benchmark: BenchmarkFixture, name: str) -> None:
    roles = ("user", "assistant")
    turns = [{"role": roles[n % 2], "content": "The tide turned. " * 40} for n in range(400)]
    call = benchmark(_dialect(name).parse, BODIES[name] | {"messages": turns}, _reading())

    assert len(call.request.messages) == 400


@pytest.mark.parametrize("name", BODIES)
def test_a_whole_answer_is_rendered(benchmark: BenchmarkFixture, name: str) -> None:
    dialect = _dialect(name)
    replies = (Reply("The tide turned. " * 100, finish=FINISH),)

    assert benchmark(dialect.render, replies, _envelope(dialect, name))


def _dialect(name: str) -> ModuleType:
    return import_module(f"gateway.dialects.{name}")


def _reading() -> Reading:
    return Reading(RuntimeSettings(), lambda _: (), lambda _: {})


def _envelope(dialect: ModuleType, name: str) -> Envelope:
    call = dialect.parse(BODIES[name], _reading())
    return Envelope("0123456789abcdef01234567", 1_767_605_400, call, "req_bench", 31)
