"""Measure the gateway, nginx and the naive baseline in one run and print the table.

    python -m benchmarks.run [--quick] [--only NAME ...] [--targets ours,nginx,naive] [--runs 3]

Within a repetition every scenario visits each target before the next scenario begins, so that
whatever else the machine does falls on all of them alike. The results go to
`benchmarks/results/`, as JSON with every figure of every run.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import orjson

from benchmarks import report, targets
from benchmarks.load import Figures
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.targets import Target

RESULTS = Path(__file__).resolve().parent / "results"
START: dict[str, Callable[[int], Target]] = {
    "ours": targets.ours,
    "nginx": targets.nginx,
    "naive": targets.naive,
}


def main() -> None:
    """Run the scenarios asked for; exits with 1 when a call to our gateway failed."""
    options = _options()
    chosen = [s for s in SCENARIOS if not options.only or s.name in options.only]
    names = [name for name in START if name in options.targets.split(",")]
    results: dict[str, dict[str, list[Figures]]] = {s.name: {} for s in chosen}
    about = environment()
    with ExitStack() as stack:
        fake = stack.enter_context(targets.fake())
        running = {"direct": fake}
        for name in names:
            running[name] = stack.enter_context(START[name](fake.port))
        for number in range(options.runs):
            for scenario in chosen:
                for name in [n for n in running if _applies(scenario, n, names)]:
                    figures = _measure(scenario, name, running, options.quick)
                    owner = "ours" if scenario.only_ours else name
                    results[scenario.name].setdefault(owner, []).append(figures)
                    _say(f"run {number + 1} {scenario.name} {owner}: {_brief(figures)}")
    about["load_average_after"] = os.getloadavg()
    text = report.table(results)
    broken = report.faults(results)
    _save({"about": about, "quick": options.quick, "results": results}, options.keep)
    sys.stdout.write("\n".join([_heading(about, options), "", text, *broken, ""]))
    if any(", ours," in sentence for sentence in broken):
        sys.exit(1)


def environment() -> dict[str, object]:
    """Say on what machine and with what versions the figures were seen."""
    cpu = "unknown processor"
    with Path("/proc/cpuinfo").open() as lines:
        cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), cpu)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=targets.ROOT, capture_output=True, text=True
    )
    packages = ("flask", "gunicorn", "gevent", "requests", "orjson", "msgspec")
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit.stdout.strip(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "python_ns_per_call": _interpreter_ns(),
        "packages": {name: version(name) for name in packages},
        "load_average_before": os.getloadavg(),
    }


def _interpreter_ns() -> float:
    """Return what a call of an empty function costs: an interpreter that was built without
    profile-guided optimisation is slower by a third, and all our figures with it."""
    return min(timeit.repeat("f()", "def f(): pass", number=1_000_000, repeat=5)) * 1_000


def _applies(scenario: Scenario, name: str, names: list[str]) -> bool:
    if scenario.name == "workers":
        return name == "direct" and "ours" in names
    if name == "direct":
        return scenario.direct
    return name == "ours" or not scenario.only_ours


def _measure(scenario: Scenario, name: str, running: dict[str, Target], quick: bool) -> Figures:
    if not scenario.fresh:
        return scenario.run(running[name], quick)
    with START[name](running["direct"].port) as target:
        return scenario.run(target, quick)


def _brief(figures: Figures) -> str:
    keys: tuple[str, ...] = (
        "cpu_us_per_token",
        "cpu_us_per_call",
        "token_p99_ms",
        "first_p50_ms",
        "first_p99_ms",
    )
    keys += ("tokens_per_s", "kb_per_stream", "calls_scaling", "tokens_scaling", "failures", "lost")
    return " ".join(f"{key}={report.number(figures[key])}" for key in keys if key in figures)


def _heading(about: dict[str, object], options: argparse.Namespace) -> str:
    runs = f"medians of {options.runs}" if options.runs > 1 else "one run"
    quick = ", quick" if options.quick else ""
    return (
        f"\n{about['when']}, commit {about['commit']}, {about['cores']} × {about['cpu']}, "
        f"Linux {about['kernel']}, Python {about['python']} "
        f"({about['python_ns_per_call']:.0f} ns a call); {runs}{quick}; "
        f"load average {os.getloadavg()[0]:.1f}"
    )


def _save(document: dict[str, object], keep: bool) -> None:
    RESULTS.mkdir(exist_ok=True)
    data = orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"
    (RESULTS / f"run-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.json").write_bytes(data)
    if keep:
        (RESULTS / "latest.json").write_bytes(data)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure ours, nginx and a naive gateway.")
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--quick", action="store_true", help="one short run of everything")
    parser.add_argument("--only", action="append", choices=names, help="may be given again")
    parser.add_argument("--targets", default="ours,nginx,naive")
    parser.add_argument("--runs", type=int, default=0, help="repetitions; 3, or 1 when quick")
    parser.add_argument("--keep", action="store_true", help="also write results/latest.json")
    options = parser.parse_args()
    options.runs = options.runs or (1 if options.quick else 3)
    return options


if __name__ == "__main__":
    main()
