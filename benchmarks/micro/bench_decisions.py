"""What a decision about a call costs to make.

pytest benchmarks/micro/bench_decisions.py --benchmark-columns=median,ops
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from gateway.core.catalog import Alias, Model
from gateway.core.chat import ChatRequest, Message
from gateway.policy import access, routing
from gateway.policy.overrides import apply
from gateway.schemas.key import Key
from gateway.schemas.settings import RuntimeSettings

KEY = Key(1, "bench", "sk-o2a-ab", allow=("team-*", "model-*"), deny=("*-secret",))


@pytest.mark.parametrize("count", [1, 100, 1_000])
def test_a_name_is_resolved(benchmark: BenchmarkFixture, count: int) -> None:
    index = routing.Index(_models(count))
    found = benchmark(routing.resolve, f"model-{count - 1:04d}", index, "")

    assert found.model.id == count


@pytest.mark.parametrize("count", [1, 100, 1_000])
def test_a_catalogue_is_indexed(benchmark: BenchmarkFixture, count: int) -> None:
    assert benchmark(routing.Index, _models(count))


def test_a_key_is_checked_for_a_model(benchmark: BenchmarkFixture) -> None:
    resolved = routing.resolve("model-0007", routing.Index(_models(100)), "")
    benchmark(access.check_model, KEY, resolved)


def test_the_models_a_key_sees_are_picked(benchmark: BenchmarkFixture) -> None:
    assert len(benchmark(access.visible, KEY, _models(100))) == 100


def test_overrides_are_applied(benchmark: BenchmarkFixture) -> None:
    request = ChatRequest("model-0001", (Message("user", "When is low tide?"),))
    layers = apply.Layers(
        key_forced={}, alias={"temperature": 0.2}, model={"num_ctx": 8_192}, key_default={}
    )
    applied = benchmark(apply.apply, request, layers, RuntimeSettings())

    assert applied.request.params.options["num_ctx"] == 8_192


def _models(count: int) -> tuple[Model, ...]:
    return tuple(
        Model(
            n,
            f"model-{n - 1:04d}:latest",
            f"Model {n}",
            aliases=(Alias(f"team-{n}"),),
            capabilities=frozenset({"completion"}),
            server_ids=(1,),
        )
        for n in range(1, count + 1)
    )
