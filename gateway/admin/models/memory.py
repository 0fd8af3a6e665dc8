"""What a model needs in memory, in words: for a window, and before a pull."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Response, jsonify, request

from gateway.admin import bp
from gateway.core.catalog import Model
from gateway.errors import NotFound
from gateway.reports.memory_need import USUAL_WINDOW, Fit, need
from gateway.reports.pull_size import PullSize
from gateway.web.context import services
from gateway.web.template_filters import num, size
from gateway.web.words import _, ngettext

_MOST_SERVERS = 3
_MAX_WINDOW = 10_000_000


@bp.get("/models/<id:model_id>/need.json")
def model_need(model_id: int) -> Response:
    """Return what a model needs with a window, for a field that is being typed in; with Ollama's
    own where there is none in it."""
    num_ctx = request.args.get("num_ctx", 0, int)
    model = services().catalog.model(model_id)
    usual = min(USUAL_WINDOW, model.context_tokens or USUAL_WINDOW)
    return jsonify(words=need_words(model, num_ctx if 0 < num_ctx <= _MAX_WINDOW else usual))


def need_words(model: Model, num_ctx: int = 0) -> str:
    """Return what a model needs with a window, or with the one it would get now (0), and on which
    servers that fits; "" where Ollama has told too little of it."""
    try:
        found = need(services().store, model, services().scheduler.views(), num_ctx)
    except NotFound:
        return ""
    words = [
        _(
            "%(count)s tokens ≈ +%(cache)s, with the model about %(whole)s.",
            count=num(found.num_ctx),
            cache=size(found.estimate.cache_bytes),
            whole=size(found.estimate.total_bytes),
        )
    ]
    if found.slots > 1:
        words.append(
            ngettext("For %(num)d request at once.", "For %(num)d requests at once.", found.slots)
        )
    return " ".join([*words, *_fit_words(found.servers)])


def pull_words(found: PullSize) -> str:
    """Return how large a pull is, and on which servers the model would fit."""
    if found.size_bytes is None:
        return _("Its size is not known. The pull shows it as soon as Ollama tells.")
    words = _("%(size)s to pull; its context window takes more.", size=size(found.size_bytes))
    return " ".join([words, *_fit_words(found.servers)])


def _fit_words(servers: Iterable[Fit]) -> list[str]:
    return [_fit(one) for one in servers if one.total_from != "unknown"][:_MOST_SERVERS]


def _fit(one: Fit) -> str:
    words = {
        True: _("Fits the GPU of %(name)s (%(total)s)."),
        False: _("Too large for the GPU of %(name)s (%(total)s): part of it would run on the CPU."),
        None: _("The GPU of %(name)s has at least %(total)s; whether it fits is not known."),
    }[one.fits]
    return words % {"name": one.server_name, "total": size(one.gpu_bytes)}
