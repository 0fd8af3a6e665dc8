"""The database goes and comes back: warm keys keep working, usage waits and is written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from gateway.core.admin import SYSTEM
from gateway.services.stored import Store, StoreUnavailable
from gateway.services.usage_writer import UsageWriter
from gateway.store import schema
from gateway.store.engine import Database
from gateway.store.tables import UsageRow
from tests.servers import Postgres, running_postgres
from tests.services.conftest import FakeClock, Worker
from tests.services.test_usage_writer import admission, assert_sums_agree, settlement

pytestmark = pytest.mark.services


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A PostgreSQL of this test's own, to be stopped and started."""
    with running_postgres() as server:
        yield server


def test_a_restarted_postgresql_costs_nothing(server: Postgres, clock: FakeClock) -> None:
    url = server.url()
    schema.upgrade(url)
    database = Database(url)
    worker = Worker(Store(database), clock)
    writer = UsageWriter(worker.store, worker="here:1")
    _, warm = worker.keys.issue({"name": "warm"}, SYSTEM)
    _, cold = worker.keys.issue({"name": "cold"}, SYSTEM)
    worker.keyring.find(warm)

    server.stop()
    clock.tick(10)
    found = worker.keyring.find(warm).name
    with pytest.raises(StoreUnavailable) as refused:
        worker.keyring.find(cold)
    for number in range(1, 51):
        writer.admit(admission(number))
        writer.settle(settlement(number))
    away = writer.flush(0.0), writer.state()
    server.start()
    clock.tick(1)
    back = worker.keyring.find(cold).name, writer.flush(20.0), writer.state()
    rows = worker.store.read(lambda s: s.scalar(select(func.count(UsageRow.id))))
    assert_sums_agree(worker.store)
    database.close()

    assert found == "warm"
    assert refused.value.status == 503
    assert away == (False, "unavailable")
    assert back == ("cold", True, "ok")
    assert rows == 50
