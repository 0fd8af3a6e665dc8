"""Embeddings on their way through: admission, limits and records as for a generated answer, but one
body back."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType

from gateway.calls.holds import limits, patience_s
from gateway.calls.prepare import Prepared
from gateway.calls.retries import Retries
from gateway.calls.stats import Tally
from gateway.core.behaviour import Behaviour
from gateway.core.chat import Embeddings, EmbedRequest
from gateway.core.events import Finish, Usage
from gateway.errors import ClientGone, GatewayError
from gateway.ollama import wire
from gateway.ollama.client import Upstream
from gateway.scheduling.loading import kept
from gateway.scheduling.scheduler import Scheduler
from gateway.scheduling.tickets import Slot, Ticket


class EmbedAnswer:
    """One embedding call. A context manager; `cancel` may come from anywhere."""

    def __init__(
        self, prepared: Prepared, tally: Tally, scheduler: Scheduler, behaviour: Behaviour
    ) -> None:
        self.prepared = prepared
        self.tally = tally
        self._scheduler = scheduler
        self._behaviour = behaviour
        self._stop: GatewayError | None = None
        self._wake: Callable[[], None] | None = None

    def __enter__(self) -> EmbedAnswer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop = self._stop or ClientGone("the call is over")

    @property
    def stopped(self) -> GatewayError | None:
        """Why the call was ended from outside, if it was."""
        return self._stop

    def cancel(self, error: GatewayError) -> None:
        """End the call; `error` says why."""
        self._stop = self._stop or error
        if self._wake is not None:
            self._wake()

    def bound(self, tokens: int) -> None:
        """Vectors have no length to bound; a budget is settled with what the texts took."""

    def vectors(self, request: EmbedRequest) -> Embeddings:
        """Return the vectors, from another server when the first could not begin (D50).

        Raises the error of the last try, unless that only says that nobody else is left.
        """
        retries = Retries(patience_s(self.prepared, self._behaviour))
        while True:
            try:
                return self._once(request, retries.excluded)
            except GatewayError as error:
                failed = self._stop or retries.after(error, self.tally.server_id)
                if failed is error:
                    raise  # with the cause it has
                if failed is not None:
                    raise failed from error
            time.sleep(retries.pause_s)

    def _once(self, request: EmbedRequest, excluded: frozenset[int]) -> Embeddings:
        prepared = self.prepared
        ticket = self._scheduler.ticket(
            prepared.model,
            prepared.key,
            num_ctx=request.params.options.get("num_ctx"),
            exclude=excluded,
        )
        slot = self._wait(ticket)
        self.tally.note(slot)
        if prepared.may_be_pinned:
            request = replace(request, params=kept(request.params, prepared.model, slot.server.id))
        upstream = slot.client.call(
            "/api/embed",
            wire.encode_embed(request, prepared.model.name),
            **limits(prepared, self._behaviour),
        )
        try:
            found = self._read(upstream)
        except GatewayError as error:
            slot.report(self._stop or error)
            raise
        else:
            slot.report(None)
        finally:
            upstream.close()
            slot.release()
        usage = Usage(found.prompt_tokens, total_ns=found.total_ns, load_ns=found.load_ns)
        self.tally.see((Finish("stop", usage),))
        return found

    def _wait(self, ticket: Ticket) -> Slot:
        self._wake = ticket.cancel
        try:
            while True:
                if self._stop is not None:
                    raise self._stop
                slot = ticket.wait(60.0)
                if slot is not None:
                    return slot
        except GatewayError:
            with suppress(GatewayError):
                ticket.cancel()
            raise
        finally:
            self._wake = None

    def _read(self, upstream: Upstream) -> Embeddings:
        self._wake = upstream.cancel
        try:
            if self._stop is not None:
                raise self._stop
            upstream.open()
            return wire.decode_embeddings(upstream.read())
        finally:
            self._wake = None
