"""The fake as a process: ``python -m fake_ollama``. Its first line of output is its URL."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from fake_ollama.models import DEFAULT_MODELS, demo_models
from fake_ollama.server import FakeOllama

_DEMO_TOKEN_S = (0.02, 0.06)
_DEMO_PROGRESS_S = 0.25


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m fake_ollama", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument(
        "--models",
        choices=("default", "demo"),
        default="default",
        help="demo loads and speaks at the pace of a real machine",
    )
    parser.add_argument("--version", default="0.33.0", help="the version it claims to be")
    chosen = parser.parse_args(arguments)
    demo = chosen.models == "demo"
    fake = FakeOllama(
        demo_models() if demo else DEFAULT_MODELS,
        host=chosen.host,
        port=chosen.port,
        version=chosen.version,
        token_delay_s=_DEMO_TOKEN_S if demo else (0.0, 0.0),
        progress_delay_s=_DEMO_PROGRESS_S if demo else 0.0,
    )
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    fake.start()
    sys.stdout.write(f"{fake.url}\n")
    sys.stdout.flush()
    ended.wait()
    fake.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
