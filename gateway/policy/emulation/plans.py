"""Upstream calls that together make one answer: the thinking ladder, and what all of them cost.

A plan chooses the next request and calls `run(request, sink)`, which returns when that upstream
call has ended and holds nothing then. `sink` takes events as they come; it raises `Enough` when no
more are wanted, which ends the upstream call at once: Ollama stops computing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Literal, Protocol, TypeAlias

from gateway.core.catalog import Model
from gateway.core.chat import Call, ChatRequest, Request, Think
from gateway.core.events import Event, Finish, TextDelta, ThinkingDelta, ToolCallDone, Usage
from gateway.errors import GatewayError, InvalidRequest
from gateway.policy import conversation
from gateway.policy.emulation import thinking

Sink: TypeAlias = Callable[[Sequence[Event]], None]
"""Takes events, never none of them. Raises Enough."""
Run: TypeAlias = Callable[[Request, Sink], None]
"""Makes one upstream call. Raises GatewayError, and the sink's Enough."""
Notice: TypeAlias = Callable[[str], None]


class Enough(Exception):
    """Raised by a sink: what follows of an upstream call is not wanted."""


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


class Passes:
    """Makes upstream calls and adds up what the abandoned and finished ones have cost."""

    def __init__(self, plan: Plan, run: Run, notice: Notice, memory: thinking.Memory) -> None:
        self.plan = plan
        self.notice = notice
        self._run = run
        self._memory = memory
        self._spent: Usage | None = None

    def run(self, request: Request, sink: Sink) -> None:
        """Make a call, with a weaker `think`, without logprobs or with other turns where Ollama
        refuses what was asked for (D9, F23)."""
        wanted = request.params.think
        is_plain = not isinstance(request, ChatRequest) or (
            not (request.params.logprobs and request.tools)
            and conversation.alternating(request.messages) == request.messages
        )
        if not wanted and is_plain:
            self._run(request, sink)
            return
        name = self.plan.model.name
        think = self._memory.best(name, wanted)
        weaker = thinking.weaker(think)
        request = replace(request, params=replace(request.params, think=think))
        begun = False

        def first(events: Sequence[Event]) -> None:
            nonlocal begun
            begun = True
            sink(events)

        while True:
            try:
                self._run(request, first)
            except GatewayError as refusal:
                following = None if begun else self._following(request, refusal, weaker)
                if following is None:
                    raise
                request = following
            else:
                if wanted and request.params.think != wanted:
                    self._memory.note(name, wanted, request.params.think)
                return

    def spend(self, usage: Usage) -> None:
        """Count a pass whose text does not reach the caller."""
        self._spent = usage if self._spent is None else self._spent + usage

    def total(self, finish: Finish) -> Finish:
        """Return the end of the answer with the cost of all passes."""
        if self._spent is None:
            return finish
        return replace(finish, usage=self._spent + finish.usage)

    def _following(
        self, request: Request, refusal: GatewayError, weaker: Iterator[Think | None]
    ) -> Request | None:
        """Return the request to try next, None when nothing is left to try."""
        if not isinstance(refusal, InvalidRequest):
            return None
        params, said = request.params, refusal.message.lower()
        if "think" in said:
            for think in weaker:
                return replace(request, params=replace(params, think=think))
            return None
        if params.logprobs and "logprobs" in said:
            self.notice("logprobs")
            return replace(request, params=replace(params, logprobs=False, top_logprobs=None))
        if isinstance(request, ChatRequest) and "must alternate" in refusal.message:
            messages = conversation.alternating(request.messages)
            return None if messages == request.messages else replace(request, messages=messages)
        return None


class Count:
    """Counts an answer as it passes, for when Ollama's own counts will not come (D20)."""

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


class Held:
    """A sink that holds text back until a call of one of `names` (None: of any tool) shows that it
    belongs to the answer. The end is held back too."""

    def __init__(self, sink: Sink, names: Collection[str] | None = None) -> None:
        self._sink = sink
        self._names = names
        self.texts: list[TextDelta] = []
        self.finish = Finish("stop")
        self.called = False

    def __call__(self, events: Sequence[Event]) -> None:
        shown: list[Event] = []
        for event in events:
            match event:
                case ToolCallDone() if self._names is None or event.name in self._names:
                    self.called = True
                    shown += [*self.texts, event]
                    self.texts = []
                case ToolCallDone():
                    pass  # of a tool that was not offered
                case TextDelta() if not self.called:
                    self.texts.append(event)
                case Finish():
                    self.finish = event
                case _:
                    shown.append(event)
        if shown:
            self._sink(shown)
