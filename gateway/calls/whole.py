"""Embeddings and decisions: admission, servers, limits and records as for a generated answer, but
one body back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final, TypeVar

from gateway.calls import attempts
from gateway.calls.active_call import ActiveCall
from gateway.calls.attempts import Attempt
from gateway.calls.explanation import Sent
from gateway.core.chat import DecisionRequest, Decisions, Embeddings, EmbedRequest
from gateway.core.events import Finish, Usage
from gateway.ollama import faults, whole, wire
from gateway.policy.emulation import capability
from gateway.runtime.tasks import run_for
from gateway.scheduling.loading import kept
from gateway.scheduling.tickets import Slot

R = TypeVar("R", EmbedRequest, DecisionRequest)
T = TypeVar("T")

QUESTIONS_A_CALL: Final = 64
"""What Ollama answers at once; more are asked one part after another."""


def embed(active: ActiveCall, request: EmbedRequest) -> Embeddings:
    """Return the vectors, from another server when the first could not begin (D50)."""
    vectors: list[Embeddings] = []

    def produce(choice: int) -> None:
        found = _ask(active, request, whole.decode_embeddings)
        vectors.append(found)
        usage = Usage(found.prompt_tokens, total_ns=found.total_ns, load_ns=found.load_ns)
        active.put(choice, (Finish("stop", usage),))

    _run(active, produce)
    return vectors[0]


def decide(active: ActiveCall, request: DecisionRequest) -> Decisions:
    """Return the answers, in the order of the questions. A part that could not begin on one server
    is asked on another (D50), but on none that is too old. Raises CapabilityMissing when all
    are."""
    parts: list[Decisions] = []

    def produce(choice: int) -> None:
        unfit = _too_old(active)
        for part in _parts(request):
            decode = partial(whole.decode_decisions, questions=part.questions)
            parts.append(_ask(active, part, decode, unfit))
        usage = [Usage(part.prompt_tokens, part.completion_tokens) for part in parts]
        active.put(choice, (Finish("stop", sum(usage, Usage())),))

    _run(active, produce)
    return Decisions(
        answers={name: answer for part in parts for name, answer in part.answers.items()},
        prompt_tokens=sum(part.prompt_tokens for part in parts),
        completion_tokens=sum(part.completion_tokens for part in parts),
    )


def _run(active: ActiveCall, produce: Callable[[int], None]) -> None:
    active.start(produce)
    for _ in active.batches():
        pass


def _ask(
    active: ActiveCall,
    request: R,
    decode: Callable[[bytes], T],
    unfit: frozenset[int] = frozenset(),
) -> T:
    """Return what the first server that does not fail answers with."""

    def ask(attempt: Attempt, slot: Slot) -> T:
        effective, prepared = request, active.prepared
        if prepared.may_be_pinned:
            params = kept(request.params, prepared.model, slot.server.id)
            effective = replace(request, params=params)
        active.stats.on_sent(slot, Sent(prepared, effective))
        body = prepared.run(wire.encode, effective, prepared.model.name)
        with slot.client.post(wire.path_of(effective), body) as upstream:
            answer = upstream.read()
            return run_for(len(answer))(decode, answer)

    num_ctx = request.params.options.get("num_ctx")
    return attempts.run(active, active.prepared, num_ctx, ask, unfit)


def _too_old(active: ActiveCall) -> frozenset[int]:
    """Return the servers that do not know decisions. Raises CapabilityMissing for all of them."""
    servers = active.parts.scheduler.servers
    found = frozenset(
        server_id
        for server_id in active.prepared.model.server_ids
        if server_id in servers and not capability.knows_decisions(servers[server_id].version)
    )
    if found and found.issuperset(active.prepared.model.server_ids):
        raise faults.too_old_for_decisions()
    return found


def _parts(request: DecisionRequest) -> Iterator[DecisionRequest]:
    questions = iter(request.questions.items())
    while part := dict(islice(questions, QUESTIONS_A_CALL)):
        yield replace(request, questions=part)
