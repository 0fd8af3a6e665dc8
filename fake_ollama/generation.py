"""Turns a request and a script into the lines of an answer, along either of Ollama's two paths."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fake_ollama.answers import answer
from fake_ollama.calls import Call
from fake_ollama.faults import Fault
from fake_ollama.formats import check_format, is_applied
from fake_ollama.models import FakeModel
from fake_ollama.refusals import runner_died, tool_call_cut
from fake_ollama.scripts import Script, ToolCall, shape_tool_call, tokenise
from fake_ollama.shapes import Ending, Piece, line

_REPEATED = 30
_NS = 1_000_000_000


@dataclass(slots=True)
class Setting:
    """What the run knows about its surroundings. Durations are nanoseconds."""

    model: FakeModel
    options: Mapping[str, Any]
    rng: random.Random
    prompt_count: int
    whole_count: int
    """What ``prompt_count`` was before the prompt was cut."""
    num_ctx: int
    shift: bool = True
    cached_count: int | None = None
    started_ns: int = 0
    load_ns: int = 0


@dataclass(slots=True)
class Plan:
    """The pieces of an answer before they become lines."""

    thinking: list[str] = field(default_factory=list)
    prefill: str = ""
    """Repeated before the content, and not counted."""
    content: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    reason: str = "stop"
    call_cost: int = 0
    call_cut: str = ""
    """The name of the call whose arguments were cut."""
    two_pass: bool = False

    @property
    def tokens(self) -> int:
        own = len(self.content) + self.call_cost + (self.reason == "stop")
        return own if self.two_pass else own + len(self.thinking)


def generate(call: Call, script: Script, setting: Setting) -> Iterator[dict[str, Any]]:
    """Give the objects of the answer's lines. Raises Refused where the runner would fail."""
    if script.chunks is not None:
        yield from _chunk_lines(call, script, setting)
        return
    plan = make_plan(call, script, setting)
    pieces = _pieces(call, script, setting, plan)
    if script.endless:
        texts = plan.content or [" more"]
        pieces = itertools.chain(pieces, (_text(call, word) for word in itertools.cycle(texts)))
    last = Piece()
    for piece in pieces:
        if piece.role == "last":
            last = replace(piece, role="assistant")
        else:
            yield line(call, setting.model, piece)
    if plan.call_cut and setting.model.path == "native":
        raise tool_call_cut(plan.call_cut)
    if setting.model.path == "rendered" and _stuck(plan.content):
        return
    yield line(call, setting.model, last, _ending(call, script, setting, plan))


def make_plan(call: Call, script: Script, setting: Setting) -> Plan:
    """Choose what is said, then cut it as ``stop`` and ``num_predict`` ask."""
    model = setting.model
    prefill = call.prefill if call.is_native(model) else ""
    thinking_on = call.thinks(model) and not prefill
    formatted = is_applied(call, model)
    thinks_first = call.thinks_first(model)
    constrained = formatted and not (thinks_first and script.thinking == "")
    thinking, content, calls = _said(call, script, model, constrained)
    plan = Plan(tokenise(thinking) if thinking_on else [], prefill, tokenise(content))
    _cut_at_stop(plan, setting.options.get("stop") or ())
    plan.calls = [
        shape_tool_call(one, index, model.path, setting.rng) for index, one in enumerate(calls)
    ]
    plan.call_cost = sum(sum(_costs(one)) for one in plan.calls)
    _cut_at_limit(plan, _limit(setting))
    plan.two_pass = thinks_first and formatted and bool(plan.thinking and plan.content)
    if model.path == "rendered" and _stuck(plan.content):
        plan.content = plan.content[: _stuck(plan.content)]
    return plan


def _said(
    call: Call, script: Script, model: FakeModel, constrained: bool
) -> tuple[str | Sequence[str], str | Sequence[str], Sequence[ToolCall]]:
    own = answer(call, model, constrained=constrained)
    scripted = script.content is not None or script.tool_calls is not None
    thinking = script.thinking if script.thinking is not None else "" if scripted else own.thinking
    content = script.content if script.content is not None else "" if scripted else own.content
    calls = (
        script.tool_calls if script.tool_calls is not None else () if scripted else own.tool_calls
    )
    return thinking, content, calls


