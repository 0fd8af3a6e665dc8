"""What every generating dialect offers. A module is a dialect: no base class, no registration
object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.behaviour import Behaviour
from gateway.core.chat import Call, Envelope, Json
from gateway.core.events import Batch, Reply
from gateway.errors import GatewayError


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

    def stream(self, batches: Iterable[Batch], envelope: Envelope) -> Iterator[bytes]:
        """Give the answer as server-sent events: one bytes object per batch, opening events
        before the first batch.

        A `Failed` event is written, never raised. The iterator holds nothing that must be released.
        """
        ...

    def error(self, error: GatewayError, request_id: str) -> Json:
        """Give the error body in this dialect."""
        ...
