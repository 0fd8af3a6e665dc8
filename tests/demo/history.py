"""Two weeks of usage, as a small house might have had: nobody at night, errors now and then."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.core.catalog import Loaded, Model
from gateway.core.usage import Admission, Settlement
from gateway.schemas.key import Key
from gateway.schemas.server import Server
from gateway.store.usage import memory
from gateway.store.usage.records import Entry

DAYS = 14
_BUSIEST = 60
_HOURS = (1, 0, 0, 0, 0, 1, 2, 5, 9, 12, 12, 10, 7, 10, 12, 11, 9, 7, 5, 5, 6, 5, 3, 2)
"""How busy each hour of the day is, out of 12."""
_FAILURES = (
    (429, "rate_limit_exceeded", "Too many requests for this key."),
    (400, "context_length_exceeded", "The prompt is longer than the context window."),
    (502, "upstream_error", "The model runner has unexpectedly stopped."),
    (504, "upstream_timeout", "Ollama was silent for too long."),
    (499, "client_closed", "The client closed the connection."),
)


_WINDOWS = (8_192, 32_768)
_REASONS = ("window", "idle", "evicted")


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a key, and what they usually do."""

    key: Key
    application: str
    endpoint: str
    models: tuple[Model, ...]
    share: float = 1.0


def entries(
    callers: Sequence[Caller], servers: Sequence[Server], now: datetime, dice: random.Random
) -> Iterator[Entry]:
    """Return the calls of the last days, oldest first."""
    start = now - timedelta(days=DAYS)
    hour = start.replace(minute=0, second=0, microsecond=0)
    while hour < now:
        weekend = 0.3 if hour.weekday() >= 5 else 1.0
        growth = 0.5 + 0.5 * (hour - start) / timedelta(days=DAYS)
        calls = int(_BUSIEST * weekend * growth * _HOURS[hour.hour] / 12 * dice.uniform(0.6, 1.2))
        for second in sorted(dice.uniform(0, 3600) for _ in range(calls)):
            at = hour + timedelta(seconds=second)
            if at < now - timedelta(minutes=1):
                yield _entry(callers, servers, at, dice)
        hour += timedelta(hours=1)


def stays(
    models: Sequence[Model], now: datetime, dice: random.Random
) -> Iterator[tuple[datetime, dict[str, Loaded]]]:
    """Yield what was in the memory of a server over the last days, at each change."""
    at = now - memory.KEPT
    while at < now:
        held = dice.sample(models, dice.randint(0, min(2, len(models))))
        yield at, {one.name: _loaded(one, dice.choice(_WINDOWS)) for one in held}
        at += timedelta(hours=dice.uniform(1, 8))


def _loaded(model: Model, window: int) -> Loaded:
    size = model.size_bytes + window * 100_000
    return Loaded(model.name, size, size, window)


def _entry(
    callers: Sequence[Caller], servers: Sequence[Server], at: datetime, dice: random.Random
) -> Entry:
    caller = dice.choices(callers, [each.share for each in callers])[0]
    model = dice.choice(caller.models)
    admission = Admission(
        request_id="req_" + secrets.token_hex(16),
        created_at=at.astimezone(UTC),
        key_id=caller.key.id,
        key_name=caller.key.name,
        endpoint=caller.endpoint,
        model_id=model.id,
        model=model.display_name,
        requested_model=model.display_name,
        streamed=caller.endpoint != "embeddings" and dice.random() < 0.8,
        client_ip=f"192.0.2.{10 + caller.key.id}",
        client_app=caller.application,
        worker="demo",
        has_tools=caller.endpoint == "messages",
    )
    server = dice.choice([each for each in servers if each.id in model.server_ids] or servers)
    if dice.random() < 0.03:
        return Entry(admission, _failed(admission, server, dice))
    if caller.endpoint == "embeddings":
        return Entry(admission, _embedded(admission, server, dice))
    return Entry(admission, _answered(admission, model, server, dice))


def _answered(
    admission: Admission, model: Model, server: Server, dice: random.Random
) -> Settlement:
    prompt = int(dice.lognormvariate(6.2, 1.0)) + 10
    completion = int(dice.lognormvariate(5.2, 0.7)) + 5
    thinks = bool(model.can("thinking"))
    reasoning = int(completion * dice.uniform(0.3, 0.7)) if thinks else 0
    speed = max(6.0, 9e10 / max(model.size_bytes, 1e9) * dice.uniform(0.8, 1.1))
    is_load = dice.random() < 0.05
    load_ms = dice.uniform(1_500, 9_000) if is_load else dice.uniform(20, 60)
    prompt_ms = prompt / dice.uniform(600, 1_400) * 1000
    queue_ms = dice.expovariate(1 / 900) if dice.random() < 0.2 else 0.0
    eval_ms = completion / speed * 1000
    first_ms = queue_ms + load_ms + prompt_ms
    return Settlement(
        request_id=admission.request_id,
        status=200,
        finish="tool_calls" if admission.has_tools and dice.random() < 0.5 else "stop",
        server_id=server.id,
        server_name=server.name,
        route_reason="loaded",
        prompt_tokens=prompt,
        completion_tokens=completion,
        reasoning_tokens=reasoning,
        cached_tokens=int(prompt * dice.uniform(0, 0.8)),
        queue_ms=queue_ms,
        first_token_ms=first_ms,
        first_answer_ms=first_ms + reasoning / speed * 1000,
        duration_ms=first_ms + eval_ms,
        ollama_load_ms=load_ms,
        ollama_prompt_ms=prompt_ms,
        ollama_eval_ms=eval_ms,
        upstream_calls=1,
        context_tokens=dice.choice(_WINDOWS),
        load_reason=dice.choices(_REASONS, (5, 3, 2))[0] if is_load else "",
        had_thinking=reasoning > 0,
    )


def _embedded(admission: Admission, server: Server, dice: random.Random) -> Settlement:
    duration_ms = dice.uniform(15, 120)
    return Settlement(
        request_id=admission.request_id,
        status=200,
        finish="stop",
        server_id=server.id,
        server_name=server.name,
        route_reason="loaded",
        prompt_tokens=int(dice.lognormvariate(5, 0.6)) + 4,
        queue_ms=0.0,
        duration_ms=duration_ms,
        upstream_calls=1,
    )


def _failed(admission: Admission, server: Server, dice: random.Random) -> Settlement:
    status, code, message = dice.choice(_FAILURES)
    reached = status >= 499
    return Settlement(
        request_id=admission.request_id,
        status=status,
        finish="client_closed" if status == 499 else "error",
        error_code=code,
        error_message=message,
        server_id=server.id if reached else None,
        server_name=server.name if reached else "",
        queue_ms=0.0 if reached else None,
        duration_ms=dice.uniform(2, 50) if status < 499 else dice.uniform(500, 30_000),
        upstream_calls=int(reached),
    )
