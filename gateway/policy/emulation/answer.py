"""What the gateway adds to an answer where Ollama lacks it: forced calls, checked JSON, one call at
a time, stop strings that are seen, thinking that is hidden or found in tags.

`produce` makes one answer of one upstream call or several, and hands its events to a sink.

    plans     choose the next request: forced calls (D13), tools with a format (D14), a checked
              format (D55), or the request as it is; each with the thinking ladder (D9)
    filters   transform events on their way: the continued turn is not repeated, think tags, an
              answer found in the thinking, stop strings (D20), the first call only (D15), hidden
              thinking (D12)

The plain case has neither: the sink is the caller's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

from gateway.core.chat import ChatRequest, Request
from gateway.core.events import (
    Event,
    Finish,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolCallDone,
    Usage,
)
from gateway.policy.emulation import capability, grammar, structured_output, thinking, tool_choice
from gateway.policy.emulation.plans import (
    Count,
    Enough,
    Notice,
    Passes,
    Plan,
    Run,
    Sink,
)
from gateway.policy.emulation.stop_sequences import Piece, PrefillFilter, StopFilter
from gateway.policy.emulation.think_tags import ThinkTags
from gateway.schemas.settings import RuntimeSettings

_MEMORY: Final = thinking.Memory()


def produce(
    request: Request,
    plan: Plan,
    behaviour: RuntimeSettings,
    run: Run,
    sink: Sink,
    notice: Notice = lambda _: None,
    memory: thinking.Memory = _MEMORY,
) -> None:
    """Hand the events of one answer to `sink`; the last one is its `Finish`.

    `run` makes an upstream call. `notice` is told field paths that turned out to have no effect.
    Raises the GatewayError the answer ends with.
    """
    passes = Passes(plan, run, notice, memory)
    if isinstance(request.params.format, Mapping):
        schema, left_out = grammar.fit(request.params.format)
        for path in left_out:
            notice(f"{plan.call.format_param}:{path}")
        request = replace(request, params=replace(request.params, format=schema))
    request, stops = _own_stops(request, plan, behaviour)
    filters = _filters(request, plan, stops)
    with suppress(Enough):
        _ask(passes, request, behaviour, _Filtered(filters, sink) if filters else sink)


class Filter(Protocol):
    """Transforms events on their way."""

    ended: bool
    """Whether the answer has ended: nothing more is wanted."""

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return what comes of some events, in their order."""


class _Filtered:
    """A sink behind filters."""

    def __init__(self, filters: Sequence[Filter], sink: Sink) -> None:
        self._filters = filters
        self._sink = sink

    def __call__(self, events: Sequence[Event]) -> None:
        ended = False
        for one in self._filters:
            events = one.feed(events)
            ended |= one.ended
            if not events:
                return
        self._sink(events)
        if ended:
            raise Enough


def _filters(request: Request, plan: Plan, stops: Sequence[str]) -> list[Filter]:
    """Return the filters of an answer, in the order in which they are passed."""
    filters: list[Filter] = []
    prefill = thinking.prefill_of(request)
    if prefill:
        filters.append(_Pieces(PrefillFilter(prefill)))
    if plan.parse_think_tags:
        opened = plan.parse_think_tags == "opened"
        filters.append(_Pieces(ThinkTags(opened=opened, whole=not plan.call.stream)))
    if request.params.think is False and not plan.model.is_gpt_oss:
        filters.append(_AnswerFromThinking())
    if stops:
        filters.append(_Stops(stops, plan.estimate))
    if isinstance(request, ChatRequest) and request.tools and not request.parallel_tool_calls:
        filters.append(_FirstCall(plan.estimate))
    if plan.hide_thinking or request.params.think is False:
        filters.append(_HiddenThinking())
    return filters


def _ask(passes: Passes, request: Request, behaviour: RuntimeSettings, sink: Sink) -> None:
    """Choose a plan and follow it."""
    if isinstance(request, ChatRequest):
        request = capability.without_unwanted_tools(request)
        if request.tools and request.tool_choice.mode == "required":
            most = 2 if behaviour.forced_tool_choice == "emulate" else 1
            tool_choice.force(passes, request, sink, most)
            return
        # Together they go only where the format starts after thinking.
        thinks = passes.plan.model.can("thinking") and request.params.think is not False
        if request.tools and request.params.format and not thinks:
            if behaviour.tools_with_format == "two_pass":
                structured_output.tools_then_format(passes, request, sink)
                return
            if behaviour.tools_with_format == "tools_only":
                passes.notice(passes.plan.call.format_param)
                request = replace(request, params=replace(request.params, format=None))
    if request.params.format:
        structured_output.verify(passes, request, sink)
    else:
        passes.run(request, sink)


