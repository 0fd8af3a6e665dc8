"""Fill a database with keys or with usage rows, to see what they cost when there are many.

    python -m benchmarks.seed DATABASE_URL keys|usage FROM TO
    python -m benchmarks.seed DATABASE_URL slots COUNT

Rows FROM up to TO are written in batches, as the gateway would have left them; running it again
with a higher range adds to what is there, copied where that is a million rows and more. `slots`
says how many calls the fake runs at once, as an admin does for a server that runs more than the
gateway should find out by trying.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, create_engine, insert, literal, select, update

from gateway.store import tables

BATCH = 5_000
_MANY = 1_000_000  # from here on rows are copied, not made
_CACHE_KB = 2_000_000
DAYS = 90  # the default retention: what a gateway may have to keep
_MODELS = ("quick:latest", "paced-20-200:latest", "burst-1000:latest")
_NOW = datetime.fromtimestamp(int(time.time()), UTC)


def main() -> None:
    """Write the rows asked for."""
    parser = argparse.ArgumentParser(description="Fill a database for measurements.")
    parser.add_argument("url")
    parser.add_argument("what", choices=["keys", "usage", "slots"])
    parser.add_argument("numbers", type=int, nargs="+")
    options = parser.parse_args()
    engine = create_engine(options.url)
    if options.what == "slots":
        with engine.begin() as connection:
            connection.execute(update(_table(tables.ServerRow)).values(slots=options.numbers[0]))
        return
    table, row = _KINDS[options.what]
    first, last = options.numbers
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KB}")
        if options.what == "usage" and first >= _MANY:
            for number in range(first, last, first):
                copy(connection, table, min(first, last - number), number)
        else:
            for batch in _batches(row, first, last):
                connection.execute(insert(table), batch)
                connection.commit()
    engine.dispose()


def copy(connection: Connection, table: Table, count: int, number: int) -> None:
    """Write `count` of the first rows once more, under other request ids: faster than making as
    many."""
    columns = [column for column in table.c if not column.primary_key]
    values = [
        literal(f"{number}-") + column if column.name == "request_id" else column
        for column in columns
    ]
    chosen = select(*values).where(table.c.id <= count)
    connection.execute(insert(table).from_select([column.name for column in columns], chosen))
    connection.commit()


def _batches(
    row: Callable[[int, int], dict[str, Any]], first: int, last: int
) -> Iterator[list[dict[str, Any]]]:
    for start in range(first, last, BATCH):
        yield [row(n, last) for n in range(start, min(start + BATCH, last))]


def _key(number: int, last: int) -> dict[str, Any]:
    return {
        "digest": hashlib.sha256(f"seeded key {number}".encode()).digest(),
        "name": f"seeded {number}",
        "prefix": f"sk-o2a-{number % 100:02d}",
        "created_at": _NOW,
        "scopes": ["chat", "completions", "embeddings", "responses", "messages", "models"],
    }


def _usage(number: int, last: int) -> dict[str, Any]:
    at = _NOW - timedelta(days=DAYS) * ((last - number) / last)
    return {
        "request_id": f"req_seeded_{number:012d}",
        "created_at": at,
        "settled_at": at + timedelta(seconds=2),
        "key_id": 1 + number % 20,
        "key_name": f"seeded {number % 20}",
        "endpoint": "chat",
        "model_id": 1 + number % 3,
        "model": _MODELS[number % 3],
        "requested_model": _MODELS[number % 3],
        "streamed": number % 2 == 0,
        "client_ip": "127.0.0.1",
        "client_app": "bench",
        "end_user": "",
        "worker": "seed:1",
        "has_tools": False,
        "has_images": False,
        "counted": True,
        "status": 200 if number % 50 else 502,
        "finish": "stop" if number % 50 else "error",
        "server_id": 1,
        "server_name": "bench",
        "prompt_tokens": 31,
        "completion_tokens": number % 700,
        "first_token_ms": 180.0,
        "duration_ms": 2_000.0,
        "upstream_calls": 1,
        "explain": {},
    }


def _table(row: type[tables.Base]) -> Table:
    table = row.__table__
    assert isinstance(table, Table)
    return table


_KINDS = {
    "keys": (_table(tables.ApiKeyRow), _key),
    "usage": (_table(tables.RequestLogRow), _usage),
}


if __name__ == "__main__":
    main()
