"""Was anything cut, who has models loaded again and again, which windows should be set: the last
seven days, by model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.core.catalog import Model
from gateway.policy import context, loads
from gateway.runtime.database import Store
from gateway.scheduling.catalog import Catalog
from gateway.schemas.settings import RuntimeSettings
from gateway.store.usage import context_queries, memory
from gateway.store.usage.context_queries import LoadSum
from gateway.store.usage.memory import Span

DAYS = 7
_MOST_PROMPTS = 500
_MOST_MODELS = 50


@dataclass(frozen=True, slots=True)
class ModelContext:
    """What is known of a model's windows. `prompts` is how many were looked at, `p95` and `longest`
    their tokens; `proposal` are steps that fit them, () for none better than those in force."""

    model_id: int
    model: str
    trained: int
    policy: context.Policy
    steps: tuple[int, ...]
    loads: tuple[LoadSum, ...]
    cut: int
    refused: int
    prompts: int
    p95: int
    longest: int
    proposal: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """Of all models. `loads` counts all, `reloads` those of models that were in memory,
    `window_loads` those because calls asked for different windows; `load_ms` is what calls waited
    for them. `cut` are prompts of which a part was probably dropped."""

    loads: int
    reloads: int
    window_loads: int
    load_ms: float
    cut: int


@dataclass(frozen=True, slots=True)
class ContextReport:
    """The report of DAYS days. `refused` are prompts that were too long."""

    totals: Totals
    refused: int
    models: tuple[ModelContext, ...]
    memory: tuple[Span, ...]


def report(
    store: Store, catalog: Catalog, behaviour: RuntimeSettings, at: datetime
) -> ContextReport:
    """Return the report of the seven days before `at`."""
    since = at - timedelta(days=DAYS)
    found = store.read_slow(context_queries.loads, since)
    cut = store.read_slow(context_queries.cut, since)
    refused = store.read_slow(context_queries.refused, since)
    spans = store.read(memory.spans, since)
    by_model: dict[int, list[LoadSum]] = defaultdict(list)
    for one in found:
        by_model[one.model_id or 0].append(one)
    models = tuple(
        _of_model(store, model, behaviour, since, spans, by_model[model.id], cut, refused)
        for model in _shown(catalog.models(), by_model, cut, refused)
    )
    return ContextReport(
        _totals(found, cut),
        refused=sum(refused.values()),
        models=models,
        memory=tuple(spans),
    )


def totals(store: Store, at: datetime) -> Totals:
    """Return the sums of the seven days before `at`."""
    since = at - timedelta(days=DAYS)
    found = store.read_slow(context_queries.loads, since)
    return _totals(found, store.read_slow(context_queries.cut, since))


def _totals(found: Sequence[LoadSum], cut: Mapping[int, int]) -> Totals:
    return Totals(
        loads=sum(one.loads for one in found),
        reloads=sum(one.loads for one in found if one.reason in loads.RELOADS),
        window_loads=sum(one.loads for one in found if one.reason == "window"),
        load_ms=sum(one.ms for one in found),
        cut=sum(cut.values()),
    )


def proposal(
    store: Store, model: Model, behaviour: RuntimeSettings, at: datetime
) -> tuple[int, ...]:
    """Return the steps that are proposed for a model, () for none."""
    since = at - timedelta(days=DAYS)
    spans = store.read(memory.spans, since)
    return _of_model(store, model, behaviour, since, spans, [], {}, {}).proposal


def _shown(models: Sequence[Model], *facts: Mapping[int, object]) -> list[Model]:
    """Return the models that write, those of which something is known first."""
    writing = [model for model in models if model.can("completion") is not False]
    told = {id_ for known in facts for id_, fact in known.items() if fact}
    return sorted(writing, key=lambda model: model.id not in told)[:_MOST_MODELS]


def _of_model(
    store: Store,
    model: Model,
    behaviour: RuntimeSettings,
    since: datetime,
    spans: Sequence[Span],
    found: Sequence[LoadSum],
    cut: Mapping[int, int],
    refused: Mapping[int, int],
) -> ModelContext:
    known = store.read_slow(context_queries.prompts, model.id, since, _MOST_PROMPTS)
    steps = tuple(model.override.get("context_steps") or ())
    spilled = [
        span.context_tokens
        for span in spans
        if span.model == model.name and 0 < span.vram_bytes < span.size_bytes
    ]
    proposed = context.propose(known, model.context_tokens or 0, min(spilled, default=0))
    return ModelContext(
        model_id=model.id,
        model=model.display_name,
        trained=model.context_tokens or 0,
        policy=model.override.get("context_policy") or behaviour.context_policy,
        steps=steps,
        loads=tuple(found),
        cut=cut.get(model.id, 0),
        refused=refused.get(model.id, 0),
        prompts=len(known),
        p95=context.percentile(known, 0.95),
        longest=known[-1] if known else 0,
        proposal=() if proposed == steps else proposed,
    )
