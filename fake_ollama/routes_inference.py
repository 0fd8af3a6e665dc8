"""``/api/chat`` and ``/api/generate``.

Source: ``server/routes.go`` ChatHandler, GenerateHandler.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from fake_ollama.bending import play
from fake_ollama.calls import Call, parse_chat, parse_generate
from fake_ollama.encoding import encode_json, encode_line
from fake_ollama.exchange import Exchange, Pace
from fake_ollama.faults import REFUSALS
from fake_ollama.formats import check_format
from fake_ollama.generation import Setting, bend_run, generate
from fake_ollama.models import FakeModel
from fake_ollama.names import parse_name
from fake_ollama.options import load_key, read_options
from fake_ollama.prompts import cut, fit, rendered_prompt
from fake_ollama.refusals import Refused, nested
from fake_ollama.scheduler import Runner
from fake_ollama.scripts import DEFAULT_SCRIPT, Script, recorded_lines
from fake_ollama.shapes import as_endpoint, debug_object, echoed_name, fold, load_object
from fake_ollama.templates import check_template, check_turns

if TYPE_CHECKING:
    from fake_ollama.server import FakeOllama

_ENDLESS_DELAY_S = 0.002
_IMAGE_HINT = (
    "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
)
_IMAGE_DATA = "Multimodal data provided, but model does not support multimodal requests."


def chat(fake: FakeOllama, exchange: Exchange) -> None:
    call = parse_chat(exchange.request.body)
    if not call.name:
        raise Refused(400, "model is required")
    _run(fake, exchange, call)


def generate_text(fake: FakeOllama, exchange: Exchange) -> None:
    call = parse_generate(exchange.request.body)
    if not call.name:
        raise Refused(404, "model '' not found")
    _run(fake, exchange, call)


def _run(fake: FakeOllama, exchange: Exchange, call: Call) -> None:
    started_ns = time.perf_counter_ns()
    exchange.streams = call.stream
    model = fake.library.resolve(call.name, exchange)
    if not call.asks and call.keep_alive_s == 0:
        fake.scheduler.unload(model)
        exchange.send_json(200, load_object(call, "unload"))
        return
    _check_capabilities(call, model)
    options = read_options(model, call.options)
    key = load_key(model, options, call.shift, fake.default_num_ctx)
    look = fake.scripts.take if call.asks else fake.scripts.peek
    script = look(exchange.waiter.targets, exchange.recorded.json or {}) or DEFAULT_SCRIPT
    faults = [fault for fault in script.faults if call.asks or fault.kind in REFUSALS]
    exchange.put_on(faults)
    exchange.waiter.pause(script.first_delay_s if call.asks else 0.0)
    if play(exchange, exchange.faults):
        return
    with fake.slot(model, key, call.keep_alive_s, exchange, script.load_delay_s) as runner:
        load_ns = time.perf_counter_ns() - started_ns
        if not call.asks:
            exchange.send_json(200, load_object(call, "load"))
            return
        if call.debug:
            exchange.send_json(200, debug_object(call, rendered_prompt(call)))
            return
        check_template(str(call.body.get("template", "")))
        tokens = fit(call, key.num_ctx, lambda: check_turns(call, model))
        _check_runner(call, model)
        whole_count = len(tokens)
        tokens = cut(call, model, key, options, tokens)
        setting = Setting(
            model,
            options,
            fake.rng,
            len(tokens),
            whole_count,
            key.num_ctx,
            shift=key.shift,
            cached_count=_cached(runner, tokens) if fake.counts_cached else None,
            started_ns=started_ns,
            load_ns=load_ns,
        )
        _answer(exchange, call, script, setting, fake, runner)


def _answer(
    exchange: Exchange,
    call: Call,
    script: Script,
    setting: Setting,
    fake: FakeOllama,
    runner: Runner,
) -> None:
    pace = _pace(fake, script)
    if call.stream and script.ndjson is not None:
        exchange.stream(_replayed_bytes(call, script, setting.model), pace)
        return
    if script.ndjson is not None:
        run = _replayed(call, script, setting.model)
    else:
        run = generate(call, script, setting)
    run = bend_run(run, exchange.faults, lambda: fake.scheduler.kill(runner))
    if call.stream:
        exchange.stream(map(encode_line, run), pace)
        return
    whole = fold(_paced(exchange, run, pace), call)
    failed = next((fault for fault in exchange.faults if fault.kind.startswith("error_line")), None)
    if failed is not None:
        raise Refused(500, failed.message)
    exchange.send_json(200, whole)


def _paced(
    exchange: Exchange, lines: Iterator[dict[str, Any]], pace: Pace
) -> Iterator[dict[str, Any]]:
    for count, one in enumerate(lines):
        exchange.step(count, pace())
        yield one


def _pace(fake: FakeOllama, script: Script) -> Pace:
    least = _ENDLESS_DELAY_S if script.endless else 0.0
    if script.delay_s is None:
        return lambda: max(least, fake.pace())
    delay_s = max(least, script.delay_s)
    return lambda: delay_s


def _replayed(call: Call, script: Script, model: FakeModel) -> Iterator[dict[str, Any]]:
    for one in recorded_lines(script.ndjson or ""):
        if one.value is None:
            continue
        if "error" in one.value:
            raise Refused(500, str(one.value["error"]))
        yield as_endpoint(one.value, call, echoed_name(call.name, model))


def _replayed_bytes(call: Call, script: Script, model: FakeModel) -> Iterator[bytes]:
    name = echoed_name(call.name, model)
    for one in recorded_lines(script.ndjson or ""):
        if one.value is None:
            yield one.raw
        else:
            yield encode_json(as_endpoint(one.value, call, name)) + one.ending


def _check_capabilities(call: Call, model: FakeModel) -> None:
    if model.remote:
        return
    if call.think and not model.can("thinking"):
        raise Refused(400, f'"{call.name}" does not support thinking')
    if not model.can("completion"):
        raise Refused(400, f'"{call.name}" does not support {call.endpoint}')
    for wanted, capability in ((call.tools, "tools"), (call.suffix, "insert")):
        if wanted and not model.can(capability):
            raise Refused(400, f"{_full_name(model)} does not support {capability}")


def _full_name(model: FakeModel) -> str:
    name = parse_name(model.name)
    return name.full if name else model.name


def _cached(runner: Runner, tokens: list[str]) -> int:
    """Count the tokens this prompt shares with the one before it, and remember it."""
    before, runner.last_prompt = runner.last_prompt, tokens
    return sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, tokens, strict=False))
    )


def _check_runner(call: Call, model: FakeModel) -> None:
    """Refuse what llama-server refuses once the model is loaded."""
    if call.images and not (model.can("vision") or model.can("audio")) and not model.remote:
        if call.is_native(model):
            raise nested(500, _IMAGE_HINT, "server_error")
        raise nested(400, _IMAGE_DATA, "invalid_request_error")
    if not call.thinks_first(model):
        check_format(call, model)
    if not call.is_native(model):
        return
    if call.tools and call.logprobs:
        text = "logprobs is not supported with tools + stream"
        raise nested(400, text, "invalid_request_error")
    roles = [turn["role"] for turn in call.messages]
    if roles[-2:] == ["assistant", "assistant"]:
        text = "Cannot have 2 or more assistant messages at the end of the list."
        raise nested(400, text, "invalid_request_error")
