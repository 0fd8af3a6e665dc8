"""A month in the life of a gateway: keys and calls as people really have them, always the same."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta

from gateway.core.admin import Actor
from gateway.core.usage import Admission, Settlement
from gateway.schemas.key import Key
from gateway.store.usage import records
from gateway.web.context import Services

ACTOR = Actor("admin", "admin", 1)
KEYS = (
    {"name": "Claude Code, laptop", "owner": "Mara", "tags": ["coding"]},
    {"name": "Open WebUI", "owner": "Household", "requests_per_minute": 60},
    {
        "name": "Support bot",
        "owner": "Team Support",
        "budgets": [{"metric": "tokens", "period": "day", "limit": 400_000}],
        "concurrent": 2,
        "tags": ["production"],
    },
    {
        "name": "Nightly summaries",
        "owner": "Jonas",
        "priority": "batch",
        "budgets": [{"metric": "requests", "period": "month", "limit": 5_000}],
    },
    {"name": "Search index", "owner": "Jonas", "scopes": ["embeddings", "models"]},
    {"name": "Guest", "allow": ["llama3.2*", "gemma3*"], "requests_per_minute": 10},
)
_SHARES = (0.42, 0.24, 0.17, 0.08, 0.07, 0.02)
_ENDPOINTS = ("messages", "chat", "chat", "chat", "embeddings", "chat")
_CLIENTS = ("claude-cli", "open-webui", "support-bot", "python", "python", "curl")
_MODELS = (
    ("qwen3:8b", 0.36, 52.0, True),
    ("gpt-oss:20b", 0.27, 38.0, True),
    ("llama3.2", 0.22, 96.0, False),
    ("gemma3:4b", 0.15, 71.0, False),
)
_ERRORS = (
    (504, "upstream_timeout", "Ollama did not answer within 300 seconds."),
    (429, "rate_limit_exceeded", "The limit of 60 requests per minute is reached."),
    (400, "context_length_exceeded", "The prompt has 41,882 tokens; the window holds 32,768."),
    (404, "model_not_found", "The model 'gpt-4o' does not exist here."),
    (502, "upstream_unreachable", "The Ollama server cannot be reached."),
)
_CHUNK = 500


def fill(parts: Services, now: datetime, *, calls: int = 6_000, days: int = 30) -> list[str]:
    """Make the keys and their calls; give the keys' secrets."""
    chance = random.Random(7)
    made = [parts.keys.issue(dict(raw), ACTOR) for raw in KEYS]
    keys = [key for key, _secret in made]
    models = {model.display_name: model.id for model in parts.catalog.models()}
    entries = [_entry(chance, keys, models, now, days, number) for number in range(calls)]
    entries.sort(key=lambda entry: entry.admission.created_at)
    for start in range(0, len(entries), _CHUNK):
        batch = entries[start : start + _CHUNK]
        parts.store.write(records.write, batch, worker="sample", now=now)
    parts.keyring.drop()
    return [secret for _key, secret in made]


def _entry(
    chance: random.Random,
    keys: list[Key],
    models: dict[str, int],
    now: datetime,
    days: int,
    number: int,
) -> records.Entry:
    who = chance.choices(range(len(keys)), _SHARES)[0]
    model, _share, speed, thinks = chance.choices(_MODELS, [m[1] for m in _MODELS])[0]
    if who == 4:
        model, speed, thinks = "nomic-embed-text", 0.0, False
    at = _moment(chance, now, days)
    admission = Admission(
        request_id=f"req_{number:032x}",
        created_at=at,
        key_id=keys[who].id,
        key_name=keys[who].name,
        endpoint=_ENDPOINTS[who],
        model_id=models.get(model, 100 + len(model)),
        model=model,
        requested_model=model,
        streamed=who not in {3, 4},
        client_ip="192.168.1.20",
        client_app=_CLIENTS[who],
        worker="sample",
        has_tools=who == 0,
        has_images=model == "gemma3:4b" and chance.random() < 0.3,
    )
    if chance.random() < 0.025:
        return records.Entry(admission, _failed(chance, admission))
    return records.Entry(admission, _answered(chance, admission, speed, thinks))


def _moment(chance: random.Random, now: datetime, days: int) -> datetime:
    """Give a time that is busier by day, on weekdays, and lately."""
    while True:
        back = chance.random() ** 1.35 * days
        at = now - timedelta(days=back)
        day = 0.15 + 0.85 * max(0.0, math.sin((at.hour - 6) / 24 * 2 * math.pi * 0.85))
        week = 0.45 if at.weekday() >= 5 else 1.0
        if chance.random() < day * week:
            return at


def _answered(
    chance: random.Random, admission: Admission, speed: float, thinks: bool
) -> Settlement:
    prompt = int(chance.lognormvariate(6.6 if admission.has_tools else 5.4, 0.9))
    output = int(chance.lognormvariate(5.3, 0.8)) if speed else 0
    reasoning = int(output * 0.45) if thinks else 0
    pace = speed * chance.uniform(0.8, 1.1)
    queue_ms = chance.expovariate(1 / 140) if chance.random() < 0.35 else 0.0
    load_ms = chance.uniform(1_800, 7_500) if chance.random() < 0.05 else chance.uniform(9, 40)
    prompt_ms = prompt / chance.uniform(900, 2_600) * 1000
    eval_ms = output / pace * 1000 if pace else 0.0
    first = queue_ms + load_ms + prompt_ms + chance.uniform(8, 30)
    duration = first + eval_ms
    thought_ms = eval_ms * 0.45 if thinks else 0.0
    return Settlement(
        request_id=admission.request_id,
        status=200,
        finish=chance.choices(["stop", "length", "tool_calls"], [0.84, 0.04, 0.12])[0],
        server_id=1,
        server_name="workstation",
        route_reason="model loaded, 3/4 slots free",
        prompt_tokens=prompt,
        completion_tokens=output,
        reasoning_tokens=reasoning,
        cached_tokens=int(prompt * 0.6) if admission.has_tools else 0,
        queue_ms=queue_ms,
        first_token_ms=first if speed else None,
        first_answer_ms=first + thought_ms if speed else None,
        duration_ms=duration,
        ollama_load_ms=load_ms,
        ollama_prompt_ms=prompt_ms,
        ollama_eval_ms=eval_ms or None,
        upstream_calls=1,
        had_thinking=thinks,
        explain={
            "params": {
                "think": [thinks, "model"],
                "temperature": [0.2, "request"],
                "num_ctx": [16_384, "force:model"],
            },
            "changes": [["num_ctx", "forced"]],
            "sent": {
                "model": admission.model,
                "path": "/api/chat",
                "messages": {"system": 1, "user": 3, "assistant": 2},
                "tools": 4 if admission.has_tools else 0,
                "images": 0,
                "characters": prompt * 4,
            },
        },
    )


def _failed(chance: random.Random, admission: Admission) -> Settlement:
    status, code, message = chance.choice(_ERRORS)
    return Settlement(
        request_id=admission.request_id,
        status=status,
        finish="error",
        error_code=code,
        error_message=message,
        server_id=1 if status >= 500 else None,
        server_name="workstation" if status >= 500 else "",
        duration_ms=chance.uniform(3, 900),
        upstream_calls=1 if status >= 500 else 0,
    )
