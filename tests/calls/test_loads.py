"""Why Ollama loaded a model for a call, and what was in the memory of a server when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fake_ollama import FakeOllama
from fake_ollama.models import DEFAULT_MODELS
from gateway.core.admin import SYSTEM
from gateway.core.usage import Settlement
from gateway.policy.context import Wish
from gateway.reports import context
from gateway.scheduling.memory import MemoryLog
from gateway.scheduling.probes import Prober
from gateway.store.usage import memory
from tests.api.apps import App, application
from tests.calls.bench import Bench, read, start

MODEL, OTHER = "qwen2.5-coder:7b", "llama3.2:latest"


class Desk:
    """Makes one call after the other, with probes in between."""

    def __init__(self, app: App, ollama: FakeOllama) -> None:
        self.app, self.ollama = app, ollama
        self.bench = Bench(app.services)
        self._prober = Prober(app.services.scheduler, MemoryLog(app.services.store))

    def look(self) -> None:
        for server in self.app.services.scheduler.servers.values():
            self._prober.probe(server)

    def call(self, model: str = MODEL, text: str = "Hello?", **more: Any) -> Settlement:
        active = self.bench.call(self.bench.chat(model, text, **more))
        with active:
            start(active)
            read(active)
        self.look()
        return self.bench.records.settled[-1]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    models = [
        replace(model, load_delay_s=0.15)
        for model in DEFAULT_MODELS
        if model.name in (MODEL, OTHER)
    ]
    with FakeOllama(models, max_loaded=1) as ollama, application(tmp_path, ollama) as app:
        yield Desk(app, ollama)


def test_each_load_has_its_reason(desk: Desk) -> None:
    reasons = [
        desk.call().load_reason,
        desk.call().load_reason,
        desk.call(num_ctx=2_048).load_reason,
        desk.call(num_ctx=2_048).load_reason,
        desk.call(num_ctx=2_048, num_batch=64).load_reason,
        desk.call(OTHER).load_reason,
        desk.call(num_ctx=2_048, num_batch=64, keep_alive=5).load_reason,
    ]
    desk.ollama.advance(6)
    desk.look()
    reasons.append(desk.call(num_ctx=2_048, num_batch=64).load_reason)

    assert reasons == ["first", "", "window", "", "options", "first", "evicted", "idle"]


def test_a_call_tells_the_window_it_ran_with(desk: Desk) -> None:
    assert desk.call(num_ctx=2_048).context_tokens == 2_048
    assert desk.call(num_ctx=2_048).load_reason == ""
    (loaded,) = desk.app.services.scheduler.views()[0].loaded.values()
    assert loaded.context_tokens == 2_048


def test_the_memory_of_a_server_is_written_down(desk: Desk) -> None:
    desk.call(num_ctx=2_048)
    desk.call(num_ctx=4_096)
    desk.call(OTHER)
    other_worker = Prober(desk.app.services.scheduler, MemoryLog(desk.app.services.store))
    for server in desk.app.services.scheduler.servers.values():
        other_worker.probe(server)
    spans = desk.app.services.store.read(memory.spans, datetime.now(UTC) - timedelta(days=1))

    assert [(span.model, span.end_reason, span.evicted_by) for span in spans] == [
        (MODEL, "window", ""),
        (MODEL, "evicted", OTHER),
        (OTHER, "", ""),
    ]
    assert [span.context_tokens for span in spans[:2]] == [2_048, 4_096]
    assert spans[0].ended_at == spans[1].started_at
    assert desk.app.services.store.write(memory.prune, datetime.now(UTC) + memory.KEPT) == 2


def test_a_prompt_that_ollama_cut_is_marked(desk: Desk) -> None:
    models = desk.app.services.models
    (model,) = [one for one in desk.app.services.catalog.models() if one.name == MODEL]
    models.update(model.id, {"override": {"context_policy": "allow"}}, SYSTEM)
    desk.app.services.catalog.reload()

    assert desk.call(text="tide " * 3_000, num_ctx=1_024, max_tokens=8).cut
    assert not desk.call(text="tide " * 300, num_ctx=1_024, max_tokens=8).cut


def test_steps_are_proposed_from_the_prompts_that_came(desk: Desk) -> None:
    services = desk.app.services
    desk.bench.parts = services.calls  # whose records are stored
    for _ in range(20):
        active = desk.bench.call(
            desk.bench.chat(MODEL, "tide " * 6_000, num_ctx=32_768, max_tokens=8)
        )
        with active:
            start(active)
            read(active)
    services.usage.flush(5)
    (model,) = [one for one in services.catalog.models() if one.name == MODEL]
    at, behaviour = datetime.now(UTC), services.settings.behaviour()
    found = context.report(services.store, services.catalog, behaviour, at)

    assert context.proposal(services.store, model, behaviour, at) == (16_384,)
    assert found.models[0].model == model.display_name
    assert found.totals.loads == 1
    assert found.totals.reloads == 0


def test_a_window_shrinks_when_nobody_has_needed_it_for_a_while(desk: Desk) -> None:
    desk.call(num_ctx=4_096)
    (state,) = desk.app.services.scheduler.servers.values()
    here, now_s = state.deployments[MODEL], time.monotonic()
    small, large = (Wish(tokens, (2_048, 4_096), True, 64) for tokens in (1_000, 3_000))

    assert here.use_window(small, now_s, 900) == 4_096
    assert here.use_window(large, now_s + 800, 900) == 4_096
    assert here.use_window(small, now_s + 1_600, 900) == 4_096
    assert here.use_window(small, now_s + 9_999, 0) == 4_096
    assert here.use_window(small, now_s + 1_701, 900) == 2_048
