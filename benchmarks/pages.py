"""How long the console's pages take with many keys and many request rows.

    python -m benchmarks.pages [--rows 1000000] [--keys 5000]

Fills a SQLite database in a temporary folder, a tenth of the rows through the usage writer's own
path and the rest as copies of them, signs in, and asks for every page five times; printed is the
median in milliseconds of server time, the slowest page first. The goal is 150 ms.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.seed import copy
from fake_ollama import FakeOllama
from gateway import create_app, lifecycle
from gateway.store.database import setup
from gateway.store.tables import RequestLogRow
from gateway.store.usage import records
from gateway.web.context import Services, of
from tests.admin.conftest import Visitor, settings_for
from tests.browser import sample
from tests.browser.test_pages import PAGES

DAYS = 90
BATCH = 5_000
GOAL_MS = 150


def main() -> None:
    """Fill, ask, and print."""
    parser = argparse.ArgumentParser(description="Time the console's pages.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=5_000)
    chosen = parser.parse_args()
    with FakeOllama() as ollama, tempfile.TemporaryDirectory() as folder:
        settings = settings_for(Path(folder) / "data", OLLAMA_URL=ollama.url)
        setup.prepare(settings)
        app = create_app(settings)
        parts = of(app)
        parts.refresher.refresh()
        _fill(parts, chosen.rows // 10, chosen.keys)
        _multiply(parts, chosen.rows // 10)
        admin = Visitor(app)
        admin.login()
        gc.collect()
        gc.freeze()  # as a worker does
        seen = {name: _median_ms(admin, path) for name, path in PAGES.items()}
        lifecycle.end(parts)
        parts.store.database.close()
    print(f"{chosen.rows} rows, {chosen.keys} keys; ms, goal {GOAL_MS}")
    for name, took_ms in sorted(seen.items(), key=lambda each: -each[1]):
        print(f"{took_ms:7.1f} {name}")


def _fill(parts: Services, rows: int, keys: int) -> None:
    """Make keys and their calls of the last 90 days."""
    chance = random.Random(7)
    now = datetime.now(UTC)
    made = [
        parts.keys.issue({**sample.KEYS[n % len(sample.KEYS)], "name": f"key {n}"}, sample.ACTOR)[0]
        for n in range(keys)
    ]
    models = {model.display_name: model.id for model in parts.catalog.models()}
    for start in range(0, rows, BATCH):
        some = chance.sample(made, len(sample.KEYS))
        batch = [
            sample._entry(chance, some, models, now, DAYS, number)
            for number in range(start, min(start + BATCH, rows))
        ]
        parts.store.write(records.write, batch, worker="sample", now=now)


def _multiply(parts: Services, rows: int) -> None:
    """Copy the rows nine times, under other request ids."""
    with parts.store.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA cache_size = -500000")
        for number in range(1, 10):
            copy(connection, RequestLogRow.__table__, rows, number * rows)


def _median_ms(admin: Visitor, path: str) -> float:
    took = []
    for _ in range(5):
        began_s = time.perf_counter()
        admin.get(path)
        took.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(took)


if __name__ == "__main__":
    main()
