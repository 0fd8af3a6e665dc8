"""The calls of an application, made with the rights of a key.

They are made in this process, as those of the playground are: only the digest of a key is stored,
so no HTTP request could carry its secret. Each call is parsed, admitted, run, recorded and written
by the dialect of the application, exactly as its own would be; only the socket is left out.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from flask import request

from gateway.admin.connect.lines import Line
from gateway.admin.playground.run import reading
from gateway.admin.usage.advice import advice
from gateway.calls.active_call import ActiveCall
from gateway.calls.produce import produce
from gateway.calls.records import Caller
from gateway.calls.whole import embed
from gateway.core.catalog import Model
from gateway.core.chat import Json
from gateway.core.events import Event, TextDelta, ThinkingDelta, ToolCallDone, fold
from gateway.dialects import DIALECTS, EMBEDDING_DIALECTS, LOAD
from gateway.dialects.base import Dialect, Endpoint
from gateway.dialects.models import MODELS
from gateway.dialects.native.generate import API_GENERATE
from gateway.dialects.native.models import SHOW, TAGS
from gateway.errors import GatewayError, InvalidRequest, Message
from gateway.policy import access
from gateway.policy.clients import calls
from gateway.policy.clients.kit import OLLAMA, Client
from gateway.scheduling.servers import described
from gateway.schemas.key import Key
from gateway.web.context import Services
from gateway.web.template_filters import duration, num
from gateway.web.words import _, _l, ngettext, translated

_APPLICATION: Final = "connect test"
_BROKEN: Final = 500
"""Errors from this status on are not the application's: what follows would fail as well."""
_DIALECTS: Final = {dialect.name: dialect for dialect in DIALECTS}
_EMBEDDINGS: Final = {dialect.name: dialect for dialect in EMBEDDING_DIALECTS}
_WORDS: Final = {
    "models": _l("Lists models"),
    "show": _l("Reads about the model"),
    "load": _l("Loads the model"),
    "whole": _l("Answers in one piece"),
    "stream": _l("Streams"),
    "tools": _l("Calls a tool"),
    "count": _l("Counts tokens"),
    "embed": _l("Makes embeddings"),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """An application with a key and a model."""

    parts: Services
    key: Key
    client: Client
    model: Model

    def lines(self) -> list[Line]:
        """Make the calls one after another; return how each went. After one that failed for a
        reason of the servers' or the gateway's the others are not tried."""
        found: list[Line] = []
        is_broken = False
        for step in self.client.steps:
            what = str(_WORDS[step])
            if is_broken:
                found.append(Line(what, _("Not tried, as the step before failed."), None))
                continue
            try:
                found.append(Line(what, _STEPS[step](self), True))
            except GatewayError as error:
                is_broken = error.status >= _BROKEN
                found.append(self._failed(what, error))
        return found

    # -- the steps: each returns what is said when it worked ---------------------------------

    def models(self) -> str:
        """Look at the list of models."""
        endpoint = TAGS if self.client.dialect == OLLAMA else MODELS
        access.check_scope(self.key, endpoint.scope, endpoint.label)
        listed = access.visible(self.key, self.parts.catalog.index().models)
        if self.model.id not in {one.id for one in listed}:
            words = Message("The list lacks %(model)s.", model=self.model.display_name)
            raise InvalidRequest(words, code="model_access_denied")
        return ngettext("yes, %(num)d model", "yes, %(num)d models", len(listed))

    def show(self) -> str:
        """Read the model's description, as Ollama's clients do."""
        access.check_scope(self.key, SHOW.scope, SHOW.label)
        model = self.parts.catalog.resolve(self.model.display_name, self.key).model
        described(self.parts.scheduler.servers, model)
        return _("yes")

    def load(self) -> str:
        """Load the model by an empty prompt."""
        self._answer(API_GENERATE, {"model": self.model.display_name})
        return _("yes")

    def whole(self) -> str:
        """Get an answer in one piece."""
        return self._hello(stream=False)[1]

    def stream(self) -> str:
        """Get a streamed answer."""
        first, _words = self._hello(stream=True)
        return _("yes, first token after %(time)s", time=duration(first))

    def tools(self) -> str:
        """Have a tool called, and bring its result."""
        dialect, name = self._dialect(), self.model.display_name
        events, _first = self._answer(dialect, calls.with_tool(dialect.name, name))
        call = next((event for event in events if isinstance(event, ToolCallDone)), None)
        if call is None:
            words = Message("%(model)s answered without calling the tool.", model=name)
            raise InvalidRequest(words, code="tools_not_supported")
        call = replace(call, id=call.id or "call_1")
        self._answer(dialect, calls.with_result(dialect.name, name, call))
        return _("yes, and takes its result")

    def count(self) -> str:
        """Have the tokens of a prompt counted."""
        dialect = self._dialect()
        access.check_scope(self.key, dialect.scope, dialect.label)
        body = calls.hello(dialect.name, self.model.display_name, stream=True)
        call = dialect.parse(body, reading(self.parts))
        tokens = self.parts.calls.preparer.measure_prompt(call, self.key)
        return _("yes, %(count)s tokens", count=num(tokens))

    def embed(self) -> str:
        """Have a text turned into a vector, by a model that can."""
        dialect = _EMBEDDINGS["api_embed" if self.client.dialect == OLLAMA else "embeddings"]
        visible = access.visible(self.key, self.parts.catalog.index().models)
        model = next((one for one in visible if one.can("embedding")), None)
        if model is None:
            raise InvalidRequest(
                Message("This key may use no model for embeddings: pull nomic-embed-text.")
            )
        body = calls.text_to_embed(model.display_name)
        caller = self._caller(dialect)
        try:
            access.check_scope(self.key, dialect.scope, dialect.label)
            asked = dialect.parse(body, reading(self.parts))
            prepared, effective = self.parts.calls.preparer.prepare_embedding(asked, self.key)
        except GatewayError as error:
            self.parts.calls.records.reject(self.key, caller, model.display_name, error)
            raise
        with ActiveCall(self.parts.calls, prepared, caller, body) as active:
            dialect.render(embed(active, effective), asked)
        return _("yes, by %(model)s", model=model.display_name)

    # -- how they are made -------------------------------------------------------------------

    def _hello(self, *, stream: bool) -> tuple[float | None, str]:
        """Return the milliseconds to the first token of a plain answer, and that it worked."""
        dialect = self._dialect()
        body = calls.hello(dialect.name, self.model.display_name, stream=stream)
        events, first_ms = self._answer(dialect, body)
        if not any(isinstance(event, TextDelta | ThinkingDelta) for event in events):
            raise InvalidRequest(
                Message("%(model)s answered nothing.", model=self.model.display_name)
            )
        return first_ms, _("yes")

    def _answer(self, dialect: Dialect, body: dict[str, Json]) -> tuple[list[Event], float | None]:
        """Make a call and write its answer as its client would get it; return the events, and the
        milliseconds to the first token."""
        parts, caller = self.parts, self._caller(dialect)
        try:
            access.check_scope(self.key, dialect.scope, dialect.label)
            call = dialect.parse(body, reading(parts))
            if call.loads:
                access.check_scope(self.key, LOAD, "requests without a prompt, which only load")
            prepared = parts.calls.preparer.prepare(call, self.key)
        except GatewayError as error:
            parts.calls.records.reject(self.key, caller, self.model.display_name, error)
            raise
        with ActiveCall(parts.calls, prepared, caller, body) as active:
            choices = prepared.request.choices
            active.start(partial(produce, active), choices)
            batches = list(active.batches())
            if call.stream:
                writer = dialect.writer(active.envelope())
                for batch in batches:
                    writer.write(batch)
            else:
                dialect.render(fold(batches, choices), active.envelope())
        stats = active.stats
        first_s = None if stats.first_token_s is None else stats.first_token_s - stats.started_s
        events = [event for _choice, events in batches for event in events]
        return events, None if first_s is None else first_s * 1000

    def _dialect(self) -> Dialect:
        return _DIALECTS[self.client.dialect]

    def _caller(self, endpoint: Endpoint) -> Caller:
        return Caller(
            request_id="req_" + secrets.token_hex(16),
            endpoint=endpoint.name,
            address=request.remote_addr or "",
            application=_APPLICATION,
            sock=request.environ.get("gunicorn.socket"),
            form=endpoint.vendor.name,
        )

    def _failed(self, what: str, error: GatewayError) -> Line:
        words = translated(error.message)
        helps = advice(
            error.code,
            key=(self.key.id, self.key.name),
            model=(self.model.id, self.model.display_name),
        )
        if helps is None:
            return Line(what, words, False)
        advised, name, url = helps
        return Line(what, f"{words} {advised}", False, (name, url))


_STEPS: Final[Mapping[str, Callable[[Trial], str]]] = {
    "models": Trial.models,
    "show": Trial.show,
    "load": Trial.load,
    "whole": Trial.whole,
    "stream": Trial.stream,
    "tools": Trial.tools,
    "count": Trial.count,
    "embed": Trial.embed,
}
