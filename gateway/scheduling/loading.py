"""How models are brought into memory: with what their calls will send, and to stay if pinned.

A model that is loaded with other runner options than a call sends is loaded again for that call,
and what it was told about staying is forgotten. So a load sends what the model's override and the
settings say, and every call of a pinned model tells Ollama to keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from sqlalchemy.orm import Session

from gateway.core.catalog import Model
from gateway.core.chat import (
    ChatRequest,
    DecisionRequest,
    EmbedRequest,
    Params,
    Question,
    Sendable,
)
from gateway.errors import CapabilityMissing, InvalidRequest, Message
from gateway.ollama.client import OllamaClient
from gateway.policy.overrides import apply
from gateway.runtime.database import Store
from gateway.scheduling.catalog import Catalog
from gateway.schemas.settings import RuntimeSettings
from gateway.store import catalog
from gateway.store.coordination import versions

FOREVER: Final = -1
USUAL: Final = "5m"
"""How long Ollama keeps a model by itself. It does not tell its OLLAMA_KEEP_ALIVE."""


@dataclass(eq=False)
class Loading:
    """What loads send, and which models are pinned where."""

    store: Store
    known: Catalog
    behaviour: Callable[[], RuntimeSettings]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def params(self, request: Sendable, server_id: int, keep_alive: float | str | None) -> Params:
        """Return what a load of a model on a server sends, when it is done by a `request`."""
        model = self._model(request.model)
        if model is None:
            return Params(keep_alive=keep_alive)
        params = apply.for_loading(
            model.override, self.behaviour(), request, model.context_tokens or 0
        )
        if keep_alive is None and server_id in model.pinned_on:
            keep_alive = FOREVER
        return params if keep_alive is None else replace(params, keep_alive=keep_alive)

    def load(
        self,
        client: OllamaClient,
        name: str,
        keep_alive: float | str | None,
        *,
        window: int = 0,
    ) -> None:
        """Bring a model into memory, with a `window` of so many tokens if one is named; returns
        when it is there."""

        def params_of(request: Sendable) -> Params:
            params = self.params(request, client.server.id, keep_alive)
            if not window:
                return params
            return replace(params, options={**params.options, "num_ctx": window})

        try:
            client.load(name, params_of(ChatRequest(name, ())))
        except CapabilityMissing:  # it does not write: it is loaded by what it does
            model = self._model(name)
            decides = model is not None and model.can("decision")
            request = _decision(name) if decides else EmbedRequest(name, ("",))
            client.ask_whole(replace(request, params=params_of(request)), name)

    def release(self, client: OllamaClient, name: str) -> None:
        """Have a model that stays in memory leave it after its usual time again. One that is not in
        memory, or not there to stay, is left alone.

        Ollama goes by the last `keep_alive` it was given, so it is given another one by a load with
        the window that the model has: that loads nothing. Raises InvalidRequest where the model's
        override keeps it.
        """
        names = self._names_of_runner(name)
        loaded = next((one for one in client.ps() if one.name in names), None)
        if loaded is None or not loaded.stays_loaded:
            return
        override = self.params(ChatRequest(name, ()), client.server.id, None).keep_alive
        keep_alive = USUAL if override is None else override
        if str(keep_alive).startswith("-"):
            words = Message("Its parameters keep it in memory: change keep_alive there.")
            raise InvalidRequest(words, param="keep_alive")
        self.load(client, name, keep_alive, window=loaded.context_tokens)

    def _names_of_runner(self, name: str) -> set[str]:
        """Return the names under which Ollama may list a model's runner."""
        model = self._model(name)
        if model is None or not model.weights:
            return {name}
        return {one.name for one in self.known.models() if one.weights == model.weights}

    def _model(self, name: str) -> Model | None:
        return next((one for one in self.known.models() if one.name == name), None)

    def pin(self, name: str, server_ids: Sequence[int], pinned: bool) -> None:
        """Remember that a model stays in the memory of servers, or no longer."""

        def change(session: Session) -> None:
            catalog.set_pinned(session, name, server_ids, pinned)
            versions.bump(session, "models")

        if server_ids:
            self.store.write(change)
            self.known.reload()


def _decision(name: str) -> DecisionRequest:
    """Return the least that can be asked."""
    return DecisionRequest(name, "?", {"loads": Question("noul", "?")})


def kept(params: Params, model: Model, server_id: int) -> Params:
    """Return the parameters of a call for a server, with the word to keep a pinned model there."""
    if server_id not in model.pinned_on:
        return params
    return replace(params, keep_alive=FOREVER)
