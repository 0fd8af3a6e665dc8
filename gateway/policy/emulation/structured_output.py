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
from gateway.core.events import Event, Finish, TextDelta, ThinkingDelta, Usage
from gateway.policy.emulation import thinking
from gateway.policy.emulation.plans import Count, Enough, Held, Passes, Sink

_FENCE: Final = re.compile(r"```[A-Za-z0-9_-]*[ \t]*")
_ANY: Final = '{["-0123456789tfn'
_KINDS: Final[Mapping[str, tuple[str, type | tuple[type, ...]]]] = {
    "object": ("{", dict),
    "array": ("[", list),
    "string": ('"', str),
    "number": ("-0123456789", (int, float)),
    "integer": ("-0123456789", int),
    "boolean": ("tf", bool),
    "null": ("n", type(None)),
}
"""What the JSON of each type may begin with, and what it is in Python."""


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
        requests.append(replace(request, params=replace(params, think=False)))
    elif plan.model.can("thinking"):
        requests.append(replace(request, params=replace(params, think=None)))
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
                self._judge(event.text.lstrip(), shown)
            elif isinstance(event, Finish):
                self._end(event, shown)
            else:
                self._only_thought = isinstance(event, ThinkingDelta)
                shown.append(event)
        if shown:
            self._sink(shown)
        if self.state == "bad":
            raise Enough

    def _judge(self, text: str, shown: list[Event]) -> None:
        """Judge the answer by the first text that is more than white space."""
        if self.state == "fenced" or not text:
            return
        if text[0] == "`" and not self._streamed:
            self.state = "fenced"
        elif text[0] in self._starts or self._accept():
            shown.extend(self._held)
            self._held = []
            self.state = "good"

    def _end(self, finish: Finish, shown: list[Event]) -> None:
        self.usage = finish.usage
        fits = not self._only_thought or finish.reason == "length"
        if self.state == "fenced":
            bare = without_fence("".join(delta.text for delta in self._held))
            fits = bare is not None and satisfies(bare, self._wanted)
            if bare is not None and fits:
                self._held = [TextDelta(bare)]
        if fits or self._accept():
            shown.extend(self._held)
            shown.append(self._passes.total(finish))
            self.state = "over"

    def _accept(self) -> bool:
        """Whether an answer of another form is given as it is, since nothing is left to try."""
        if self._is_last:
            self._passes.notice(self._passes.plan.call.format_param)
        else:
            self.state = "bad"
        return self._is_last


def tools_then_format(passes: Passes, request: ChatRequest, sink: Sink) -> None:
    """Offer tools first, without `format`; ask for the format when none is called (D14)."""
    wanted = request.params.format
    first = Held(sink)
    passes.run(replace(request, params=replace(request.params, format=None)), first)
    text = "".join(event.text for event in first.texts)
    bare = text if satisfies(text, wanted) else without_fence(text)
    if first.called:
        sink([first.finish])
    elif bare is not None and satisfies(bare, wanted):
        sink([*(first.texts if bare is text else [TextDelta(bare)]), first.finish])
    else:
        passes.spend(first.finish.usage)
        verify(passes, replace(request, tools=()), sink)


def starts_of(wanted: Json) -> str:
    """Return the characters a value of this format may begin with."""
    kinds = _kinds_of(wanted)
    return "".join(_KINDS[kind][0] for kind in kinds) if kinds else _ANY


def satisfies(text: str, wanted: Json) -> bool:
    """Whether a text is JSON that fits the top level of a format: its type, its required keys."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    kinds = _kinds_of(wanted)
    if isinstance(value, bool):
        return not kinds or "boolean" in kinds
    if kinds and not any(isinstance(value, _KINDS[kind][1]) for kind in kinds):
        return False
    required = wanted.get("required") if isinstance(wanted, Mapping) else None
    if isinstance(value, dict) and isinstance(required, list):
        return all(name in value for name in required)
    return True


def _kinds_of(wanted: Json) -> list[str]:
    """Return the types a format allows; none where it says nothing, or something unknown."""
    kinds = wanted.get("type") if isinstance(wanted, Mapping) else ["object", "array"]
    if isinstance(kinds, str):
        kinds = [kinds]
    if not isinstance(kinds, list) or any(not isinstance(k, str) or k not in _KINDS for k in kinds):
        return []
    return kinds


def without_fence(text: str) -> str | None:
    """Return what stands inside a code fence that is all of a text; None when there is none."""
    head, _, rest = text.strip().partition("\n")
    if not rest.endswith("```") or not _FENCE.fullmatch(head):
        return None
    return rest[:-3].rstrip(" \t").removesuffix("\n")
