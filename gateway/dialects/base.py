"""What an endpoint is, and what every generating dialect offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, Protocol

from gateway.core.chat import (
    Call,
    DecisionRequest,
    Decisions,
    Embeddings,
    EmbedRequest,
    Envelope,
    Json,
)
from gateway.core.events import Batch, Reply
from gateway.dialects.shared.sse import MEDIA_TYPE
from gateway.errors import GatewayError
from gateway.schemas.settings import RuntimeSettings


@dataclass(frozen=True, slots=True)
class Reading:
    """What parsing may need besides the body: the settings in force, and how to recall stored
    responses.

    `recall` gives the stored items (input, then output) of a `previous_response_id`, oldest first,
    following the chain; `recall_item` one stored item of this key by id. Both raise InvalidRequest
    when there is none. Only the Responses API calls them.
    """

    behaviour: RuntimeSettings
    recall: Callable[[str], Sequence[Mapping[str, Json]]]
    recall_item: Callable[[str], Mapping[str, Json]]


class Writer(Protocol):
    """Turns the batches of one answer into frames of a stream. Holds nothing that must be
    released."""

    ended: bool
    """Whether nothing may follow."""

    def preamble(self) -> bytes:
        """Return what stands before the first batch; b"" where there is nothing."""
        ...

    def write(self, batch: Batch) -> bytes:
        """Return the frames of one batch, joined; b"" when there is nothing to say. A `Failed`
        event is written, never raised."""
        ...


class StoredWriter(Writer, Protocol):
    """A writer whose answer may be stored."""

    def abandon(self) -> Json:
        """Return the answer as it is now, as JSON."""
        ...


@dataclass(frozen=True, slots=True)
class Vendor:
    """Whose API an endpoint follows.

    `name` is also the form of rate-limit headers. `error_body(error, request_id, prompt_param)`
    returns an error as JSON, `headers(request_id, version, elapsed_ms)` what every answer carries;
    `version` is the caller's `anthropic-version`. Unknown paths below `roots` are answered in this
    vendor's form.
    """

    name: Literal["openai", "anthropic", "ollama"]
    error_body: Callable[[GatewayError, str, str | None], Json]
    headers: Callable[[str, str | None, int], Iterable[tuple[str, str]]]
    roots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What clients call. `name` is the `endpoint` of usage records, `label` what people call it,
    `prompt_param` the field that holds the prompt; the first of `paths` is the one to show.
    `scope_of` names the endpoint whose scope opens this one too; "" has a scope of its own."""

    name: str
    label: str
    vendor: Vendor
    paths: tuple[str, ...]
    prompt_param: str | None = None
    scope_of: str = ""

    @property
    def scope(self) -> str:
        """What a key needs to call this endpoint."""
        return self.scope_of or self.name

    def error_body(self, error: GatewayError, request_id: str) -> Json:
        """Return an error as JSON in this endpoint's form."""
        return self.vendor.error_body(error, request_id, self.prompt_param)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect(Endpoint):
    """An endpoint that generates, and the language it is spoken to in.

    `parse` reads a decoded JSON body and raises InvalidRequest with the dotted path of the bad
    field in `param`; `render` returns a whole answer as JSON-ready values, `writer` what writes a
    streamed one; `error_event` is the last event of a stream whose own writer broke (D37).
    `on_complete` returns what to store of a finished answer, where the API keeps answers.
    """

    parse: Callable[[Json, Reading], Call]
    render: Callable[[Sequence[Reply], Envelope], Json]
    writer: Callable[[Envelope], Writer]
    error_event: Callable[[GatewayError, str], bytes]
    on_complete: Callable[[Envelope, Json], Any] | None = None
    media_type: str = MEDIA_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingDialect(Endpoint):
    """An endpoint that turns texts into vectors, and the language it is spoken to in.

    `parse` reads a decoded JSON body and raises InvalidRequest; `render` returns the whole answer
    as JSON and raises what the vectors turn out to lack.
    """

    parse: Callable[[Json, Reading], EmbedRequest]
    render: Callable[[Embeddings, EmbedRequest], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionDialect(Endpoint):
    """An endpoint that answers typed questions, and the language it is spoken to in.

    `parse` reads a decoded JSON body and raises InvalidRequest; `render` returns the whole answer
    as JSON.
    """

    parse: Callable[[Json, Reading], DecisionRequest]
    render: Callable[[Decisions, DecisionRequest], bytes]


def frames(
    writer: Writer,
    groups: Iterable[Sequence[Batch]],
    *,
    failed: Callable[[Exception], bytes] | None = None,
) -> Iterator[bytes]:
    """Yield a streamed answer: one bytes object for the batches that were taken together.

    The preamble leaves with the first group. Whatever is raised becomes the last frame, which
    `failed` returns.
    """
    try:
        data = writer.preamble()
        for group in groups:
            for batch in group:
                data += writer.write(batch)
            if data:
                yield data
                data = b""
            if writer.ended:
                return
        if data:
            yield data
    except Exception as error:
        if failed is None:
            raise
        data = failed(error)
        if data:
            yield data


def derived_id(prefix: str, seed: str, number: int = 0, digits: int = 32) -> str:
    """Return `prefix` and hex digits (at most 64): others for each prefix and number of a seed."""
    return prefix + sha256(f"{seed}/{prefix}{number}".encode()).hexdigest()[:digits]
