"""`GET /v1/models`: one object that OpenAI's and Anthropic's SDKs both understand (D7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

from gateway.core import readers
from gateway.core.catalog import Model
from gateway.core.chat import Json
from gateway.dialects.base import Endpoint
from gateway.dialects.shared.openai import OPENAI
from gateway.dialects.shared.reading import checked, invalid

MAX_LIMIT = 1000
NOTHING_LOADED: Mapping[str, int] = MappingProxyType({})
_UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)


def render_model(model: Model, loaded_tokens: int = 0) -> Json:
    """Return one model, which is loaded with a window of `loaded_tokens` (0: it is not, or nobody
    knows). What is unknown of it is left out."""
    modified_at = (model.modified_at or _UNKNOWN_TIME).astimezone(UTC)
    rendered: dict[str, Json] = {
        "id": model.display_name,
        "object": "model",
        "created": int(modified_at.timestamp()),
        "owned_by": "ollama",
        "permission": [],
        "root": model.display_name,
        "parent": None,
        "type": "model",
        "display_name": model.display_name,
        "created_at": modified_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
    }
    longest, window = model.window(), model.window(loaded_tokens)
    if longest:
        rendered["context_length"] = rendered["max_model_len"] = longest
    if window:
        rendered["max_input_tokens"] = window
        rendered["max_tokens"] = min(model.override.get("max_tokens_cap") or window, window)
    if model.capabilities is not None:
        rendered["capabilities"] = sorted(model.capabilities)
    return rendered


def render_list(
    models: Iterable[Model],
    loaded: Mapping[str, int] = NOTHING_LOADED,
    limit: int | str | None = None,
    after_id: str | None = None,
    before_id: str | None = None,
) -> Json:
    """Return the models a caller may use, by display name; all of them without `limit`. `loaded`
    are the windows of those in memory, by name.

    `after_id` and `before_id` are cursors: the page after, or before, that model. Raises
    InvalidRequest for a limit that is none of 1 to 1000 and a cursor nobody has.
    """
    most = None if limit in (None, "") else checked(readers.integer, limit, "limit", 1, MAX_LIMIT)
    ordered = sorted(models, key=lambda model: (model.display_name.casefold(), model.display_name))
    page, has_more = _page(ordered, most, after_id or None, before_id or None)
    return {
        "object": "list",
        "data": [render_model(model, loaded.get(model.name, 0)) for model in page],
        "has_more": has_more,
        "first_id": page[0].display_name if page else None,
        "last_id": page[-1].display_name if page else None,
    }


def _page(
    models: Sequence[Model], limit: int | None, after_id: str | None, before_id: str | None
) -> tuple[Sequence[Model], bool]:
    """Return one page, and whether there is more in the direction of reading."""
    if before_id is not None:
        rest = models[: _position(models, before_id, "before_id")]
        most = len(rest) if limit is None else limit
        return rest[max(0, len(rest) - most) :], len(rest) > most
    start = 0 if after_id is None else _position(models, after_id, "after_id") + 1
    rest = models[start:]
    most = len(rest) if limit is None else limit
    return rest[:most], len(rest) > most


def _position(models: Sequence[Model], cursor: str, param: str) -> int:
    for index, model in enumerate(models):
        if model.display_name == cursor:
            return index
    raise invalid(f"{param!r} names no model of this list.", param)


MODELS = Endpoint(
    "models", "the list of models", OPENAI, ("/v1/models", "/models", "/anthropic/v1/models")
)
