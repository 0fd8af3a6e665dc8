"""What is kept of a response, and how it is shown again (docs/contract/responses.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.core.chat import Envelope, Json
from gateway.dialects.base import derived_id
from gateway.dialects.responses.object import echo_of
from gateway.dialects.shared.reading import Fields, invalid, unsupported
from gateway.errors import InvalidRequest, NotFound

LONGEST_ID = 96
PAGE = 20
LONGEST_PAGE = 100
_PREFIXES = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """A response with everything that recalling it needs. Every item has an id."""

    id: str
    previous_id: str | None
    model: str
    status: str
    created: int
    response: Json
    input_items: tuple[Json, ...]
    output_items: tuple[Json, ...]


def to_keep(envelope: Envelope, response: Json) -> Kept | None:
    """Return what to store of a finished, failed or abandoned response; None: nothing shall be."""
    echo = echo_of(envelope)
    if not echo.store:
        return None
    return Kept(
        id=response["id"],
        previous_id=echo.previous_id,
        model=response["model"],
        status=response["status"],
        created=response["created_at"],
        response=response,
        input_items=tuple(
            _with_id(item, envelope.seed, number) for number, item in enumerate(echo.input_items)
        ),
        output_items=tuple(response["output"]),
    )


def _with_id(item: Mapping[str, Json], seed: str, number: int) -> Json:
    given = item.get("id")
    if isinstance(given, str) and 0 < len(given) <= LONGEST_ID:
        return dict(item)
    prefix = _PREFIXES.get(item["type"], "item_")
    # `in/` keeps these apart from the ids of the output, drawn from the same seed.
    return {**item, "id": derived_id(prefix, f"in/{seed}", number)}


def items_page(items: Sequence[Json], query: Mapping[str, str]) -> Json:
    """Return a page of input items, oldest first in `items`; newest first unless asked otherwise.

    `query` are the parameters `limit`, `order`, `after`. Raises InvalidRequest.
    """
    asked = Fields(query)
    limit = asked.integer("limit", 1, LONGEST_PAGE) or PAGE
    order = asked.word("order", ("asc", "desc")) or "desc"
    rest = list(items) if order == "asc" else list(reversed(items))
    after = asked.text("after")
    if after:
        ids = [item["id"] for item in rest]
        if after not in ids:
            raise invalid("No item of this response has the id in 'after'.", "after")
        rest = rest[ids.index(after) + 1 :]
    page = rest[:limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(rest) > len(page),
    }


def check_retrieval(query: Mapping[str, str]) -> None:
    """Raise InvalidRequest when a stored response is asked for as a stream."""
    if Fields(query).flag("stream"):
        raise unsupported("stream", "a stored response is given whole.")


def deletion(response_id: str) -> Json:
    """Return the answer to a deletion."""
    return {"id": response_id, "object": "response", "deleted": True}


def not_found(response_id: str) -> NotFound:
    """Return the error for an id nobody stored, or another key did."""
    return NotFound(
        f"No response with the id {response_id[:LONGEST_ID]!r} was found.",
        code="response_not_found",
    )


def cancellation_refused() -> InvalidRequest:
    """Return the error for an attempt to cancel: nothing runs in the background."""
    return invalid(
        "Only background responses can be cancelled, and there are none.",
        "response_id",
        "unsupported_operation",
    )


def input_tokens(tokens: int) -> Json:
    """Return the answer of `/v1/responses/input_tokens`."""
    return {"object": "response.input_tokens", "input_tokens": tokens}
