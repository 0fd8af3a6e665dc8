"""Answers that must be JSON: checked, since Ollama's `format` does not always take effect.

Observed (F15): on a thinking model the constraint starts after the thinking, and never starts if
the model does not think although thinking is on; some models leave all of the answer in their
thinking; servers of early 2026 ignore the format where thinking is off; MLX and cloud models may
always ignore it; on a model that does not think it makes tool calls impossible.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import orjson

from gateway.core.chat import ChatRequest, Json, Request
from gateway.core.events import Event, Finish, TextDelta, ThinkingDelta, ToolCallDone, Usage
from gateway.policy.emulation import thinking
from gateway.policy.emulation.plans import Count, Enough, Passes, Sink, with_params

_FENCE: Final = re.compile(r"\s*```[A-Za-z0-9_-]*[ \t]*\n(.*?)\n?[ \t]*```\s*", re.DOTALL)
_ANY: Final = '{["-0123456789tfn'
_STARTS: Final[Mapping[str, str]] = {
    "object": "{",
    "array": "[",
    "string": '"',
    "number": "-0123456789",
    "integer": "-0123456789",
    "boolean": "tf",
    "null": "n",
}
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def verify(passes: Passes, request: Request, sink: Sink) -> None:
    """Answer with text whose first character can begin the wanted JSON (D55).

    If it cannot, or if there is nothing but thinking, no text has been shown yet: the call is
    cancelled and repeated once with thinking switched off, or left on where it was off. If that
    fails too, the text is given as it is.
    """
    plan = passes.plan
    params = request.params
    requests = [request]
    if thinking.may_think(params, plan.model):
        requests.append(with_params(request, replace(params, think=False)))
    elif plan.model.can("thinking"):
        requests.append(with_params(request, replace(params, think=None)))
    for attempt in requests:
        look = _Look(passes, params.format, sink, is_last=attempt is requests[-1])
        try:
            passes.run(attempt, look)
        except Enough:
            if look.state != "bad":
                raise
        if look.state != "bad":
            return
        passes.spend(look.usage or look.count.usage(plan.estimate))


class _Look:
    """A sink that holds the text of one pass back until it is clear what it is.

    `state` is looking, fenced (all text is collected), good, bad (repeat), or over.
    """

    def __init__(self, passes: Passes, wanted: Json, sink: Sink, *, is_last: bool) -> None:
        self._passes = passes
        self._starts = starts_of(wanted)
        self._wanted = wanted
        self._sink = sink
        self._streamed = passes.plan.call.stream
        self._is_last = is_last
        self._held: list[TextDelta] = []
        self._only_thought = False
        self.count = Count()
        self.usage: Usage | None = None
        self.state = "looking"

    def __call__(self, events: Sequence[Event]) -> None:
        shown: list[Event] = []
        for event in events:
            self.count.see(event)
            if self.state == "good":
                shown.append(self._passes.total(event) if isinstance(event, Finish) else event)
            elif self.state == "bad":
                if isinstance(event, Finish):
                    self.usage = event.usage
            elif isinstance(event, TextDelta):
                self._held.append(event)
                self._judge(shown)
            elif isinstance(event, Finish):
                self._end(event, shown)
            else:
                self._only_thought = isinstance(event, ThinkingDelta)
                shown.append(event)
        if shown:
            self._sink(shown)
        if self.state == "bad":
            raise Enough

    def _judge(self, shown: list[Event]) -> None:
        if self.state == "fenced":
            return
        text = "".join(delta.text for delta in self._held).lstrip()
        if not text:
            return
        if text[0] in self._starts:
            self._release(shown)
        elif text[0] == "`" and not self._streamed:
            self.state = "fenced"
        else:
            self._refuse(shown)

    def _end(self, finish: Finish, shown: list[Event]) -> None:
        self.usage = finish.usage
        if self.state == "fenced":
            bare = without_fence("".join(delta.text for delta in self._held))
            if bare is not None and satisfies(bare, self._wanted):
                self._held = [TextDelta(bare)]
            elif not self._is_last:
                self.state = "bad"
                return
            else:
                self._passes.notice(self._passes.plan.call.format_param)
        elif self._only_thought and finish.reason != "length":
            if not self._is_last:
                self.state = "bad"
                return
            self._passes.notice(self._passes.plan.call.format_param)
        shown.extend(self._held)
        shown.append(self._passes.total(finish))
        self.state = "over"

    def _refuse(self, shown: list[Event]) -> None:
        if not self._is_last:
            self.state = "bad"
            return
        self._passes.notice(self._passes.plan.call.format_param)
        self._release(shown)

    def _release(self, shown: list[Event]) -> None:
        shown.extend(self._held)
        self._held = []
        self.state = "good"


def tools_then_format(passes: Passes, request: ChatRequest, sink: Sink) -> None:
    """Offer tools first, without `format`; ask for the format when none is called (D14)."""
    wanted = request.params.format
    held: list[Event] = []
    finish = Finish("stop")
    called = False

    def collect(events: Sequence[Event]) -> None:
        nonlocal held, finish, called
        shown: list[Event] = []
        for event in events:
            match event:
                case TextDelta() if not called:
                    held.append(event)
                case ToolCallDone():
                    called = True
                    shown += [*held, event]
                    held = []
                case Finish():
                    finish = event
                case _:
                    shown.append(event)
        if shown:
            sink(shown)

    passes.run(with_params(request, replace(request.params, format=None)), collect)
    text = "".join(event.text for event in held if isinstance(event, TextDelta))
    bare = text if satisfies(text, wanted) else without_fence(text)
    if called:
        sink([finish])
    elif bare is not None and satisfies(bare, wanted):
        sink([*(held if bare is text else [TextDelta(bare)]), finish])
    else:
        passes.spend(finish.usage)
        verify(passes, replace(request, tools=()), sink)


def starts_of(wanted: Json) -> str:
    """Return the characters a value of this format may begin with."""
    kinds = wanted.get("type") if isinstance(wanted, Mapping) else ["object", "array"]
    if isinstance(kinds, str):
        kinds = [kinds]
    if not isinstance(kinds, list) or not kinds:
        return _ANY
    starts = [_STARTS.get(kind, "") if isinstance(kind, str) else "" for kind in kinds]
    return "".join(starts) if all(starts) else _ANY


def satisfies(text: str, wanted: Json) -> bool:
    """Whether a text is JSON that fits the top level of a format: its type, its required keys."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(wanted, Mapping):
        return isinstance(value, dict | list)
    kinds = wanted.get("type")
    if isinstance(kinds, str):
        kinds = [kinds]
    if isinstance(kinds, list) and kinds and not any(_is_a(value, kind) for kind in kinds):
        return False
    required = wanted.get("required")
    if isinstance(value, dict) and isinstance(required, list):
        return all(name in value for name in required)
    return True


def without_fence(text: str) -> str | None:
    """Return what stands inside a code fence that is all of a text; None when there is none."""
    found = _FENCE.fullmatch(text)
    return None if found is None else found[1]


def _is_a(value: Json, kind: Json) -> bool:
    if not isinstance(kind, str) or kind not in _TYPES:
        return True
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])
