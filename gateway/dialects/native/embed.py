"""`POST /api/embed` and the older `/api/embeddings` (docs/contract/native.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import orjson

from gateway.core.chat import Embeddings, EmbedRequest, Json, Params
from gateway.core.events import Usage
from gateway.dialects.base import EmbeddingDialect, Reading
from gateway.dialects.embeddings import EMBEDDINGS, check_count
from gateway.dialects.native.answer import counters
from gateway.dialects.native.request import for_loading, read_steering
from gateway.dialects.native.words import NATIVE
from gateway.dialects.shared.prompts import read_texts
from gateway.dialects.shared.reading import Fields, read_model


def parse(body: Mapping[str, Json], reading: Reading) -> EmbedRequest:
    """Read a request for vectors of one text or several; without any it only loads its model.
    Raises InvalidRequest, and Forbidden for unloading."""
    root = Fields(body)
    params, _ = read_steering(body)
    given = root.get("input")
    if given is None or given in ("", []):
        return _load(root, params)
    texts = read_texts(given, "input", reading.behaviour.max_embedding_inputs)
    return EmbedRequest(
        model=read_model(root),
        inputs=texts,
        params=Params(params.options, keep_alive=params.keep_alive, truncate=params.truncate),
        dimensions=root.integer("dimensions", 0) or None,
    )


def parse_older(body: Mapping[str, Json], reading: Reading) -> EmbedRequest:
    """Read a request for the vector of one text, which is never cut; as `parse`."""
    root = Fields(body)
    params, _ = read_steering(body)
    prompt = root.text("prompt")
    if not prompt:
        return _load(root, params)
    return EmbedRequest(
        model=read_model(root),
        inputs=(prompt,),
        params=Params(params.options, keep_alive=params.keep_alive, truncate=False),
    )


def render(embeddings: Embeddings, request: EmbedRequest) -> bytes:
    """Return the whole answer as JSON, vectors in input order. Raises UpstreamError when there is
    not one for each text."""
    check_count(embeddings, request)
    usage = Usage(
        embeddings.prompt_tokens, total_ns=embeddings.total_ns, load_ns=embeddings.load_ns
    )
    if request.loads:
        return orjson.dumps({"model": request.model, "embeddings": []})
    return orjson.dumps(
        {"model": request.model, "embeddings": embeddings.vectors, **counters(usage)}
    )


def render_older(embeddings: Embeddings, request: EmbedRequest) -> bytes:
    """Return the one vector as JSON. Raises UpstreamError when there is none."""
    check_count(embeddings, request)
    return orjson.dumps({"embedding": [] if request.loads else embeddings.vectors[0]})


def _load(root: Fields, params: Params) -> EmbedRequest:
    """Return the request that loads a model: one empty text is embedded."""
    loading = replace(for_loading(params), shift=None)
    return EmbedRequest(read_model(root), ("",), loading, loads=True)


API_EMBED = EmbeddingDialect(
    name="api_embed",
    label=EMBEDDINGS.label,
    vendor=NATIVE,
    paths=("/api/embed",),
    prompt_param="input",
    scope_of=EMBEDDINGS.name,
    parse=parse,
    render=render,
)
API_EMBEDDINGS = EmbeddingDialect(
    name="api_embeddings",
    label=EMBEDDINGS.label,
    vendor=NATIVE,
    paths=("/api/embeddings",),
    prompt_param="prompt",
    scope_of=EMBEDDINGS.name,
    parse=parse_older,
    render=render_older,
)
