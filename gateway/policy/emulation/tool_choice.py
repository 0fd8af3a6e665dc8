"""Tool calls the caller demands: Ollama has no `tool_choice`, so they are made certain here (D13).

Pass 1 offers the tools and asks for a call in words, at the end of the last user or tool turn: the
system prompt stays as it is, and with it the prompt cache. If no call comes, pass 2 asks for
nothing but the arguments and lets `format` enforce their schema. Models that cannot call tools go
straight to pass 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import orjson

from gateway.core.chat import ChatRequest, Json, Message, Tool
from gateway.core.events import Event, Finish, TextDelta, ToolCallDone
from gateway.errors import GatewayError, UpstreamError
from gateway.policy.emulation import grammar, thinking
from gateway.policy.emulation.plans import Held, Passes, Sink
from gateway.policy.emulation.structured_output import without_fence

_MAX_SHOWN: Final = 20_000
_MENDABLE: Final = ("tools_not_supported", "tool_call_parse_error")
"""Failures of pass 1 after which pass 2 may succeed."""


def force(passes: Passes, request: ChatRequest, sink: Sink, most: int = 2) -> None:
    """Answer with a call of one of the tools; with `most` 1 the model is only asked for it."""
    if passes.plan.model.can("tools") is not False:
        names = " or ".join(f"`{tool.name}`" for tool in request.tools)
        asking = _with_words(request, f"Call the function {names} now.")
        asking = replace(asking, params=replace(request.params, format=None))
        first = Held(sink, {tool.name for tool in request.tools})
        try:
            passes.run(asking, first)
        except GatewayError as error:
            # Pass 2 needs no skill in calling tools.
            if first.called or most == 1 or error.code not in _MENDABLE:
                raise
        else:
            if first.called or most == 1:
                sink([*first.texts, _called(first.finish) if first.called else first.finish])
                return
            passes.spend(first.finish.usage)
    _make(passes, request, sink)


def _make(passes: Passes, request: ChatRequest, sink: Sink) -> None:
    """Pass 2: make the call from an answer that `format` forced into the right shape."""
    texts: list[str] = []

    def collect(events: Sequence[Event]) -> None:
        shown: list[Event] = []
        for event in events:
            match event:
                case TextDelta(text):
                    texts.append(text)
                case Finish():
                    call = read_call("".join(texts), request.tools)
                    end = passes.total(event)
                    if call is not None:
                        shown += [call, _called(end)]
                    elif event.reason == "length":
                        shown.append(end)
                    else:
                        raise UpstreamError(
                            "The model did not give the tool call that was demanded.",
                            code="tool_call_parse_error",
                        )
                case _:
                    shown.append(event)
        if shown:
            sink(shown)

    passes.run(_constrained(passes, request), collect)


def read_call(text: str, tools: Sequence[Tool]) -> ToolCallDone | None:
    """Read the call from the answer of pass 2; None when it is not there."""
    try:
        value = orjson.loads(without_fence(text) or text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        return None
    if len(tools) == 1:
        return ToolCallDone("", tools[0].name, orjson.dumps(value).decode())
    name, arguments = value.get("name"), value.get("arguments")
    if name not in [tool.name for tool in tools] or not isinstance(arguments, dict):
        return None
    return ToolCallDone("", name, orjson.dumps(arguments).decode())


def schema_of(tools: Sequence[Tool]) -> Mapping[str, Json]:
    """Return the schema of pass 2: the arguments of the one tool, or a name with its arguments."""
    if len(tools) == 1:
        return tools[0].parameters
    definitions: dict[str, Json] = {}
    branches = []
    for tool in tools:
        parameters = dict(tool.parameters)
        own = parameters.pop("$defs", None)
        if own:
            # References lead from the top, where two tools may have definitions of one name.
            definitions[tool.name] = _moved(own, tool.name)
            parameters = _moved(parameters, tool.name)
        branches.append(
            {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "enum": [tool.name]},
                    "arguments": parameters,
                },
                "required": ["name", "arguments"],
            }
        )
    return {"$defs": definitions, "anyOf": branches} if definitions else {"anyOf": branches}


def _moved(value: Json, tool: str) -> Json:
    """Return a part of a schema whose references lead into the definitions of one tool."""
    if isinstance(value, list):
        return [_moved(part, tool) for part in value]
    if not isinstance(value, Mapping):
        return value
    return {
        name: part.replace("#/$defs/", f"#/$defs/{tool}/", 1)
        if name == "$ref" and isinstance(part, str)
        else _moved(part, tool)
        for name, part in value.items()
    }


def _called(finish: Finish) -> Finish:
    return finish if finish.reason == "length" else replace(finish, reason="tool_calls")


def _constrained(passes: Passes, request: ChatRequest) -> ChatRequest:
    schema, left_out = grammar.fit(schema_of(request.tools))
    if left_out:
        passes.notice("tools:pattern")
    params = replace(request.params, format=schema, logprobs=False, top_logprobs=None)
    if thinking.may_think(params, passes.plan.model):
        # With thinking on, the constraint would not start before the model has thought.
        params = replace(params, think=False)
    return replace(_with_words(request, _instruction(request.tools)), tools=(), params=params)


def _instruction(tools: Sequence[Tool]) -> str:
    if len(tools) == 1:
        head = f"Reply with the JSON arguments for the function `{tools[0].name}`, nothing else."
    else:
        head = (
            "Reply with one function call as JSON, nothing else: "
            '{"name": <function>, "arguments": <its arguments>}.'
        )
    shown = [
        {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        for tool in tools
    ]
    listed = orjson.dumps(shown, default=dict).decode()
    return f"{head}\nFunctions: {listed[:_MAX_SHOWN]}"


def _with_words(request: ChatRequest, words: str) -> ChatRequest:
    """Return the request with a sentence at the end of its last user or tool turn."""
    messages = request.messages
    for at in reversed(range(len(messages))):
        if messages[at].role in ("user", "tool"):
            content = f"{messages[at].content}\n\n{words}".lstrip()
            changed = replace(messages[at], content=content)
            return replace(request, messages=(*messages[:at], changed, *messages[at + 1 :]))
    return replace(request, messages=(*messages, Message("user", words)))
