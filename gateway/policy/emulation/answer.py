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

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

from gateway.core.behaviour import Behaviour
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
    with_params,
)
from gateway.policy.emulation.stop_sequences import PrefillFilter, StopFilter
from gateway.policy.emulation.think_tags import Piece, ThinkTags

_MEMORY: Final = thinking.Memory()


def produce(
    request: Request,
    plan: Plan,
    behaviour: Behaviour,
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
        request = _with_fitted_format(request, passes)
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

    __slots__ = ("_filters", "_sink")

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
        filters.append(_Prefill(prefill))
    if plan.parse_think_tags:
        opened = plan.parse_think_tags == "opened"
        filters.append(_Tags(ThinkTags(opened=opened, whole=not plan.call.stream)))
    if request.params.think is False and not plan.model.is_gpt_oss:
        filters.append(_AnswerFromThinking())
    if stops:
        filters.append(_Stops(stops, plan.estimate))
    if isinstance(request, ChatRequest) and request.tools and not request.parallel_tool_calls:
        filters.append(_FirstCall(plan.estimate))
    if thinking.is_hidden(request.params, plan.hide_thinking):
        filters.append(_HiddenThinking())
    return filters


def _with_fitted_format(request: Request, passes: Passes) -> Request:
    schema, left_out = grammar.fit(request.params.format)
    for path in left_out:
        passes.notice(f"{passes.plan.call.format_param}:{path}")
    return with_params(request, replace(request.params, format=schema))


def _ask(passes: Passes, request: Request, behaviour: Behaviour, sink: Sink) -> None:
    """Choose a plan and follow it."""
    if not isinstance(request, ChatRequest):
        if request.params.format:
            structured_output.verify(passes, request, sink)
        else:
            passes.run(request, sink)
        return
    request = capability.without_unwanted_tools(request)
    if request.tools and request.tool_choice.mode == "required":
        most = 2 if behaviour.forced_tool_choice == "emulate" else 1
        tool_choice.force(passes, request, sink, most)
    elif not request.params.format:
        passes.run(request, sink)
    elif not request.tools or _thinks(passes, request):
        structured_output.verify(passes, request, sink)
    elif behaviour.tools_with_format == "two_pass":
        structured_output.tools_then_format(passes, request, sink)
    elif behaviour.tools_with_format == "tools_only":
        passes.notice(passes.plan.call.format_param)
        passes.run(with_params(request, replace(request.params, format=None)), sink)
    else:
        structured_output.verify(passes, request, sink)


def _thinks(passes: Passes, request: ChatRequest) -> bool:
    """Whether tools and a format go together: only where the format starts after thinking."""
    model = passes.plan.model
    return bool(model.can("thinking")) and request.params.think is not False


def _own_stops(request: Request, plan: Plan, behaviour: Behaviour) -> tuple[Request, Sequence[str]]:
    """Take the stop strings out of a request when the gateway shall match them (D20)."""
    params = request.params
    stops = params.options.get("stop")
    if not stops:
        return request, ()
    match behaviour.stop_mode:
        case "upstream":
            here = plan.call.stop_here
        case "gateway":
            here = True
        case _:
            here = plan.call.stop_here or thinking.may_think(params, plan.model)
    if not here:
        return request, ()
    options = {name: value for name, value in params.options.items() if name != "stop"}
    stops = [stops] if isinstance(stops, str) else stops
    return with_params(request, replace(params, options=options)), stops


class _Stops:
    """Ends the answer where a stop string begins; only visible text is looked at."""

    def __init__(self, stops: Sequence[str], prompt_tokens: int) -> None:
        self._look = StopFilter(stops)
        self._count = Count()
        self._tokens = _Tokens()
        self._prompt_tokens = prompt_tokens
        self.ended = False

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        """See `Filter`."""
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

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[TokenLogprob] = []

    def add(self, tokens: Sequence[TokenLogprob]) -> None:
        self._waiting += tokens

    def take(self, characters: int | None) -> tuple[TokenLogprob, ...]:
        """Return those that wait; with a cut, only the tokens that lie before it."""
        taken, self._waiting = tuple(self._waiting), []
        if characters is None:
            return taken
        kept = []
        for token in taken:
            characters -= len(token.token)
            if characters < 0:
                break
            kept.append(token)
        return tuple(kept)

    def take_last(self, characters: int) -> tuple[TokenLogprob, ...]:
        """Return those of the last `characters` only; the ones before them are dropped."""
        taken, self._waiting = self._waiting, []
        kept: list[TokenLogprob] = []
        for token in reversed(taken):
            characters -= len(token.token)
            if characters < 0:
                break
            kept.append(token)
        return tuple(reversed(kept))


class _FirstCall:
    """Ends the answer after its first tool call (D15)."""

    def __init__(self, prompt_tokens: int) -> None:
        self._count = Count()
        self._prompt_tokens = prompt_tokens
        self.ended = False

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        """See `Filter`."""
        for at, event in enumerate(events):
            self._count.see(event)
            if isinstance(event, ToolCallDone):
                self.ended = True
                usage = _usage_of(events, self._count, self._prompt_tokens)
                return [*events[: at + 1], Finish("tool_calls", usage)]
        return events


class _Tags:
    """Turns the text between think tags into thinking."""

    ended = False

    def __init__(self, tags: ThinkTags) -> None:
        self._tags = tags
        self._tokens = _Tokens()

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        """See `Filter`."""
        tags, tokens = self._tags, self._tokens
        shown: list[Event] = []
        for event in events:
            match event:
                case TextDelta(text, logprobs):
                    tokens.add(logprobs)
                    shown += _split(tags.feed(text), tokens)
                case ThinkingDelta():
                    shown.append(event)
                case _:
                    shown += _split(tags.flush(), tokens)
                    shown.append(event)
        return shown


def _split(pieces: Sequence[Piece], tokens: _Tokens) -> list[Event]:
    """Return pieces as events; the log-probabilities are those of the last text."""
    events: list[Event] = []
    for is_thinking, text in pieces:
        if is_thinking:
            events.append(ThinkingDelta(text))
        else:
            events.append(TextDelta(text, tokens.take_last(len(text))))
    return events


class _Prefill:
    """Leaves out the turn to continue where the model repeats it: callers join it themselves."""

    ended = False

    def __init__(self, prefill: str) -> None:
        self._look = PrefillFilter(prefill)
        self._tokens = _Tokens()

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        """See `Filter`."""
        look, tokens = self._look, self._tokens
        shown: list[Event] = []
        for event in events:
            match event:
                case TextDelta(text, logprobs):
                    tokens.add(logprobs)
                    text = look.feed(text)
                    if text:
                        shown.append(TextDelta(text, tokens.take_last(len(text))))
                case ThinkingDelta():
                    shown.append(event)
                case _:
                    text = look.flush()
                    if text:
                        shown.append(TextDelta(text, tokens.take_last(len(text))))
                    shown.append(event)
        return shown


class _AnswerFromThinking:
    """Makes the thinking the answer where thinking was switched off and nothing else came."""

    ended = False

    def __init__(self) -> None:
        self._thoughts: list[str] = []
        self._is_missing = True

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        """See `Filter`."""
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
        """See `Filter`."""
        if any(isinstance(event, ThinkingDelta) for event in events):
            return [event for event in events if not isinstance(event, ThinkingDelta)]
        return events
