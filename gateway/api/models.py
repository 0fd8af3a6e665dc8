"""`GET /v1/models`: what this key may call, from memory."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from weakref import WeakKeyDictionary

import orjson
from flask import Response, g, request

from gateway.api import bp
from gateway.api.answers import Complete, as_json
from gateway.api.errors import unknown_path
from gateway.api.hooks import speaks
from gateway.dialects import codex_models
from gateway.dialects import models as openai_models
from gateway.dialects.models import MODELS
from gateway.errors import InvalidRequest
from gateway.policy import access
from gateway.policy.routing import Index
from gateway.schemas.key import Key
from gateway.web.context import services

_LISTS_KEPT = 64
_lists: WeakKeyDictionary[Index, dict[Hashable, bytes]] = WeakKeyDictionary()


@bp.get("/v1/models", strict_slashes=False)
@bp.get("/models", strict_slashes=False)
@bp.get("/anthropic/v1/models", strict_slashes=False)
@speaks(MODELS)
def list_models() -> Response:
    """List the models of the key, in one shape for both SDKs (D7)."""
    access.check_scope(g.key, MODELS.scope, MODELS.label)
    index = services().catalog.index()
    loaded = _loaded()
    if not request.query_string:
        return Complete(_whole_list(index, g.key, loaded), content_type="application/json")
    visible = access.visible(g.key, index.models)
    body = openai_models.render_list(
        visible,
        loaded,
        limit=_limit(request.args.get("limit")),
        after_id=request.args.get("after_id"),
        before_id=request.args.get("before_id"),
    )
    if "client_version" in request.args:
        body["models"] = codex_models.render(visible, loaded)
    return as_json(body)


@bp.get("/v1/models/<path:model_id>", strict_slashes=False)
@bp.get("/models/<path:model_id>", strict_slashes=False)
@bp.get("/anthropic/v1/models/<path:model_id>", strict_slashes=False)
@speaks(MODELS)
def one_model(model_id: str) -> Response:
    """Return one model; names may hold `/` and `:`."""
    access.check_scope(g.key, MODELS.scope, MODELS.label)
    model = services().catalog.resolve(model_id, g.key).model
    return as_json(openai_models.render_model(model, _loaded().get(model.name, 0)))


@bp.delete("/v1/models/<path:model_id>", strict_slashes=False)
@bp.delete("/models/<path:model_id>", strict_slashes=False)
@bp.delete("/anthropic/v1/models/<path:model_id>", strict_slashes=False)
@speaks(MODELS)
def delete_model(model_id: str) -> Response:
    """Refuse: models are managed in the console."""
    raise unknown_path("DELETE", request.path)


def _loaded() -> dict[str, int]:
    """Return the largest window each model in memory is loaded with, by its name."""
    found: dict[str, int] = {}
    for server in services().scheduler.servers.values():
        for name, one in server.loaded.items():
            found[name] = max(one.context_tokens, found.get(name, 0))
    return found


def _whole_list(index: Index, key: Key, loaded: Mapping[str, int]) -> bytes:
    """Return the whole list as JSON, made once for each set of rules as long as the models, and
    what is in memory, stay."""
    rules = (key.allow, key.deny, key.model_ids, frozenset(loaded.items()))
    known = _lists.setdefault(index, {})
    found = known.get(rules)
    if found is None:
        if len(known) >= _LISTS_KEPT:
            known.clear()
        listed = openai_models.render_list(access.visible(key, index.models), loaded)
        found = known[rules] = orjson.dumps(listed)
    return found


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 1000:
        raise InvalidRequest("limit must be a whole number from 1 to 1000.", param="limit")
    return int(text)
