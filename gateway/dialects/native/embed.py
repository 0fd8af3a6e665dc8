"""`POST /api/embed` and the older `/api/embeddings` (docs/contract/native.md)."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from gateway.core.chat import Embeddings, EmbedRequest, Json, Params
from gateway.core.events import Usage
from gateway.dialects.base import EmbeddingDialect, Reading
from gateway.dialects.embeddings import EMBEDDINGS, check_count
from gateway.dialects.native.answer import counters
from gateway.dialects.native.request import read_steering
from gateway.dialects.native.words import NATIVE
from gateway.dialects.shared.prompts import read_texts
from gateway.dialects.shared.reading import Fields, missing, read_model


def parse(body: Mapping[str, Json], reading: Reading) -> EmbedRequest:
    """Read a request for vectors of one text or several. Raises InvalidRequest."""
    root = Fields(body)
    params, _ = read_steering(body)
    texts = read_texts(root.get("input"), "input", reading.behaviour.max_embedding_inputs)
    if root.get("input") == "":
        raise missing("input")
    return EmbedRequest(
        model=read_model(root),
        inputs=texts,
        params=Params(params.options, keep_alive=params.keep_alive, truncate=params.truncate),
        dimensions=root.integer("dimensions", 0) or None,
    )


def parse_older(body: Mapping[str, Json], reading: Reading) -> EmbedRequest:
    """Read a request for the vector of one text, which is never cut. Raises InvalidRequest."""
    root = Fields(body)
    params, _ = read_steering(body)
    return EmbedRequest(
        model=read_model(root),
        inputs=(root.required_text("prompt"),),
        params=Params(params.options, keep_alive=params.keep_alive, truncate=False),
    )


def render(embeddings: Embeddings, request: EmbedRequest) -> bytes:
    """Return the whole answer as JSON, vectors in input order. Raises UpstreamError when there is
    not one for each text."""
    check_count(embeddings, request)
    usage = Usage(
        embeddings.prompt_tokens, total_ns=embeddings.total_ns, load_ns=embeddings.load_ns
    )
    return orjson.dumps(
        {"model": request.model, "embeddings": embeddings.vectors, **counters(usage)}
    )


def render_older(embeddings: Embeddings, request: EmbedRequest) -> bytes:
    """Return the one vector as JSON. Raises UpstreamError when there is none."""
    check_count(embeddings, request)
    return orjson.dumps({"embedding": embeddings.vectors[0]})


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
