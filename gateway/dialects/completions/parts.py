"""What a whole and a streamed text completion have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.chat import CompletionRequest, Envelope, Json
from gateway.core.events import TokenLogprob
from gateway.dialects.shared.openai import COMPLETION_ID, FINGERPRINT, answer_id


@dataclass(frozen=True, slots=True)
class Shown:
    """What only the answer needs: whether the prompt is put before the text."""

    echo: bool = False


def request_of(envelope: Envelope) -> CompletionRequest:
    """Return the request of a completion."""
    request = envelope.call.request
    assert isinstance(request, CompletionRequest)
    return request


def head(envelope: Envelope) -> dict[str, Json]:
    """Return what the answer and each of its chunks begin with."""
    return {
        "id": answer_id(COMPLETION_ID, envelope),
        "object": "text_completion",
        "created": envelope.created,
        "model": envelope.call.model,
        "system_fingerprint": FINGERPRINT,
    }


def echoed(envelope: Envelope, choice: int) -> str:
    """Return the prompt of a choice where the caller wants it back, else nothing."""
    extra = envelope.call.extra
    if not (isinstance(extra, Shown) and extra.echo):
        return ""
    request = request_of(envelope)
    return request.prompts[choice // request.n]


def logprob_lists(tokens: Sequence[TokenLogprob], offset: int) -> Json:
    """Return the four parallel lists; `offset` is where the first token stands in the text."""
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.token)
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{top.token: top.logprob for top in token.top} for token in tokens],
        "text_offset": offsets,
    }
