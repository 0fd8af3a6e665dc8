"""`POST /v1/embeddings` (docs/contract/embeddings.md): texts to vectors, numbers or base64."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence

import orjson

from gateway.core.chat import Embeddings, EmbedRequest, Json, Params
from gateway.dialects.base import EmbeddingDialect, Reading
from gateway.dialects.shared.openai import OPENAI
from gateway.dialects.shared.params import FOR_ANSWERS, read_params, root_of
from gateway.dialects.shared.prompts import read_texts
from gateway.dialects.shared.reading import invalid, read_end_user, read_model
from gateway.errors import UpstreamError

_ENCODINGS = ("float", "base64")
_FOREIGN = (
    "input_type", "task", "task_type", "prompt_name", "instruction", "late_chunking",
    "embedding_type", "embedding_types", "output_dtype", "output_dimension", "text_type",
)  # fmt: skip
"""Fields that change the vectors at other vendors."""


def parse(body: Mapping[str, Json], reading: Reading) -> EmbedRequest:
    """Read an embeddings request. Raises InvalidRequest."""
    root = root_of(body)
    said, _ = read_params(body, {}, own=FOR_ANSWERS)
    return EmbedRequest(
        model=read_model(root),
        inputs=read_texts(root.get("input"), "input", reading.behaviour.max_embedding_inputs),
        params=Params(
            options=said.options,
            keep_alive=said.keep_alive,
            truncate=said.truncate,
            timeout_ms=said.timeout_ms,
        ),
        dimensions=root.integer("dimensions", 1),
        encoding="base64" if root.word("encoding_format", _ENCODINGS) == "base64" else "float",
        ignored=tuple(name for name in _FOREIGN if root.get(name) is not None),
        end_user=read_end_user(root),
    )


def render(embeddings: Embeddings, request: EmbedRequest) -> bytes:
    """Return the whole answer as JSON, vectors in input order.

    Raises InvalidRequest when the vectors have another length than was asked for (D27), and
    UpstreamError when there is not one for each text.
    """
    vectors: Iterable[Json] = embeddings.vectors
    check_count(embeddings, request)
    size = len(embeddings.vectors[0])
    if request.dimensions is not None and size != request.dimensions:
        raise invalid(
            f"This model makes vectors of {size} numbers, not of {request.dimensions}.",
            "dimensions",
        )
    if request.encoding == "base64":
        vectors = map(_base64, vectors)
    tokens = embeddings.prompt_tokens
    return orjson.dumps(
        {
            "object": "list",
            "model": request.model,
            "data": [
                {"object": "embedding", "index": index, "embedding": vector}
                for index, vector in enumerate(vectors)
            ],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        },
    )


def check_count(embeddings: Embeddings, request: EmbedRequest) -> None:
    """Raise UpstreamError unless there is a vector for each text."""
    count = len(embeddings.vectors)
    if count != len(request.inputs):
        raise UpstreamError(
            f"Ollama gave {count} vectors for {len(request.inputs)} texts.",
            code="upstream_bad_response",
        )


def _base64(vector: Sequence[float]) -> str:
    """Return float32, little-endian, as base64: what openai-python asks for by itself."""
    try:
        packed = struct.pack(f"<{len(vector)}f", *vector)
    except OverflowError as error:
        raise UpstreamError(
            "Ollama gave a vector that does not fit 32-bit floats.", code="upstream_bad_response"
        ) from error
    return b64encode(packed).decode("ascii")


EMBEDDINGS = EmbeddingDialect(
    name="embeddings",
    label="embeddings",
    vendor=OPENAI,
    paths=("/v1/embeddings", "/embeddings"),
    prompt_param="input",
    parse=parse,
    render=render,
)
