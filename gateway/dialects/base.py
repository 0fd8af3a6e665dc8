"""What every generating dialect offers. A module is a dialect: no base class, no registration
object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from gateway.core.behaviour import Behaviour
from gateway.core.chat import Call, Envelope, Json
from gateway.core.events import Batch, Reply
from gateway.errors import GatewayError

Words: TypeAlias = Callable[[], str | None]
"""Gives the next piece of text where plain text of the only choice goes on, one piece after the
other; None where the next batch has to say what comes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What parsing may need besides the body: the settings in force, and how to recall stored
    responses.

    `recall` gives the stored items (input, then output) of a `previous_response_id`, oldest
    first, following the chain;
    `recall_item` one stored item of this key by id. Both raise InvalidRequest when there is none.
    Only the Responses API calls them. `decode_tokens` gives the text of cl100k_base token ids,
    where the operator switched that on (D26); it raises ValueError or LookupError.
    """

    behaviour: Behaviour
    recall: Callable[[str], Sequence[Mapping[str, Json]]]
    recall_item: Callable[[str], Mapping[str, Json]]
    decode_tokens: Callable[[Sequence[int]], str] | None = None


class Writer(Protocol):
    """Turns the batches of one answer into server-sent events. Holds nothing that must be
    released."""

    over: bool
    """Whether nothing may follow."""

    def open(self) -> bytes:
        """Give what stands before the first batch; b"" where a dialect has no opening."""
        ...

    def feed(self, batch: Batch) -> bytes:
        """Give the frames of one batch, joined; b"" when there is nothing to say. A `Failed` event
        is written, never raised."""
        ...

    def piece(self, text: str) -> bytes:
        """Give the frame of a piece of text that follows a batch which was nothing but text of the
        only choice. No half surrogate pairs: they have no way through Ollama's lines."""
        ...


class Dialect(Protocol):
    """One generating endpoint's language."""

    NAME: str
    """Short name, also the `endpoint` of usage records: chat, completions, responses, messages."""
    MEDIA_TYPE: str
    """Content type of a streamed answer."""

    def parse(self, body: Json, reading: Reading) -> Call:
        """Read a decoded JSON body. Raises InvalidRequest with the dotted path of the bad field
        in `param`."""
        ...

    def render(self, replies: Sequence[Reply], envelope: Envelope) -> Json:
        """Give the whole answer as JSON-ready values."""
        ...

    def writer(self, envelope: Envelope) -> Writer:
        """Give what writes a streamed answer."""
        ...

    def error(self, error: GatewayError, request_id: str) -> Json:
        """Give the error body in this dialect."""
        ...


def frames(
    writer: Writer,
    batches: Iterable[Batch],
    words: Words = lambda: None,
    *,
    opening: bytes | None = None,
    has_begun: bool = False,
    broken: Callable[[Exception], bytes] | None = None,
) -> Iterator[bytes]:
    """Give a streamed answer, one bytes object per batch or piece of text, the opening before them.

    `opening` is what the writer opens with, where that is made already. `has_begun` tells that the
    first batch is there: then the opening leaves with it, one packet, not two. Whatever breaks in
    here becomes the last frame, which `broken` gives. One generator does all this, because it is
    resumed for every token.
    """
    try:
        data = writer.open() if opening is None else opening
        if data and not has_begun:
            yield data
            data = b""
        piece = writer.piece
        for batch in batches:
            data += writer.feed(batch)
            if data:
                yield data
                data = b""
            if writer.over:
                return
            while (text := words()) is not None:
                yield piece(text)
    except Exception as error:
        if broken is None:
            raise
        yield broken(error)
