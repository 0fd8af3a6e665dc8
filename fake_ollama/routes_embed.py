"""``/api/embed`` and the older ``/api/embeddings``.

Source: ``server/routes.go`` EmbedHandler, EmbeddingsHandler.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fake_ollama.bending import play
from fake_ollama.decode import EMBED, EMBEDDING, parse_fields
from fake_ollama.embedding import shorten, unit_vector
from fake_ollama.exchange import Exchange
from fake_ollama.models import FakeModel
from fake_ollama.options import LoadKey, load_key, read_options
from fake_ollama.refusals import Refused
from fake_ollama.scripts import DEFAULT_SCRIPT, Script, tokenise

if TYPE_CHECKING:
    from fake_ollama.server import FakeOllama

_TOO_LONG = "the input length exceeds the context length"
_STILL_TOO_LONG = "input exceeds maximum context length and cannot be truncated further"
_MISSING = 'model "{name}" not found, try pulling it first'
_NO_EMBEDDINGS = "This server does not support embeddings. Start it with `--embeddings`"
_LEAST_CONTEXT = 8
_EDGE_TOKENS = 2
"""The marks that BERT-like models put before and after a text."""


def embed(fake: FakeOllama, exchange: Exchange) -> None:
    started_ns = time.perf_counter_ns()
    body = parse_fields(exchange.request.body, "EmbedRequest", EMBED)
    texts = _texts(body.get("input"))
    name = body.get("model", "")
    if not name:
        raise Refused(404, "model '' not found")
    model, key, script = _prepare(fake, exchange, body, name)
    if play(exchange, exchange.faults):
        return
    with fake.slot(model, key, body.get("keep_alive"), exchange, script.load_delay_s) as runner:
        load_ns = time.perf_counter_ns() - started_ns
        if texts and not model.can("embedding"):
            raise Refused(501, _NO_EMBEDDINGS)
        if not texts:
            exchange.send_json(200, {"model": name, "embeddings": []})
            return
        limit = min(runner.key.num_ctx, model.context_length)
        counts = [_fitted(text, limit, body.get("truncate", True)) for text in texts]
        exchange.waiter.pause(script.first_delay_s)
        exchange.step(0, script.delay_s or 0.0)
        vectors = _vectors(texts, model, body.get("dimensions", 0), script)
        made: dict[str, Any] = {"model": name, "embeddings": vectors}
        made["total_duration"] = max(2, time.perf_counter_ns() - started_ns)
        made["load_duration"] = max(1, load_ns)
        count = sum(counts) if script.prompt_eval_count is None else script.prompt_eval_count
        if count:
            made["prompt_eval_count"] = count
        exchange.send_json(200, {**made, **script.final})


def embeddings(fake: FakeOllama, exchange: Exchange) -> None:
    body = parse_fields(exchange.request.body, "EmbeddingRequest", EMBEDDING)
    name = body.get("model", "")
    if not name:
        raise Refused(400, "model is required")
    known = fake.library.find(name)
    if known is not None and known.parsed.full != _tagged(name):
        exchange.name_model(name, known.key)
        raise Refused(404, _MISSING.format(name=name))
    model, key, script = _prepare(fake, exchange, body, name)
    if play(exchange, exchange.faults):
        return
    with fake.slot(model, key, body.get("keep_alive"), exchange, script.load_delay_s) as runner:
        text = body.get("prompt", "")
        if not text:
            exchange.send_json(200, {"embedding": []})
            return
        if not model.can("embedding"):
            raise Refused(500, _NO_EMBEDDINGS)
        if len(tokenise(text)) + _EDGE_TOKENS > min(runner.key.num_ctx, model.context_length):
            raise Refused(500, _TOO_LONG)
        exchange.step(0, script.delay_s or 0.0)
        vector = unit_vector(text, model.vector_length)
        if script.embeddings:
            vector = list(script.embeddings[0])
        exchange.send_json(200, {"embedding": vector})


def _prepare(
    fake: FakeOllama, exchange: Exchange, body: dict[str, Any], name: str
) -> tuple[FakeModel, LoadKey, Script]:
    model = fake.library.resolve(name, exchange, _MISSING)
    options = read_options(model, body.get("options", {}))
    key = load_key(model, options, None, fake.default_num_ctx)
    script = fake.scripts.take(exchange.waiter.targets, exchange.recorded.json or {})
    script = script or DEFAULT_SCRIPT
    exchange.put_on(script.faults)
    return model, key, script


def _texts(value: Any) -> list[str]:
    """Read ``input``; nothing, or an empty text by itself, only loads. Raises Refused."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise Refused(400, "invalid input type")


def _fitted(text: str, limit: int, truncate: bool) -> int:
    count = len(tokenise(text)) + _EDGE_TOKENS
    if count <= limit:
        return count
    if not truncate:
        raise Refused(400, _TOO_LONG)
    if limit < _LEAST_CONTEXT:
        raise Refused(400, _STILL_TOO_LONG)
    return limit


def _vectors(
    texts: list[str], model: FakeModel, dimensions: int, script: Script
) -> list[list[float]]:
    if script.embeddings is not None:
        return [list(vector) for vector in script.embeddings]
    return [shorten(unit_vector(text, model.vector_length), dimensions) for text in texts]


def _tagged(name: str) -> str:
    tail = name.rsplit("/", 1)[-1]
    whole = name if ":" in tail else f"{name}:latest"
    if "/" not in whole:
        return f"registry.ollama.ai/library/{whole}"
    return whole if whole.count("/") == 2 else f"registry.ollama.ai/{whole}"
