"""What was in memory of servers, in the store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from gateway.core.catalog import Loaded
from gateway.schemas.server import Server
from gateway.store import servers
from gateway.store.database.engine import Database
from gateway.store.usage import memory

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def test_the_most_gpu_memory_ever_taken_is_kept_until_the_server_is_another(
    database: Database,
) -> None:
    both = {"a:1": Loaded("a:1", 8, 6), "b:1": Loaded("b:1", 5, 5)}
    with database.write() as session:
        box = servers.insert(session, Server(0, "box", "http://10.0.0.1:11434"), NOW)
        for loaded in (both, {"a:1": Loaded("a:1", 8, 6)}, {}):
            memory.note(session, box.id, loaded, {}, NOW)
        after_use = memory.most_vram(session)
        servers.save(session, replace(box, name="big box"))
        renamed = memory.most_vram(session)
        servers.save(session, replace(box, url="http://10.0.0.2:11434"))

        assert (after_use, renamed) == ({box.id: 11}, {box.id: 11})
        assert memory.most_vram(session) == {box.id: 0}
