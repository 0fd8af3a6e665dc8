"""`POST /v1/chat/completions` (docs/contract/chat.md).

messages   the conversation
calls      the model's tool calls in the answer
stream     the answer as events
dialect    everything else of a request, and the whole answer
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.core.chat import Call, ChatRequest, Envelope, Json, Params
from gateway.core.events import Reply
from gateway.dialects.base import Dialect, Reading
from gateway.dialects.chat.calls import CallIds, Shown, call_word, shown_of, whole_calls
from gateway.dialects.chat.messages import read_messages
from gateway.dialects.chat.stream import Writer
from gateway.dialects.shared.openai import (
    OPENAI,
    error_frame,
    finish_word,
    head,
    reasoning_names,
    token_object,
    total_usage,
    usage_object,
)
from gateway.dialects.shared.params import OPENAI_NAMES, read_params, root_of
from gateway.dialects.shared.reading import Fields, invalid, read_end_user, read_model, unsupported
from gateway.dialects.shared.schemas import read_response_format
from gateway.dialects.shared.tool_choice import read_offer

_REFUSED = {
    "web_search_options": "the gateway searches nothing.",
    "moderation": "nothing is moderated here.",
}
_NO_BIAS = "it needs the token ids of the model, which Ollama does not take."
"""Callers of `logit_bias` rely on it, so it is refused and not ignored (D17)."""


def parse(body: Json, reading: Reading) -> Call:
    """Read a chat completion request. Raises InvalidRequest."""
    behaviour = reading.behaviour
    root = root_of(body)
    model = read_model(root)
    refuse(root)
    params, ignored = read_params(body, OPENAI_NAMES)
    messages = read_messages(root, behaviour.max_messages)
    offer = read_offer(root, behaviour.max_tools)
    parallel = root.flag("parallel_tool_calls")
    request = ChatRequest(
        model=model,
        messages=messages,
        params=_with_answer_shape(root, params),
        tools=offer.tools,
        tool_choice=offer.choice,
        # `function_call` has room for one call.
        parallel_tool_calls=parallel is not False and not offer.legacy,
        n=root.integer("n", 1, behaviour.max_n) or 1,
    )
    return Call(
        request=request,
        stream=root.flag("stream") or False,
        include_usage=wants_usage(root),
        ignored=(*ignored, *offer.ignored),
        end_user=read_end_user(root),
        extra=Shown(offer.legacy, root.get("service_tier") is not None),
        body=body,
    )


def render(replies: Sequence[Reply], envelope: Envelope) -> Json:
    """Return the whole answer."""
    ids = CallIds(envelope.seed)
    usage = total_usage([reply.finish.usage for reply in replies], len(replies))
    answer: dict[str, Json] = {
        **head(envelope, "chatcmpl-", "chat.completion"),
        "choices": [_choice(index, reply, envelope, ids) for index, reply in enumerate(replies)],
        "usage": usage_object(usage),
    }
    if shown_of(envelope).service_tier:
        answer["service_tier"] = "default"
    return answer


def refuse(root: Fields) -> None:
    """Raise InvalidRequest for what would have to change the answer and cannot."""
    for name, why in _REFUSED.items():
        if root.get(name) is not None:
            raise unsupported(name, why)
    refuse_bias(root)
    modalities = root.get("modalities")
    if isinstance(modalities, list) and "audio" in modalities:
        raise invalid("Models here answer in text only.", "modalities", "unsupported_value")


def refuse_bias(root: Fields) -> None:
    """Raise InvalidRequest for a `logit_bias` that is not empty."""
    if root.get("logit_bias"):
        raise unsupported("logit_bias", _NO_BIAS)


def wants_usage(root: Fields) -> bool:
    """Return whether a stream shall end with a chunk of its own for usage."""
    options = root.fields("stream_options")
    return options is not None and (options.flag("include_usage") or False)


def _with_answer_shape(root: Fields, params: Params) -> Params:
    """Add `response_format` and `logprobs`."""
    form = root.fields("response_format")
    if form is not None:
        params = replace(params, format=read_response_format(form, "json_schema.schema"))
    top = root.integer("top_logprobs", 0, 20)
    wanted = root.flag("logprobs")
    if wanted or (wanted is None and top is not None):
        params = replace(params, logprobs=True, top_logprobs=top)
    return params


def _choice(index: int, reply: Reply, envelope: Envelope, ids: CallIds) -> Json:
    calls = whole_calls(reply.tool_calls, envelope, ids)
    message: dict[str, Json] = {
        "role": "assistant",
        "content": None if calls and not reply.text else reply.text,
        "refusal": None,
        "annotations": [],
    }
    if reply.thinking:
        message.update(dict.fromkeys(reasoning_names(envelope), reply.thinking))
    message.update(calls)
    word = call_word(envelope) if reply.tool_calls else ""
    logprobs: Json = None
    if reply.logprobs and envelope.call.request.params.logprobs:
        logprobs = {"content": [token_object(token) for token in reply.logprobs], "refusal": None}
    return {
        "index": index,
        "finish_reason": finish_word(reply.finish, word),
        "logprobs": logprobs,
        "message": message,
    }


CHAT = Dialect(
    name="chat",
    label="chat completions",
    vendor=OPENAI,
    paths=("/v1/chat/completions", "/chat/completions"),
    prompt_param="messages",
    parse=parse,
    render=render,
    writer=Writer,
    error_event=lambda error, request_id: error_frame(error),
)
