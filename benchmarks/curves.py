"""How the cost of a call grows: one curve a question, as JSON, as plots, as a Markdown table.

    python -m benchmarks.curves [--only NAME ...] [--quick] [--target ours|naive|nginx]

Each curve takes one quantity over several decades and holds the rest. Its *exponent* is the slope
over the upper part in log-log: 1 is proportional, 0 is constant, and more than `TOO_STEEP` is a
defect. Waiting (p99) is shown but not judged: it must grow without bound as a worker gets full.
The plots go to `benchmarks/plots/`.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from benchmarks import load, measure, svg, targets
from benchmarks.fast_ollama import DEFAULT_MODELS
from benchmarks.load import Figures
from benchmarks.report import number
from benchmarks.run import RESULTS, START, environment
from benchmarks.targets import ROOT, Target

PLOTS = ROOT / "benchmarks" / "plots"
PAGE = ROOT / "benchmarks" / "performance.md"
TOO_STEEP = 1.15
_INTRODUCTION = """# Performance

How the cost of a call grows, measured by `python -m benchmarks.curves`, which also writes this
page. The *exponent* is the slope of the upper half in log-log: 1 is proportional, 0 is constant;
more than 1.15 is a defect. Waiting (p99) is shown but not judged: it grows without bound as a
worker gets full.