def _cut_at_stop(plan: Plan, stops: Sequence[str]) -> None:
    """End the text before the first stop string, wherever the token borders are."""
    for words, rest in ((plan.thinking, plan.content), (plan.content, None)):
        text = "".join(words)
        found = [text.find(stop) for stop in stops if stop and stop in text]
        if not found:
            continue
        words[:] = _up_to(words, min(found))
        if rest is not None:
            rest.clear()
        return


def _up_to(words: Sequence[str], length: int) -> list[str]:
    kept: list[str] = []
    for word in words:
        if length <= 0:
            break
        kept.append(word[:length])
        length -= len(word)
    return kept


def _limit(setting: Setting) -> int | None:
    limit: int | None = setting.options.get("num_predict", -1)
    if limit is None or limit < 0 or (limit == 0 and setting.model.path == "rendered"):
        limit = None
    if not setting.shift:
        room = max(1, setting.num_ctx - setting.prompt_count)
        limit = room if limit is None else min(limit, room)
    return limit


def _cut_at_limit(plan: Plan, limit: int | None) -> None:
    if limit is None or len(plan.thinking) + len(plan.content) + plan.call_cost <= limit:
        return
    plan.reason = "length"
    plan.thinking = plan.thinking[:limit]
    limit -= len(plan.thinking)
    plan.content = plan.content[:limit]
    limit -= len(plan.content)
    plan.call_cost = min(plan.call_cost, limit)
    _cut_calls(plan, limit)


def _cut_calls(plan: Plan, limit: int) -> None:
    """Keep the calls whose arguments end in time. A call without its whole name was never one."""
    kept: list[dict[str, Any]] = []
    for one in plan.calls:
        name, arguments, ending = _costs(one)
        if limit < name + arguments:
            plan.call_cut = str(one["function"]["name"]) if limit >= name else ""
            break
        kept.append(one)
        limit -= name + arguments + ending
    plan.calls = kept


def _costs(call: Mapping[str, Any]) -> tuple[int, int, int]:
    """Count the tokens a model needs to the end of a call's name, of its arguments, and after."""
    function = call["function"]
    name = tokenise(f'{{"name": "{function["name"]}')
    arguments = tokenise(f'", "arguments": {json.dumps(function["arguments"])}')
    return len(name), len(arguments), 1


def _stuck(words: Sequence[str]) -> int:
    """Give where a run of identical tokens has become too long for Ollama, or 0."""
    run = 0
    for count, (before, word) in enumerate(itertools.pairwise(words), start=2):
        run = run + 1 if word.strip() == before.strip() else 0
        if run >= _REPEATED - 1:
            return count
    return 0


def _pieces(call: Call, script: Script, setting: Setting, plan: Plan) -> Iterator[Piece]:
    """Give one piece a line; the one whose role is ``last`` rides on the done line."""
    rendered = setting.model.path == "rendered"
    if plan.thinking and rendered and call.endpoint == "generate" and not setting.model.gpt_oss:
        yield Piece()
    for word in plan.thinking:
        yield Piece(thinking=word, logprobs=_logprobs(call, word))
    if plan.two_pass:
        check_format(call, setting.model)
        yield Piece()
    if plan.prefill and not plan.content:
        yield Piece(content=plan.prefill)
    for count, word in enumerate(plan.content):
        yield _text(call, word, plan.prefill if count == 0 else "")
    if not plan.calls:
        return
    marks = tuple(entry for one in plan.calls for entry in _logprobs(call, one["function"]["name"]))
    if not rendered or setting.model.gpt_oss or call.endpoint == "generate":
        yield Piece(tool_calls=tuple(plan.calls), logprobs=marks, role="last")
        return
    for one in plan.calls:
        yield Piece(tool_calls=(one,), logprobs=_logprobs(call, one["function"]["name"]))


