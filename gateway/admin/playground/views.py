"""The page of the playground, empty or with a call to repeat; the rest happens in the browser."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import render_template, request
from flask_login import current_user

from gateway.admin import bp
from gateway.admin.keys.presenters import example
from gateway.admin.playground import choices, repeat
from gateway.admin.playground.run import reading
from gateway.errors import GatewayError, NotFound
from gateway.store.usage import request_queries
from gateway.web.context import services
from gateway.web.words import _, translated


@bp.get("/playground")
def playground() -> str:
    """Show the page, for the key and the model that the address names."""
    start, key_id, trouble = _start(request.args.get("repeat", "")[:64])
    wanted = request.args.get("model", "") or start.model
    asked_id = request.args.get("key", 0, int) or key_id or 0
    keys = choices.working_keys(datetime.now(UTC), asked_id)
    key = next((one for one in keys if one.id == asked_id), None)
    key = key or choices.likely_key(keys, wanted)
    models = choices.models_of(key) if key else []
    names = [choice.name for choice in models]
    if wanted and key and wanted not in names and not trouble:
        trouble = _("The key “%(key)s” may not use %(model)s.", key=key.name, model=wanted)
    return render_template(
        "admin/playground/index.html",
        keys=[(one.id, f"{one.name} ({one.prefix}…{one.last4})") for one in keys],
        models=models,
        has_models=choices.has_models(),
        chosen=next((name for name in (wanted, example(key)) if name in names), ""),
        second="",
        chosen_key=key.id if key else 0,
        start=start,
        trouble=trouble,
    )


@bp.get("/playground/models")
def playground_models() -> str:
    """Return the models that a key may use as a piece of the page, those of the address chosen."""
    key = services().keys.get(request.args.get("key", 0, int))
    return render_template(
        "admin/playground/models.html",
        models=choices.models_of(key),
        chosen=request.args.get("model", ""),
        second=request.args.get("second", ""),
    )


def _start(request_id: str) -> tuple[repeat.Start, int | None, str]:
    """Return what the page begins with, the key of the call it repeats, and why it cannot."""
    if not request_id:
        return repeat.Start(), None, ""
    if current_user.role == "viewer":
        return repeat.Start(), None, _("Your account may only look: it cannot repeat requests.")
    try:
        call = services().store.read(request_queries.detail, request_id)
        return repeat.start_of(call, reading(services())), call.row.key_id, ""
    except NotFound:
        words = _("The request %(id)s does not exist, or was removed.", id=request_id)
    except GatewayError as error:
        words = translated(error.message)
    return repeat.Start(), None, words
