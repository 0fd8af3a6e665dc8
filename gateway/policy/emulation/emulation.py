"""Keeps promises of the API that Ollama does not: forced calls, checked JSON, one call at a time,
stop strings that are seen, thinking that is hidden or found in tags.

`answers` turns one request into one stream of events, made of one upstream call or several. It is a
chain of generators that only transform; in the plain case the chain is the upstream call itself.

    how to ask   forced calls (D13), tools with a format (D14), a checked format (D55), or plainly;
                 each with the thinking ladder (D9)
    what to show the continued turn not repeated, think tags, an answer found in the thinking,
                 stop strings (D20), the first call only (D15), hidden thinking (D12)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from gateway.core.behaviour import Behaviour
from gateway.core.chat import ChatRequest, Request
from gateway.core.events import Event, Finish, TextDelta, ThinkingDelta, TokenLogprob, ToolCallDone
from gateway.policy.emulation import capability, grammar, structured_output, thinking, tool_choice
from gateway.policy.emulation.plans import (
    Attempt,
    Batches,
    Count,
    Notice,
    Plan,
    Tries,
    close,
    with_params,
)
from gateway.policy.emulation.stop_sequences import PrefillFilter, StopFilter
from gateway.policy.emulation.think_tags import Piece, ThinkTags

_MEMORY: Final = thinking.Memory()


def answers(
    request: Request,
    plan: Plan,
    behaviour: Behaviour,
    attempt: Attempt,
    notice: Notice = lambda _: None,
    memory: thinking.Memory = _MEMORY,
) -> Batches:
    """Return the events of one answer; [] where time passed and nothing came.

    `attempt` makes an upstream call. `notice` is told field paths that turned out to have no
    effect. Close the result to abandon whatever runs.
    """
    tries = Tries(plan, attempt, notice, memory)
    if isinstance(request.params.format, Mapping):
        request = _with_fitted_format(request, tries)
    request, stops = _own_stops(request, plan, behaviour)
    source = _asked(tries, request, behaviour)
    prefill = thinking.prefill_of(request)
    if prefill:
        source = _without_prefill(source, prefill)
    if plan.parse_think_tags:
        opened = plan.parse_think_tags == "opened"
        source = _split_tags(source, ThinkTags(opened=opened, whole=not plan.call.stream))
    if request.params.think is False and not plan.model.is_gpt_oss:
        source = _answer_from_thinking(source)
    if stops:
        source = _stop_at(source, stops, plan.estimate)
    if isinstance(request, ChatRequest) and request.tools and not request.parallel_tool_calls:
        source = _first_call_only(source, plan.estimate)
    if thinking.is_hidden(request.params, plan.hide_thinking):
        source = _hide_thinking(source)
    return source


def _with_fitted_format(request: Request, tries: Tries) -> Request:
    schema, left_out = grammar.fit(request.params.format)
    for path in left_out:
        tries.notice(f"{tries.plan.call.format_param}:{path}")
    return with_params(request, replace(request.params, format=schema))


def lets_text_pass(request: Request) -> bool:
    """Whether nothing in here counts, collects or checks a text that leaves it as it came."""
    if request.params.format or thinking.prefill_of(request):
        return False
    if not isinstance(request, ChatRequest) or not request.tools:
        return True
    return request.parallel_tool_calls and request.tool_choice.mode != "required"


def _asked(tries: Tries, request: Request, behaviour: Behaviour) -> Batches:
    """Choose how to ask."""
    if not isinstance(request, ChatRequest):
        return (
            structured_output.verified(tries, request)
            if request.params.format
            else tries.run(request)
        )
    request = capability.without_unwanted_tools(request)
    if request.tools and request.tool_choice.mode == "required":
        return tool_choice.calls(
            tries, request, 2 if behaviour.forced_tool_choice == "emulate" else 1
        )
    if not request.params.format:
        return tries.run(request)
    if request.tools and not _thinks(tries, request):
        if behaviour.tools_with_format == "two_pass":
            return structured_output.tools_then_format(tries, request)
        if behaviour.tools_with_format == "tools_only":
            tries.notice(tries.plan.call.format_param)
            return tries.run(with_params(request, replace(request.params, format=None)))
    return structured_output.verified(tries, request)


def _thinks(tries: Tries, request: ChatRequest) -> bool:
    """Whether tools and a format go together: only where the format starts after thinking."""
    model = tries.plan.model
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


def _stop_at(source: Batches, stops: Sequence[str], prompt_tokens: int) -> Batches:
    """End the answer where a stop string begins; only visible text is looked at."""
    look = StopFilter(stops)
    count = Count()
    tokens = _Tokens()
    for events in source:
        shown: list[Event] = []
        for event in events:
            count.see(event)
            match event:
                case TextDelta(text, logprobs):
                    tokens.add(logprobs)
                    text = look.feed(text)
                    cut = look.matched is not None
                    if text:
                        shown.append(TextDelta(text, tokens.take(len(text) if cut else None)))
                    if cut:
                        shown.append(_stopped(events, look.matched, count, prompt_tokens))
                        break
                case ThinkingDelta():
                    shown.append(event)
                case _:
                    text = look.flush()
                    if text:
                        shown.append(TextDelta(text, tokens.take(None)))
                    shown.append(event)
        yield shown
        if look.matched is not None:
            close(source)
            return


def _stopped(
    events: Sequence[Event], matched: str | None, count: Count, prompt_tokens: int
) -> Finish:
    """Return the end after a match: with Ollama's counts if they are already there."""
    last = events[-1]
    usage = last.usage if isinstance(last, Finish) else count.usage(prompt_tokens)
    return Finish("stop_sequence", usage, matched)


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


