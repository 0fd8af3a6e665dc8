"""From what a caller wrote to what goes upstream: model, permission, overrides, images, checks.

Everything here happens before a call is admitted, needs no slot, and ends in a frozen value or in a
refusal with a status.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from gateway.calls.media import MediaFetcher
from gateway.core.catalog import Alias, Model, Resolved
from gateway.core.chat import (
    EMPTY,
    Call,
    ChatRequest,
    CompletionRequest,
    DecisionRequest,
    EmbedRequest,
    Json,
    Message,
    Request,
)
from gateway.errors import ContextOverflow, GatewayError
from gateway.policy import access, context, conversation, estimate, media
from gateway.policy.emulation import capability
from gateway.policy.estimate import Factors, Size
from gateway.policy.overrides import apply
from gateway.runtime.tasks import Run, run_here
from gateway.scheduling.catalog import Catalog
from gateway.schemas.key import Key
from gateway.schemas.settings import RuntimeSettings

log = logging.getLogger(__name__)
R = TypeVar("R", EmbedRequest, DecisionRequest)

_PREFIX_CHARS = 2_000
_FALLBACK_CODES = frozenset(
    {
        "no_upstream_available",
        "upstream_unreachable",
        "upstream_busy",
        "context_length_exceeded",
        "model_not_found",
    }
)


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """One call, ready to run.

    `model` is the one that answers, `request` is effective: overrides applied, media fetched.
    `estimate` is the prompt in tokens, `size` what it was estimated from, `reservation` the tokens
    a budget must hold. `prefix` stands for the beginning of the conversation, so that the next turn
    finds the same server's prompt cache. `limits_start_only` tells that `timeout_ms` ends with the
    first record, `may_be_pinned` that no admin said how long the model stays in memory after a
    call. `run` runs what reads or writes all of the request, `most_tokens` is what a budget leaves
    for each choice, 0 where none bounds it. `context_policy`, `context_steps` and
    `context_cap` (0: none) decide the window (`policy/context.py`). `said`, `provenance` and
    `changes` are those of `apply.Applied`.
    """

    call: Call
    key: Key
    model: Model
    request: Request
    estimate: int = 0
    size: Size = field(default_factory=Size)
    reservation: int = 0
    prefix: str = ""
    timeout_ms: int = 0
    limits_start_only: bool = False
    may_be_pinned: bool = True
    hide_thinking: bool = False
    parse_think_tags: bool | Literal["opened"] = False
    reasoning_field: Literal["reasoning_content", "reasoning", "both"] = "reasoning_content"
    context_policy: context.Policy = "allow"
    context_steps: tuple[int, ...] = ()
    context_cap: int = 0
    ignored: tuple[str, ...] = ()
    said: Mapping[str, Json] = field(default_factory=lambda: EMPTY)
    provenance: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    changes: tuple[apply.Change, ...] = ()
    alias: Alias | None = None
    fallback_of: int | None = None
    most_tokens: int = 0
    run: Run = run_here

    @property
    def has_one_prompt(self) -> bool:
        """Whether one prompt is read, so that its tokens can be held against the window."""
        return isinstance(self.request, ChatRequest) or len(self.request.prompts) == 1


@dataclass(eq=False)
class Preparer:
    """Prepares calls. `behaviour` returns the settings in force."""

    behaviour: Callable[[], RuntimeSettings]
    catalog: Catalog
    factors: Factors
    media_fetcher: MediaFetcher

    def prepare(self, call: Call, key: Key, run: Run = run_here) -> PreparedCall:
        """Resolve, check and prepare a call.

        Raises ModelNotFound, Unavailable, Forbidden, InvalidRequest, CapabilityMissing.
        """
        behaviour = self.behaviour()
        resolved = self.catalog.resolve(call.model, key, behaviour.fallback_model)
        prepared = run(self._apply_overrides, call, key, resolved, behaviour, run=run)
        return self._fetch_media(prepared)

    def measure_prompt(self, call: Call, key: Key, run: Run = run_here) -> int:
        """Return the estimated tokens of a call's prompt.

        What the model could not do with the prompt is no reason not to count it, and nothing is
        fetched. Raises ModelNotFound, Unavailable, Forbidden.
        """
        behaviour = self.behaviour()
        resolved = self.catalog.resolve(call.model, key, behaviour.fallback_model)
        return run(self._apply_overrides, call, key, resolved, behaviour, will_run=False).estimate

    def prepare_embedding(
        self, request: EmbedRequest, key: Key, run: Run = run_here
    ) -> tuple[PreparedCall, EmbedRequest]:
        """Prepare an embedding request; returns the effective request beside it. Raises as
        `prepare` does."""
        behaviour = self.behaviour()
        resolved = self.catalog.resolve(request.model, key, behaviour.fallback_model)
        return self._prepare_whole(request, request.inputs, key, resolved, behaviour, run)

    def prepare_decision(
        self, request: DecisionRequest, key: Key, run: Run = run_here
    ) -> tuple[PreparedCall, DecisionRequest]:
        """Prepare questions for a decision model; returns the effective request beside it. Raises
        as `prepare` does.

        What Ollama counts does not teach the estimates: some models read the state once for each
        question.
        """
        behaviour = self.behaviour()
        resolved = self.catalog.resolve(request.model, key, behaviour.fallback_model)
        capability.check_decisions(resolved.model)
        texts = run(estimate.texts_of, request)
        prepared, effective = self._prepare_whole(request, texts, key, resolved, behaviour, run)
        return replace(prepared, size=Size(), prefix=_prefix(prepared.request)), effective

    def _prepare_whole(
        self,
        request: R,
        prompts: tuple[str, ...],
        key: Key,
        resolved: Resolved,
        behaviour: RuntimeSettings,
        run: Run,
    ) -> tuple[PreparedCall, R]:
        """Prepare what is answered as a whole. In `PreparedCall` its texts stand as prompts, for
        records and estimates."""
        applied = apply.apply(request, apply.layers_of(key, resolved), behaviour)
        effective = applied.request
        texts = CompletionRequest(request.model, prompts, effective.params)
        call = Call(texts, ignored=request.ignored, end_user=request.end_user)
        measured = run(estimate.size, texts)
        tokens = measured.tokens(self.factors.of(resolved.model.name))
        prepared = PreparedCall(
            call=call,
            key=key,
            model=resolved.model,
            request=texts,
            estimate=tokens,
            size=measured,
            reservation=tokens,
            timeout_ms=applied.timeout_ms,
            may_be_pinned=applied.provenance.get("keep_alive", "request") == "request",
            ignored=applied.ignored,
            said=applied.said,
            provenance=applied.provenance,
            changes=applied.changes,
            run=run,
            alias=resolved.alias,
        )
        return prepared, effective

    def fall_back(self, failed: PreparedCall, error: GatewayError) -> PreparedCall | None:
        """Return the call prepared for the next model of the chain, None when there is none.

        Only for failures another model can mend: nobody has it, or the prompt does not fit.
        """
        if error.code not in _FALLBACK_CODES and not isinstance(error, ContextOverflow):
            return None
        origin = failed.fallback_of or failed.model.id
        chain = self.catalog.fallbacks(origin)
        behaviour = self.behaviour()
        position = next((i + 1 for i, m in enumerate(chain) if m.id == failed.model.id), 0)
        for model in chain[position:]:
            try:
                access.check_model(failed.key, Resolved(model))
                following = failed.run(
                    self._apply_overrides,
                    failed.call,
                    failed.key,
                    Resolved(model),
                    behaviour,
                    run=failed.run,
                )
            except GatewayError:
                continue
            log.info("model %s takes over for %s: %s", model.name, failed.model.name, error.code)
            return replace(self._fetch_media(following), fallback_of=origin)
        return None

    def _apply_overrides(
        self,
        call: Call,
        key: Key,
        resolved: Resolved,
        behaviour: RuntimeSettings,
        *,
        will_run: bool = True,
        run: Run = run_here,
    ) -> PreparedCall:
        """Apply overrides to the request, and check what the model can do if it will run."""
        model = resolved.model
        request = call.request
        left_out: tuple[str, ...] = ()
        if will_run:
            request, left_out = media.settle(request, model, behaviour)
        if isinstance(request, ChatRequest):
            hoist = behaviour.anthropic_system_reminders == "hoist"
            request = _with_messages(request, conversation.ordered(request.messages, hoist))
        applied = apply.apply(request, apply.layers_of(key, resolved, call), behaviour)
        request = applied.request
        if will_run:
            capability.check(request, model, behaviour)
        request = capability.settle(request, model, applied.provenance.get("think", ""))
        if isinstance(request, ChatRequest):
            request = _with_messages(request, conversation.with_user_turn(request.messages))
        measured = estimate.size(request)
        tokens = measured.tokens(self.factors.of(model.name))
        return PreparedCall(
            call=call,
            key=key,
            model=model,
            request=request,
            estimate=tokens,
            size=measured,
            reservation=tokens + _asked_for(request),
            prefix=_prefix(request),
            timeout_ms=applied.timeout_ms,
            limits_start_only=call.stream and "timeout_ms" not in applied.provenance,
            may_be_pinned=applied.provenance.get("keep_alive", "request") == "request",
            hide_thinking=applied.hide_thinking,
            parse_think_tags=applied.parse_think_tags,
            reasoning_field=applied.reasoning_field,
            context_policy=applied.context_policy,
            context_steps=applied.context_steps,
            context_cap=applied.max_num_ctx or model.context_tokens or 0,
            ignored=(*left_out, *applied.ignored),
            said=applied.said,
            provenance=applied.provenance,
            changes=applied.changes,
            run=run,
            alias=resolved.alias,
        )

    def _fetch_media(self, prepared: PreparedCall) -> PreparedCall:
        """Fetch what the request names by URL; the text of a file counts in the prompt."""
        request, left_out = self.media_fetcher.fetch_all(prepared.request)
        if request is prepared.request:
            return prepared
        measured = prepared.run(estimate.size, request)
        tokens = measured.tokens(self.factors.of(prepared.model.name))
        reservation = prepared.reservation - prepared.estimate + tokens
        return replace(
            prepared,
            request=request,
            ignored=(*prepared.ignored, *left_out),
            size=measured,
            estimate=tokens,
            reservation=reservation,
        )


def measure(error: ContextOverflow, prepared: PreparedCall, window: int) -> None:
    """Add the sizes Ollama did not tell: agents that read both shorten their conversation.

    The prompt is estimated. A `window` of 0 is not known: then the largest the model knows.
    """
    most = window or prepared.model.context_tokens
    known = {"prompt_tokens": prepared.estimate, "context_tokens": most}
    told = {name: size for name, size in known.items() if isinstance(size, int) and size > 0}
    error.detail = {**told, **error.detail}


def _with_messages(request: ChatRequest, messages: tuple[Message, ...]) -> ChatRequest:
    return request if messages is request.messages else replace(request, messages=messages)


def _asked_for(request: Request) -> int:
    """Return how many tokens the answer may have at most, where the request says so."""
    limit = request.params.options.get("num_predict")
    return limit * request.choices if isinstance(limit, int) and limit > 0 else 0


def _prefix(request: Request) -> str:
    """Stand for the beginning of a conversation: system prompt and first turn."""
    if isinstance(request, ChatRequest):
        head = "\x00".join(message.content[:_PREFIX_CHARS] for message in request.messages[:2])
    else:
        head = request.prompts[0][:_PREFIX_CHARS]
    return hashlib.blake2b(head.encode("utf-8", "replace"), digest_size=8).hexdigest()