def _text(call: Call, word: str, prefill: str = "") -> Piece:
    return Piece(content=prefill + word, logprobs=_logprobs(call, word))


def _ending(call: Call, script: Script, setting: Setting, plan: Plan) -> Ending:
    """Give the counters; times are real but never zero."""
    total = time.perf_counter_ns() - setting.started_ns
    counted = plan.tokens if script.eval_count is None else script.eval_count
    prompt = setting.prompt_count + (len(plan.thinking) if plan.two_pass else 0)
    cached = setting.cached_count if script.cached_count is None else script.cached_count
    left = max(2, total - setting.load_ns)
    return Ending(
        done_reason=plan.reason if script.done_reason is None else script.done_reason,
        load_duration=max(1, setting.load_ns),
        prompt_eval_count=prompt if script.prompt_eval_count is None else script.prompt_eval_count,
        cached_count=cached,
        prompt_eval_duration=left // 4 + 1,
        eval_count=counted,
        eval_duration=left // 2 + 1 if counted else 0,
        total_duration=max(4, total),
        context=_context(call, setting, plan),
        override=script.final,
    )


def _context(call: Call, setting: Setting, plan: Plan) -> tuple[int, ...]:
    if call.endpoint != "generate" or call.raw:
        return ()
    return tuple(range(100, 100 + setting.whole_count + plan.tokens))


def _chunk_lines(call: Call, script: Script, setting: Setting) -> Iterator[dict[str, Any]]:
    last, count = Piece(), 0
    for chunk in script.chunks or ():
        calls = tuple(
            shape_tool_call(one, index, setting.model.path, setting.rng)
            for index, one in enumerate(chunk.get("tool_calls", ()))
        )
        piece = Piece(
            chunk.get("thinking", ""),
            chunk.get("content", ""),
            calls,
            tuple(chunk.get("logprobs", ())),
        )
        count += 1
        if chunk.get("done"):
            last = piece
        else:
            yield line(call, setting.model, piece)
    plan = Plan(content=[""] * count)
    yield line(call, setting.model, last, _ending(call, script, setting, plan))


def _logprobs(call: Call, token: str) -> tuple[dict[str, Any], ...]:
    """Give the token's entry; probabilities come from its text, so every run has the same."""
    if not call.logprobs:
        return ()
    chance = 0.5 + int.from_bytes(hashlib.sha256(token.encode()).digest()[:2]) / 65_536 / 2
    entry = _entry(token, chance)
    if call.top_logprobs:
        others = [_entry(f"{token}{n}", (1 - chance) / 2**n) for n in range(1, call.top_logprobs)]
        entry["top_logprobs"] = [_entry(token, chance), *others]
    return (entry,)


def _entry(token: str, chance: float) -> dict[str, Any]:
    made: dict[str, Any] = {"token": token, "logprob": round(math.log(max(chance, 1e-9)), 6)}
    if token:
        made["bytes"] = list(token.encode())
    return made


def bend_run(
    lines: Iterator[dict[str, Any]], faults: Sequence[Fault], kill: Callable[[], None]
) -> Iterator[dict[str, Any]]:
    """Apply the faults that lie in the run itself, and so show with and without streaming.

    ``kill`` ends the runner. Raises Refused when that was asked for.
    """
    kinds = {fault.kind for fault in faults}
    dies_after = next((fault.after for fault in faults if fault.kind == "runner_died"), None)
    for count, one in enumerate(() if "zero_lines" in kinds else lines):
        if count == dies_after:
            kill()
            raise runner_died()
        if one.get("done") and "nodone" in kinds:
            return
        if one.get("done") and "wrong_types" in kinds:
            one |= {"prompt_eval_count": -3, "eval_count": "seven", "total_duration": 1.5}
        yield one
        if one.get("done") and "done_twice" in kinds:
            yield dict(one)