def _first_call_only(source: Batches, prompt_tokens: int) -> Batches:
    """End the answer after its first tool call (D15)."""
    count = Count()
    for events in source:
        for at, event in enumerate(events):
            count.see(event)
            if isinstance(event, ToolCallDone):
                last = events[-1]
                usage = last.usage if isinstance(last, Finish) else count.usage(prompt_tokens)
                yield [*events[: at + 1], Finish("tool_calls", usage)]
                close(source)
                return
        yield events


def _split_tags(source: Batches, tags: ThinkTags) -> Batches:
    """Turn the text between think tags into thinking."""
    tokens = _Tokens()
    for events in source:
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
        yield shown


def _split(pieces: Sequence[Piece], tokens: _Tokens) -> list[Event]:
    """Return pieces as events; the log-probabilities are those of the last text."""
    events: list[Event] = []
    for is_thinking, text in pieces:
        if is_thinking:
            events.append(ThinkingDelta(text))
        else:
            events.append(TextDelta(text, tokens.take_last(len(text))))
    return events


def _without_prefill(source: Batches, prefill: str) -> Batches:
    """Leave out the turn to continue where the model repeats it: callers join it themselves."""
    look = PrefillFilter(prefill)
    tokens = _Tokens()
    for events in source:
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
        yield shown


def _answer_from_thinking(source: Batches) -> Batches:
    """Yield the thinking as the answer where thinking was switched off and nothing else came."""
    thoughts: list[str] = []
    is_missing = True
    for events in source:
        if is_missing:
            thoughts += [event.text for event in events if isinstance(event, ThinkingDelta)]
            is_missing = not any(isinstance(event, TextDelta | ToolCallDone) for event in events)
            if is_missing and thoughts and events and isinstance(events[-1], Finish):
                events = [*events[:-1], TextDelta("".join(thoughts)), events[-1]]
        yield events


def _hide_thinking(source: Batches) -> Batches:
    """Leave thinking out; it has been counted all the same."""
    for events in source:
        if any(isinstance(event, ThinkingDelta) for event in events):
            events = [event for event in events if not isinstance(event, ThinkingDelta)]
        yield events
