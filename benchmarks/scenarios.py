"""What is measured: each scenario puts one load on one running target and returns its figures."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import load, measure, targets, wire
from benchmarks.fast_ollama import DEFAULT_MODELS
from benchmarks.load import Figures
from benchmarks.targets import Target

Run = Callable[[Target, bool], Figures]  # (target, quick)
# An answer below these is not what was asked for: 64 vectors in base64, a name for every model.
_VECTORS_BYTES = 64 * 1_024 * 4 * 4 // 3
_LIST_BYTES = len(DEFAULT_MODELS) * 20


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named load. `direct` says that it also runs without a gateway, for the comparison."""

    name: str
    title: str
    run: Run
    direct: bool = False
    only_ours: bool = False
    fresh: bool = False  # needs a target that was just started


def paced(streams: int) -> Run:
    """Return a load of `streams` calls at 20 tokens a second each."""

    def run(target: Target, quick: bool) -> Figures:
        tokens = 50 if quick else 200
        return load.drive(
            _plan(target, target.dialect.stream(f"paced-20-{tokens}"))
            | {
                "mode": "streams",
                "connections": streams,
                "tokens": tokens,
                "ramp_s": streams / 500,
                "latency": True,
            }
        )

    return run


def saturated(dialect: Callable[[str], wire.Dialect] | None = None, echo: int = 1) -> Run:
    """Return a load of 32 streams as fast as the target goes, in its dialect or another one.

    `echo` is how often the dialect says each token: the Responses API repeats the text in four
    closing events.
    """

    def run(target: Target, quick: bool) -> Figures:
        tokens = 2_000 if quick else 10_000
        spoken = dialect(target.key) if dialect else target.dialect
        return load.drive(
            _plan(target, spoken.stream(f"burst-{tokens}"))
            | {"mode": "streams", "connections": 32, "tokens": tokens, "echo": echo}
        )

    return run


def small(target: Target, quick: bool) -> Figures:
    """Small calls that do not stream, eight at a time."""
    return _calls(target, target.dialect.call("quick"), 500 if quick else 3_000, 8, tokens=4)


def first(target: Target, quick: bool) -> Figures:
    """Streaming calls one after the other on an idle target: how late the first token is."""
    request = target.dialect.stream("paced-200-4")
    return _calls(target, request, 100 if quick else 500, 1, tokens=4)


def embed(encoding: str) -> Run:
    """Return a load of embedding calls of 64 texts each, two at a time."""

    def run(target: Target, quick: bool) -> Figures:
        request = target.dialect.embed("embed", encoding)
        calls = 30 if quick else 150
        return _calls(target, request, calls, 2, least_bytes=_VECTORS_BYTES)

    return run


def models(target: Target, quick: bool) -> Figures:
    """Listing the models, eight at a time."""
    return _calls(
        target, target.dialect.models(), 500 if quick else 3_000, 8, least_bytes=_LIST_BYTES
    )


def memory(target: Target, quick: bool) -> Figures:
    """Hold 500 open streams on a target that has served only a few calls before."""
    _calls(target, target.dialect.call("quick"), 20, 1, tokens=4)
    return load.drive(
        _plan(target, target.dialect.stream("paced-10-50"))
        | {"mode": "streams", "connections": 500, "tokens": 50, "ramp_s": 1.0, "memory": True}
    )


def workers(target: Target, quick: bool) -> Figures:
    """What two workers give of one, as much as they can: tokens of streams, and small calls.

    The cost of the fake and of this program comes from the same processors, so the most that two
    workers could give on this machine is told as well.
    """
    upstream = target.port  # the caller hands the fake over: the gateways are started here
    figures: Figures = {"failures": 0}
    for count in (1, 2):
        with targets.ours(upstream, workers=count) as gateway:
            flood = gateway.dialect.stream("flood-2000")
            small = gateway.dialect.call("quick")
            for kind, request, calls, tokens in (
                ("tokens", flood, 150 if quick else 1_200, 2_000),
                ("calls", small, 1_000 if quick else 6_000, 4),
            ):
                fake, generator_s = measure.cpu(target.pid), _children_s()
                seen = _calls(gateway, request, calls, 32, tokens=tokens)
                others_us = measure.cpu_us(fake, measure.cpu(target.pid))
                others_us += (_children_s() - generator_s) * 1e6
                figures[f"{kind}_per_s_{count}"] = seen[f"{kind}_per_s"]
                figures[f"{kind}_cpu_us_{count}"] = seen["cpu_us_per_call"]
                figures[f"{kind}_others_us_{count}"] = others_us / calls
                figures["failures"] += seen["failures"]
    for kind in ("tokens", "calls"):
        figures[f"{kind}_scaling"] = figures[f"{kind}_per_s_2"] / figures[f"{kind}_per_s_1"]
        mine, others = figures[f"{kind}_cpu_us_1"], figures[f"{kind}_others_us_1"]
        cores = os.cpu_count() or 1
        figures[f"{kind}_possible"] = min(2.0, cores * mine / (mine + others))
    return figures


def _children_s() -> float:
    """Return the processor seconds of the load generators that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


SCENARIOS = [
    Scenario("paced-200", "200 streams at 20 tokens/s", paced(200), direct=True),
    Scenario("paced-500", "500 streams at 20 tokens/s", paced(500), direct=True),
    Scenario("paced-1000", "1,000 streams at 20 tokens/s", paced(1_000), direct=True),
    Scenario("saturated", "32 streams, saturated", saturated()),
    Scenario("messages", "32 streams, Anthropic", saturated(wire.anthropic), only_ours=True),
    Scenario(
        "responses", "32 streams, Responses", saturated(wire.responses, echo=5), only_ours=True
    ),
    Scenario("small", "small calls", small, direct=True),
    Scenario("first", "first token", first, direct=True),
    Scenario("embed-float", "embeddings 64 x 1,024", embed("float")),
    Scenario("embed-base64", "embeddings 64 x 1,024, base64", embed("base64")),
    Scenario("models", "list of models", models),
    Scenario("memory", "memory of 500 open streams", memory, fresh=True),
    Scenario("workers", "two workers against one", workers, only_ours=True),
]


def _plan(target: Target, request: bytes) -> Figures:
    return {"port": target.port, "pid": target.pid, "request": request, "timeout_s": 90}


def _calls(
    target: Target,
    request: bytes,
    calls: int,
    connections: int,
    *,
    tokens: int | None = None,
    least_bytes: int = 0,
) -> Figures:
    warm = max(connections, calls // 20)
    return load.drive(
        _plan(target, request)
        | {
            "mode": "calls",
            "calls": calls,
            "connections": connections,
            "tokens": tokens,
            "least_bytes": least_bytes,
            "warm": warm,
        }
    )