How one call compares with nginx and a naive gateway is told in `benchmarks/README.md`, and so is
what it takes to estimate the tokens of a prompt.
"""
_SEEN = """Seen on {cores} × {cpu}, Linux {kernel}, Python {python}
({python_ns_per_call:.0f} ns for a call of an empty function), commit {commit}.
"""


@dataclass(slots=True)
class Curve:
    """Measured points. `lines` has a title and, for each line, its points (x, y)."""

    name: str
    title: str
    x_label: str
    y_label: str
    lines: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    failures: int = 0

    def add(self, line: str, x: float, y: float) -> None:
        """Add a point to a line."""
        self.lines.setdefault(line, []).append((x, y))

    def exponent(self, line: str) -> float:
        """Return the slope of the upper half of a line in log-log; nan without two points."""
        points = [(math.log10(x), math.log10(y)) for x, y in self.lines[line] if x > 0 and y > 0]
        upper = points[-max(2, (len(points) + 1) // 2) :]
        if len(upper) < 2:
            return math.nan
        mean_x = sum(x for x, _ in upper) / len(upper)
        mean_y = sum(y for _, y in upper) / len(upper)
        over = sum((x - mean_x) * (y - mean_y) for x, y in upper)
        return over / sum((x - mean_x) ** 2 for x, _ in upper)


def streams(quick: bool, kind: str) -> Curve:
    """Measure the CPU and memory of 1 to 1,000 open streams at 20 tokens a second."""
    curve = Curve("streams", "Open streams at 20 tokens/s", "streams", "of the gateway")
    tokens = 50 if quick else 100
    for count in (1, 10, 100, 1_000) if quick else (1, 3, 10, 30, 100, 200, 500, 1_000):
        with targets.fake() as fake, START[kind](fake.port) as target:
            _calls(target, target.dialect.call("quick"), 10)
            figures = _streams(target, f"paced-20-{tokens}", count, tokens)
        curve.failures += figures["failures"]
        busy = figures["cpu_us_per_token"] * figures["tokens"] / figures["seconds"] / 1_000
        curve.add("CPU ms per second", count, busy)
        # Absent when the first stream ended before the last began; a little is only noise.
        if (grown_kb := figures.get("kb_per_stream", 0) * count) > 500:
            curve.add("memory growth MB", count, grown_kb / 1_024)
        curve.add("token delay p99 ms", count, figures["token_p99_ms"])
    return curve


def prompt(quick: bool, kind: str) -> Curve:
    """Measure a small answer to a prompt of 1 KB to 10 MB."""
    curve = Curve("prompt", "Size of the prompt", "bytes of prompt", "ms per call")
    with targets.fake() as fake, START[kind](fake.port) as target:
        for size in (1_000, 10_000, 100_000, 1_000_000, 10_000_000):
            text = ("The tide turned at noon. " * (size // 25 + 1))[:size]
            calls = max(3, min(200, 20_000_000 // size)) // (4 if quick else 1) + 1
            figures = _calls(target, target.dialect.call("quick", text), calls, warm=2)
            curve.failures += figures["failures"]
            curve.add("CPU", size, figures["cpu_us_per_call"] / 1_000)
            curve.add("time, p50", size, figures["call_p50_ms"])
    return curve


def answer(quick: bool, kind: str) -> Curve:
    """Measure answers of 10 to 100,000 tokens, streamed and whole, as fast as they go."""
    curve = Curve("answer", "Length of the answer", "tokens", "CPU ms per call")
    lengths = (10, 100, 1_000, 10_000, 100_000)
    names = [f"burst-{length}" for length in lengths]
    with targets.fake(also=names) as fake, START[kind](fake.port) as target:
        for length, name in zip(lengths, names, strict=True):
            calls = max(2, min(200, 200_000 // length)) // (4 if quick else 1) + 1
            for line, make in (("streamed", target.dialect.stream), ("whole", target.dialect.call)):
                figures = _calls(target, make(name), calls, warm=2, tokens=length)
                curve.failures += figures["failures"]
                curve.add(line, length, figures["cpu_us_per_call"] / 1_000)
    return curve


def keys(quick: bool, kind: str) -> Curve:
    """Measure a small call while 10 to 100,000 keys exist."""
    curve = Curve("keys", "Keys in the database", "keys", "in the unit of the line")
    counts = (10, 1_000, 10_000) if quick else (10, 100, 1_000, 10_000, 100_000)
    for count, target in _seeded("keys", counts):
        _small_call(curve, target, count, quick)
    return curve


def usage(quick: bool, kind: str) -> Curve:
    """Measure a small call while up to ten million usage rows exist."""
    curve = Curve("usage", "Usage rows in the database", "rows", "in the unit of the line")
    counts = (100, 10_000) if quick else (100, 10_000, 100_000, 1_000_000, 10_000_000)
    for count, target in _seeded("usage", counts):
        _small_call(curve, target, count, quick)
    return curve


def models(quick: bool, kind: str) -> Curve:
    """Measure the list of models and a small call with 20 to 1,000 models."""
    curve = Curve("models", "Models in the catalogue", "models", "in the unit of the line")
    for count in (30, 100, 1_000) if quick else (30, 100, 300, 1_000):
        with (
            targets.fake(more_models=count - len(DEFAULT_MODELS)) as fake,
            START[kind](fake.port) as target,
        ):
            figures = _calls(target, target.dialect.models(), 100 if quick else 500)
            curve.failures += figures["failures"]
            curve.add("list, CPU ms", count, figures["cpu_us_per_call"] / 1_000)
            figures = _calls(target, target.dialect.call("quick"), 100 if quick else 500)
            curve.failures += figures["failures"]
            curve.add("call, CPU ms", count, figures["cpu_us_per_call"] / 1_000)
    return curve


CURVES: dict[str, Callable[[bool, str], Curve]] = {
    "streams": streams,
    "prompt": prompt,
    "answer": answer,
    "models": models,
    "keys": keys,
    "usage": usage,
}


def main() -> None:
    """Measure the curves asked for, write JSON and plots; exits with 1 when one is too steep."""
    parser = argparse.ArgumentParser(description="Measure how the cost of a call grows.")
    parser.add_argument("--only", action="append", choices=list(CURVES))
    parser.add_argument("--quick", action="store_true", help="fewer points, fewer calls, no plots")
    parser.add_argument("--target", choices=sorted(START), default="ours")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "curves.json"
    kept = orjson.loads(path.read_bytes())["curves"] if path.exists() else {}
    steep = False
    for name in options.only or CURVES:
        curve = CURVES[name](options.quick, options.target)
        table, bad = _table(curve)
        sys.stdout.write(f"\n### {curve.title}\n\n{table}\n")
        sys.stdout.flush()
        steep |= bad
        kept[name] = asdict(curve) | {"table": table, "about": environment()}
        if not options.quick and options.target == "ours":
            _write(curve)
            document = {"curves": kept}
            path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
            PAGE.write_text(_page(document))
    sys.exit(1 if steep else 0)


def _table(curve: Curve) -> tuple[str, bool]:
    """Return the curve as Markdown, and whether a line is too steep or a call failed."""
    sizes = sorted({x for line in curve.lines.values() for x, _ in line})
    out = [f"| {curve.x_label} | {' | '.join(f'{x:,.0f}' for x in sizes)} | exponent |"]
    out.append(f"|---|{'--:|' * (len(sizes) + 1)}")
    bad = curve.failures > 0
    for line, points in curve.lines.items():
        slope = curve.exponent(line)
        steep = slope > TOO_STEEP and "p99" not in line
        bad |= steep
        seen = dict(points)
        cells = " | ".join(number(seen.get(x)) for x in sizes)
        out.append(f"| {line} | {cells} | {slope:.2f}{' TOO STEEP' * steep} |")
    if curve.failures:
        out.append(f"\n{curve.failures} calls failed.")
    return "\n".join(out), bad


def _page(document: dict[str, Any]) -> str:
    """Return the page of the documentation with every curve measured so far."""
    curves = document["curves"]
    parts = [_INTRODUCTION]
    for name in CURVES:
        if name in curves:
            title = curves[name]["title"]
            parts.append(f"## {title}\n\n![{title}](plots/{name}.svg)\n")
            parts.append(curves[name]["table"] + "\n")
            parts.append(_SEEN.format(**curves[name]["about"]))
    return "\n".join(parts)


def _write(curve: Curve) -> None:
    PLOTS.mkdir(parents=True, exist_ok=True)
    drawn = svg.chart(curve.title, curve.x_label, curve.y_label, curve.lines)
    (PLOTS / f"{curve.name}.svg").write_text(drawn)


def _small_call(curve: Curve, running: Target, count: int, quick: bool) -> None:
    figures = _calls(running, running.dialect.call("quick"), 200 if quick else 1_000, connections=4)
    curve.failures += figures["failures"]
    curve.add("call, CPU ms", count, figures["cpu_us_per_call"] / 1_000)
    curve.add("call, p99 ms", count, figures["call_p99_ms"])
    curve.add("RSS MB", count, measure.memory(running.pid).rss_kb / 1_024)


def _seeded(what: str, counts: tuple[int, ...]) -> Iterator[tuple[int, Target]]:
    """Give a fresh gateway for each count, all on one database that grows in between."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, targets.fake() as fake:
        url = f"sqlite:///{folder}/gateway.db"
        with targets.ours(fake.port, database=url):
            pass  # makes the tables
        had = 0
        for count in counts:
            command = [sys.executable, "-m", "benchmarks.seed", url, what, str(had), str(count)]
            subprocess.run(command, cwd=ROOT, check=True)
            had = count
            with targets.ours(fake.port, database=url) as target:
                yield count, target


def _streams(target: Target, model: str, count: int, tokens: int) -> Figures:
    return load.drive(
        {
            "mode": "streams",
            "port": target.port,
            "pid": target.pid,
            "request": target.dialect.stream(model),
            "connections": count,
            "tokens": tokens,
            "ramp_s": count / 500,
            "latency": True,
            "memory": True,
            "timeout_s": 120,
        }
    )


def _calls(
    target: Target,
    request: bytes,
    calls: int,
    *,
    warm: int = 10,
    connections: int = 1,
    tokens: int | None = None,
) -> Figures:
    return load.drive(
        {
            "mode": "calls",
            "port": target.port,
            "pid": target.pid,
            "request": request,
            "calls": calls,
            "connections": connections,
            "warm": warm,
            "tokens": tokens,
            "timeout_s": 120,
        }
    )


if __name__ == "__main__":
    main()