def _own_stops(
    request: Request, plan: Plan, behaviour: RuntimeSettings
) -> tuple[Request, Sequence[str]]:
    """Return the request without its stop strings, and those the gateway is to match (D20)."""
    params = request.params
    stops = params.options.get("stop")
    if not stops:
        return request, ()
    here = plan.call.stop_here or behaviour.stop_mode == "gateway"
    if behaviour.stop_mode == "auto":
        here = here or thinking.may_think(params, plan.model)
    if not here:
        return request, ()
    options = {name: value for name, value in params.options.items() if name != "stop"}
    stops = [stops] if isinstance(stops, str) else stops
    return replace(request, params=replace(params, options=options)), stops


class _Stops:
    """Ends the answer where a stop string begins; only visible text is looked at."""

    def __init__(self, stops: Sequence[str], prompt_tokens: int) -> None:
        self._look = StopFilter(stops)
        self._count = Count()
        self._tokens = _Tokens()
        self._prompt_tokens = prompt_tokens
        self.ended = False

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        look, tokens = self._look, self._tokens
        shown: list[Event] = []
        for event in events:
            self._count.see(event)
            match event:
                case TextDelta(text, logprobs):
                    tokens.add(logprobs)
                    text = look.feed(text)
                    self.ended = look.matched is not None
                    if text:
                        cut = len(text) if self.ended else None
                        shown.append(TextDelta(text, tokens.take(cut)))
                    if self.ended:
                        usage = _usage_of(events, self._count, self._prompt_tokens)
                        return [*shown, Finish("stop_sequence", usage, look.matched)]
                case ThinkingDelta():
                    shown.append(event)
                case _:
                    text = look.flush()
                    if text:
                        shown.append(TextDelta(text, tokens.take(None)))
                    shown.append(event)
        return shown


def _usage_of(events: Sequence[Event], count: Count, prompt_tokens: int) -> Usage:
    """Return the usage of an answer that is cut here: Ollama's counts if they are there already."""
    last = events[-1]
    return last.usage if isinstance(last, Finish) else count.usage(prompt_tokens)


class _Tokens:
    """Log-probabilities that wait for the text they belong to to be shown."""

    def __init__(self) -> None:
        self._waiting: list[TokenLogprob] = []

    def add(self, tokens: Sequence[TokenLogprob]) -> None:
        self._waiting += tokens

    def take(self, characters: int | None) -> tuple[TokenLogprob, ...]:
        """Return those that wait; with a cut, only the tokens that lie before it."""
        taken, self._waiting = self._waiting, []
        return tuple(taken if characters is None else _within(taken, characters))

    def take_last(self, characters: int) -> tuple[TokenLogprob, ...]:
        """Return those of the last `characters` only; the ones before them are dropped."""
        taken, self._waiting = self._waiting, []
        return tuple(reversed([*_within(reversed(taken), characters)]))


def _within(tokens: Iterable[TokenLogprob], characters: int) -> Iterator[TokenLogprob]:
    for token in tokens:
        characters -= len(token.token)
        if characters < 0:
            return
        yield token


class _FirstCall:
    """Ends the answer after its first tool call (D15)."""

    def __init__(self, prompt_tokens: int) -> None:
        self._count = Count()
        self._prompt_tokens = prompt_tokens
        self.ended = False

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        for at, event in enumerate(events):
            self._count.see(event)
            if isinstance(event, ToolCallDone):
                self.ended = True
                usage = _usage_of(events, self._count, self._prompt_tokens)
                return [*events[: at + 1], Finish("tool_calls", usage)]
        return events


class _Pieces:
    """Splits visible text: between think tags is thinking, and the continued turn is left out where
    the model repeats it, since callers join it themselves."""

    ended = False

    def __init__(self, look: ThinkTags | PrefillFilter) -> None:
        self._look = look
        self._tokens = _Tokens()

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        shown: list[Event] = []
        for event in events:
            match event:
                case TextDelta(text, logprobs):
                    self._tokens.add(logprobs)
                    shown += self._shown(self._look.feed(text))
                case ThinkingDelta():
                    shown.append(event)
                case _:
                    shown += self._shown(self._look.flush())
                    shown.append(event)
        return shown

    def _shown(self, pieces: Sequence[Piece]) -> Iterator[Event]:
        """Yield pieces as events; the log-probabilities are those of the last text."""
        for is_thinking, text in pieces:
            if is_thinking:
                yield ThinkingDelta(text)
            else:
                yield TextDelta(text, self._tokens.take_last(len(text)))


class _AnswerFromThinking:
    """Makes the thinking the answer where thinking was switched off and nothing else came."""

    ended = False

    def __init__(self) -> None:
        self._thoughts: list[str] = []
        self._is_missing = True

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        if not self._is_missing:
            return events
        self._thoughts += [event.text for event in events if isinstance(event, ThinkingDelta)]
        self._is_missing = not any(isinstance(event, TextDelta | ToolCallDone) for event in events)
        if self._is_missing and self._thoughts and isinstance(events[-1], Finish):
            return [*events[:-1], TextDelta("".join(self._thoughts)), events[-1]]
        return events


class _HiddenThinking:
    """Leaves thinking out; it has been counted all the same."""

    ended = False

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        if any(isinstance(event, ThinkingDelta) for event in events):
            return [event for event in events if not isinstance(event, ThinkingDelta)]
        return events
