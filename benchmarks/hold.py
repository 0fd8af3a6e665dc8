"""Hold open streams on one worker and say what failed: by default 300 at 10 tokens/s for 20 s.

    python -m benchmarks.hold [--target ours|nginx|naive] [--streams N] [--rate R] [--seconds S]

Exits with 1 unless every stream ended well with every token.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks import load, measure, targets
from benchmarks.run import START

_LINES = {
    "streams": "streams opened",
    "failures": "streams failed",
    "faults": "why",
    "tokens": "tokens delivered",
    "lost": "tokens lost",
    "cpu_us_per_token": "CPU µs per token, calls included",
    "steady_cpu_us_per_token": "CPU µs per token, all streams open",
    "token_p50_ms": "fake to client, p50 ms",
    "token_p99_ms": "fake to client, p99 ms",
    "token_max_ms": "fake to client, worst ms",
    "first_p99_ms": "first token, p99 ms",
    "idle_rss_kb": "RSS before, KB",
    "held_rss_kb": "RSS with all streams open, KB",
    "kb_per_stream": "KB per stream (PSS)",
}


def main() -> None:
    """Run one held load and print its figures."""
    parser = argparse.ArgumentParser(description="Hold open streams and count what fails.")
    parser.add_argument("--target", choices=sorted(START), default="ours")
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--rate", type=int, default=10, help="tokens a second and stream")
    parser.add_argument("--seconds", type=int, default=20)
    options = parser.parse_args()
    tokens = options.rate * options.seconds
    model = f"paced-{options.rate}-{tokens}"
    with targets.fake(also=[model]) as fake, START[options.target](fake.port) as target:
        figures = load.drive(
            {
                "mode": "streams",
                "port": target.port,
                "pid": target.pid,
                "request": target.dialect.stream(model),
                "connections": options.streams,
                "tokens": tokens,
                "ramp_s": options.streams / 300,
                "latency": True,
                "memory": True,
                "timeout_s": options.seconds * 2 + 30,
            }
        )
        left = measure.memory(target.pid)
    for key, title in _LINES.items():
        if key in figures:
            shown = figures[key] if isinstance(figures[key], dict) else f"{figures[key]:,.6g}"
            sys.stdout.write(f"{title:36} {shown}\n")
    sys.stdout.write(f"{'RSS after, KB':36} {left.rss_kb:,}\n")
    if figures["failures"] or figures["lost"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
