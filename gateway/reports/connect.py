"""How the holder of a key connects: with which model and which clients, and what to mind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gateway.core.catalog import Model
from gateway.errors import Message
from gateway.policy import access, roles
from gateway.policy.clients.endpoints import endpoint_snippets
from gateway.policy.clients.kit import KIT
from gateway.policy.clients.snippets import USUAL_WINDOW, Snippet, is_local, snippets
from gateway.reports.examples import FALLBACK
from gateway.reports.model_state import is_down
from gateway.schemas.key import Key
from gateway.schemas.server import ServerView

_TEXT_SCOPES: Final = ("chat", "messages", "responses", "completions")
_USUAL_EMBEDDER: Final = "nomic-embed-text"
Place: TypeAlias = Literal["", "parameters", "public_url"]


@dataclass(frozen=True, slots=True)
class Hint:
    """What to mind with a model or address; `place` is where it is put right, "" nowhere."""

    message: Message
    place: Place = ""


@dataclass(frozen=True, slots=True)
class Connection:
    """Ready pieces for the clients that a key's endpoints allow, for one of the models it may use.

    `model` is None, and the pieces name one that is often there, while there is no model. `choices`
    are the models there are pieces for, the best one first.
    """

    model: Model | None
    choices: tuple[Model, ...]
    pieces: tuple[Snippet, ...]
    hints: tuple[Hint, ...]


def connection(
    key: Key,
    secret: str,
    base: str,
    models: Iterable[Model],
    views: Sequence[ServerView],
    chosen: str = "",
) -> Connection:
    """Return how a key is used at the address `base`, with the model of the display name `chosen`
    where the key may use it, else with the one that suits most clients."""
    usable = [model for model in access.visible(key, models) if _is_of_use(key, model)]
    choices = sorted(usable, key=lambda model: _rank(model, views))
    model = next((one for one in choices if one.display_name == chosen), None)
    model = model or next(iter(choices), None)
    return Connection(
        model, tuple(choices), _pieces(key, secret, base, model, views), _hints(base, model, views)
    )


def window_of(model: Model, views: Sequence[ServerView]) -> int:
    """Return the tokens of the context window that calls of a model may get; 0: not known."""
    loaded = (view.loaded.get(model.name) for view in views)
    return model.window(max((one.context_tokens for one in loaded if one), default=0))


def _is_of_use(key: Key, model: Model) -> bool:
    """Whether there are pieces for a model that the endpoints of a key allow."""
    if "embeddings" in key.scopes and model.can("embedding"):
        return True
    may_ask = any(scope in key.scopes for scope in _TEXT_SCOPES)
    return may_ask and model.can("completion") is not False


def _only_embeds(model: Model) -> bool:
    return model.can("completion") is False and model.can("embedding") is True


def _rank(model: Model, views: Sequence[ServerView]) -> tuple[object, ...]:
    """Return where a model stands among those to begin with: what answers, can call tools, holds a
    long conversation and is loaded goes first; what only embeds goes last."""
    return (
        _only_embeds(model),
        is_down(model, views),
        model.remote,
        model.can("tools") is False,
        window_of(model, views) < min(USUAL_WINDOW, model.context_tokens or USUAL_WINDOW),
        not any(model.name in view.loaded for view in views),
        model.display_name,
    )


def _pieces(
    key: Key, secret: str, base: str, model: Model | None, views: Sequence[ServerView]
) -> tuple[Snippet, ...]:
    """Return the pieces for a model, or for one that is often there."""
    window = 0 if model is None else window_of(model, views)
    first = _first_scope(key, model)
    usual = _USUAL_EMBEDDER if first == "embeddings" else FALLBACK
    name = usual if model is None else model.display_name
    if first in ("embeddings", "models", ""):
        return endpoint_snippets(first, secret, name, base) if first else ()
    fitting = tuple(
        one
        for one in snippets(secret, name, base, window, roles.answered(key))
        if KIT[one.id].scope in key.scopes
    )
    return (*endpoint_snippets(first, secret, name, base), *fitting)


def _first_scope(key: Key, model: Model | None) -> str:
    """Return the endpoint that clients of a key use with a model; "" where there are no pieces."""
    scopes = [scope for scope in _TEXT_SCOPES if scope in key.scopes]
    if model is not None and _only_embeds(model):
        scopes = []
    rest = [scope for scope in ("embeddings", "models") if scope in key.scopes]
    return next(iter((*scopes, *rest)), "")


def _hints(base: str, model: Model | None, views: Sequence[ServerView]) -> tuple[Hint, ...]:
    found = []
    if model is not None and not _only_embeds(model):
        name, window = model.display_name, window_of(model, views)
        wanted = min(USUAL_WINDOW, model.context_tokens or USUAL_WINDOW)
        if model.can("tools") is False:
            found.append(
                Hint(Message("%(model)s cannot call tools: agents need that.", model=name))
            )
        if 0 < window < wanted:
            words = Message(
                "The window of %(model)s is %(window)s tokens, little for an agent: set num_ctx "
                "%(wanted)s.",
                model=name,
                window=f"{window:,}",
                wanted=wanted,
            )
            found.append(Hint(words, "parameters"))
    if is_local(base):
        words = Message("This address works on this machine only: set the public address.")
        found.append(Hint(words, "public_url"))
    return tuple(found)
