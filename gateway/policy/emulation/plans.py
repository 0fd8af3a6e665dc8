"""Upstream calls that together make one answer: the thinking ladder, and what all of them cost.

An attempt is an iterator of batches; an empty batch is a tick and is always passed on, so that
whoever waits can keep its client alive. What is abandoned is closed at once: Ollama stops computing
when its connection ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, Protocol, TypeAlias, TypeVar

from gateway.core.catalog import Model
from gateway.core.chat import Call, ChatRequest, CompletionRequest, Params, Request, Think
from gateway.core.events import Event, Failed, Finish, TextDelta, ThinkingDelta, ToolCallDone, Usage
from gateway.errors import GatewayError, InvalidRequest
from gateway.policy import conversation
from gateway.policy.emulation import thinking

Batches: TypeAlias = Iterator[Sequence[Event]]
Attempt: TypeAlias = Callable[[Request], Batches]
Notice: TypeAlias = Callable[[str], None]
R = TypeVar("R", bound=ChatRequest | CompletionRequest)


class Plan(Protocol):
    """What is known about a prepared call. `estimate` are the tokens of its prompt."""

    @property
    def call(self) -> Call: ...
    @property
    def model(self) -> Model: ...
    @property
    def estimate(self) -> int: ...
    @property
    def hide_thinking(self) -> bool: ...
    @property
    def parse_think_tags(self) -> bool | Literal["opened"]: ...


class Tries:
    """Runs attempts and adds up what the abandoned and finished ones have cost."""

    def __init__(
        self, plan: Plan, attempt: Attempt, notice: Notice, memory: thinking.Memory
    ) -> None:
        self.plan = plan
        self.notice = notice
        self._attempt = attempt
        self._memory = memory
        self._spent: Usage | None = None

    def run(self, request: Request) -> Batches:
        """Return the batches of a call, with a weaker `think`, without logprobs or with other turns
        where Ollama refuses what was asked for (D9, F23)."""
        params = request.params
        if params.think or (isinstance(request, ChatRequest) and _may_be_refused(request)):
            return self._tried(request)
        return self._attempt(request)

    def spend(self, usage: Usage) -> None:
        """Count a pass whose text does not reach the caller."""
        self._spent = usage if self._spent is None else self._spent + usage

    def total(self, finish: Finish) -> Finish:
        """Return the end of the answer with the cost of all passes."""
        if self._spent is None:
            return finish
        return replace(finish, usage=self._spent + finish.usage)

    def rest(self, source: Batches) -> Batches:
        """Yield what is left of an attempt, its end with the cost of all passes."""
        if self._spent is None:
            yield from source
            return
        for events in source:
            if events and isinstance(events[-1], Finish):
                events = [*events[:-1], self.total(events[-1])]
            yield events

    def _tried(self, request: Request) -> Batches:
        wanted = request.params.think
        think = self._memory.best(self.plan.model.name, wanted)
        weaker = thinking.weaker(think)
        request = with_params(request, replace(request.params, think=think))
        while True:
            source = self._attempt(request)
            refusal = None
            for events in source:
                if events and isinstance(events[0], Failed):
                    refusal = events[0].error
                    break
                yield events
                if events:
                    if wanted and think != wanted:
                        self._memory.note(self.plan.model.name, wanted, think)
                    yield from source
                    return
            if refusal is None:
                return
            close(source)
            following = self._following(request, refusal, weaker)
            if following is None:
                yield (Failed(refusal),)
                return
            request, think = following, following.params.think

    def _following(
        self, request: Request, refusal: GatewayError, weaker: Iterator[Think | None]
    ) -> Request | None:
        """Return the request to try next, None when nothing is left to try."""
        params = request.params
        if thinking.is_refused(refusal):
            for think in weaker:
                return with_params(request, replace(params, think=think))
            return None
        if params.logprobs and _is_about_logprobs(refusal):
            self.notice("logprobs")
            return with_params(request, replace(params, logprobs=False, top_logprobs=None))
        if isinstance(request, ChatRequest) and _is_about_turns(request, refusal):
            return replace(request, messages=conversation.alternating(request.messages))
        return None


class Count:
    """Counts an answer as it passes, for when Ollama's own counts will not come (D20)."""

    __slots__ = ("_calls", "_text", "_thinking", "records")

    def __init__(self) -> None:
        self.records = 0
        self._text = 0
        self._thinking = 0
        self._calls = 0

    def see(self, event: Event) -> None:
        """Count one event; a record with text is about one token."""
        match event:
            case TextDelta(text):
                self.records += 1
                self._text += len(text)
            case ThinkingDelta(text):
                self.records += 1
                self._thinking += len(text)
            case ToolCallDone(_, name, arguments):
                self._calls += len(name) + len(arguments)
            case _:
                pass

    def usage(self, prompt_tokens: int) -> Usage:
        """Return the estimate."""
        total = self._text + self._thinking + self._calls
        reasoning = round(self.records * self._thinking / total) if self._thinking else 0
        return Usage(prompt_tokens, self.records, reasoning_tokens=reasoning, estimated=True)


def close(source: Batches) -> None:
    """Abandon an attempt: its upstream call ends."""
    end = getattr(source, "close", None)
    if end is not None:
        end()


def with_params(request: R, params: Params) -> R:
    """Return the request with other parameters."""
    return replace(request, params=params)


def _may_be_refused(request: ChatRequest) -> bool:
    """Whether something in a request is known to be refused by some models."""
    if request.params.logprobs and request.tools:
        return True
    return not conversation.is_alternating(request.messages)


def _is_about_turns(request: ChatRequest, error: GatewayError) -> bool:
    if not isinstance(error, InvalidRequest) or "must alternate" not in error.message:
        return False
    return not conversation.is_alternating(request.messages)


def _is_about_logprobs(error: GatewayError) -> bool:
    return isinstance(error, InvalidRequest) and "logprobs" in error.message.lower()
