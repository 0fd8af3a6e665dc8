"""What stands in the demo: servers, names, keys with limits, and their past."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from gateway import services
from gateway.config import Settings
from gateway.core.admin import SYSTEM
from gateway.core.catalog import Model
from gateway.store.usage import memory, records
from gateway.web.context import Services
from tests.demo import history

GPU_GB = 24
"""Of each server; the gateway is told of the first one's."""
_BATCH = 1_000
_KEYS = (
    ("Open WebUI", {"owner": "the household", "tags": ["chat"]}),
    (
        "Coding agent",
        {"owner": "development", "requests_per_minute": 120, "concurrent": 4,
         "budgets": [{"metric": "tokens", "period": "day", "limit": 2_000_000}]},
    ),
    (
        "Documents to vectors",
        {"owner": "development", "allow": ["nomic-embed-text", "all-minilm"],
         "scopes": ["embeddings", "models"], "priority": "batch"},
    ),
    ("Night report", {"owner": "operations", "allow": ["llama3.2", "gemma3:4b"]}),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """Secrets of the keys by name, and a model that answers quickly."""

    secrets: dict[str, str]
    model: str


def furnish(settings: Settings, ollamas: dict[str, str]) -> Made:
    """Fill an empty, migrated database. `ollamas` are addresses by the names they shall have."""
    with _services(settings) as parts:
        for name, url in ollamas.items():
            parts.servers.create({"name": name, "url": url}, SYSTEM)
        parts.servers.update(parts.catalog.servers()[0].id, {"vram_gb": GPU_GB}, SYSTEM)
        parts.refresher.refresh()
        models = {model.display_name: model for model in parts.catalog.models()}
        _name_things(parts, models)
        keys, secrets = {}, {}
        for name, rules in _KEYS:
            keys[name], secrets[name] = parts.keys.issue({"name": name, **rules}, SYSTEM)
        everyday = tuple(models[name] for name in ("llama3.2", "gemma3:4b", "qwen3:8b"))
        coders = tuple(models[name] for name in ("qwen3:8b", "gpt-oss:20b", "qwen2.5-coder:7b"))
        callers = (
            history.Caller(keys["Open WebUI"], "OpenWebUI", "chat", everyday, 3.0),
            history.Caller(keys["Coding agent"], "claude-cli/2.1", "messages", coders, 4.0),
            history.Caller(
                keys["Documents to vectors"],
                "langchain-openai/1.7",
                "embeddings",
                (models["nomic-embed-text"],),
                2.0,
            ),
            history.Caller(keys["Night report"], "curl/8.5", "chat", everyday[:2], 0.5),
        )
        now = datetime.now(UTC)
        past = history.entries(callers, parts.catalog.servers(), now, random.Random(7))
        while batch := list(islice(past, _BATCH)):
            parts.store.write(records.write, batch, worker="demo", now=now)
        for server in parts.catalog.servers():
            own = [model for model in everyday if server.id in model.server_ids]
            for at, loaded in history.stays(own, now, random.Random(server.id)):
                gone = dict.fromkeys((model.name for model in own), "evicted" if loaded else "idle")
                parts.store.write(memory.note, server.id, loaded, gone, at)
    return Made(secrets, "llama3.2")


def _name_things(parts: Services, models: dict[str, Model]) -> None:
    """Give models what the pages show: an alias, patterns, parameters, a fallback."""
    qwen, small = models["qwen3:8b"], models["gemma3:4b"]
    parts.models.update(small.id, {"aliases": {"claude-*haiku*": {}, "gpt-4o-mini": {}}}, SYSTEM)
    parts.models.update(
        qwen.id,
        {
            "aliases": {"claude-*": {}, "gpt-4o": {}},
            "override": {"num_ctx": 16384, "keep_alive": "30m", "truncate": False},
            "fallbacks": [small.id],
        },
        SYSTEM,
        "for agents",
    )


@contextmanager
def _services(settings: Settings) -> Iterator[Services]:
    """Return the services of this process; no loops run."""
    parts = services.make(settings)
    try:
        yield parts
    finally:
        parts.usage.stop()
        parts.store.database.close()
