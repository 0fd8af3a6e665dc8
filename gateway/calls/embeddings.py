"""Embeddings: admission, servers, limits and records as for a generated answer, but one body
back."""

from __future__ import annotations

from dataclasses import replace

from gateway.calls import attempts
from gateway.calls.active_call import ActiveCall
from gateway.calls.attempts import Attempt
from gateway.calls.explanation import Sent
from gateway.core.chat import Embeddings, EmbedRequest
from gateway.core.events import Finish, Usage
from gateway.ollama import wire
from gateway.runtime.tasks import run_for
from gateway.scheduling.loading import kept
from gateway.scheduling.tickets import Slot


def embed(active: ActiveCall, request: EmbedRequest) -> Embeddings:
    """Return the vectors, from another server when the first could not begin (D50)."""
    vectors: list[Embeddings] = []

    def produce(choice: int) -> None:
        num_ctx = request.params.options.get("num_ctx")
        found = attempts.run(active, active.prepared, num_ctx, ask)
        vectors.append(found)
        usage = Usage(found.prompt_tokens, total_ns=found.total_ns, load_ns=found.load_ns)
        active.put(choice, (Finish("stop", usage),))

    def ask(attempt: Attempt, slot: Slot) -> Embeddings:
        effective, prepared = request, active.prepared
        if prepared.may_be_pinned:
            params = kept(request.params, prepared.model, slot.server.id)
            effective = replace(request, params=params)
        active.stats.on_sent(slot, Sent(prepared, effective))
        body = prepared.run(wire.encode, effective, prepared.model.name)
        with slot.client.post(wire.path_of(effective), body) as upstream:
            answer = upstream.read()
            return run_for(len(answer))(wire.decode_embeddings, answer)

    active.start(produce)
    for _ in active.batches():
        pass
    return vectors[0]
