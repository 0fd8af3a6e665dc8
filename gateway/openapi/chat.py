"""Chat completions, completions, embeddings."""

from __future__ import annotations

from gateway.openapi.parts import (
    Schema,
    alike,
    answer,
    anything,
    constant,
    either,
    flag,
    integer,
    listed,
    nullable,
    number,
    ref,
    request,
    text,
    word,
)
from gateway.openapi.shared import (
    EFFORT,
    GENERATION,
    OBJECT,
    RECORDED,
    RESPONSE_FORMAT,
    SAMPLING,
    WAITING,
    token_limit,
)

_FINISH = word("stop", "length", "tool_calls", "function_call")
_EMPTY = request({}, about="Refused unless empty.")
_LOGPROBS = nullable(
    answer({"content": nullable(listed(ref("TokenLogprob"))), "refusal": {"type": "null"}})
)
_GIVEN_FUNCTION = request({"name": text(), "arguments": either(text(), OBJECT)}, "name")
_ANY_SCHEMA = anything("A JSON schema.")
_DESCRIBED = {**alike(text(), "name", "description"), "parameters": _ANY_SCHEMA, "strict": flag()}
_MESSAGE = answer(
    {
        "role": constant("assistant"),
        "content": nullable(text()),
        "refusal": {"type": "null"},
        "annotations": listed(anything()),
        "reasoning_content": text("Thinking; the name depends on the setting."),
        "reasoning": text(),
        "tool_calls": listed(ref("ToolCall")),
        "function_call": answer(alike(text(), "name", "arguments")),
    },
    optional="reasoning_content reasoning tool_calls function_call",
)
_CHOICE = {"index": integer(), "finish_reason": _FINISH, "logprobs": _LOGPROBS, "message": _MESSAGE}
_FUNCTION_DELTA = answer(alike(text(), "name", "arguments"), optional="name")
_CALL_DELTA = answer(
    {
        "index": integer(),
        **alike(text(), "id", "type"),
        "function": _FUNCTION_DELTA,
        "custom": answer(alike(text(), "name", "input"), optional="name input"),
    },
    optional="id type function custom",
)
_DELTA = {
    "role": constant("assistant"),
    "content": nullable(text()),
    **alike(text(), "reasoning_content", "reasoning"),
    "tool_calls": listed(_CALL_DELTA),
    "function_call": _FUNCTION_DELTA,
}
_CHUNK_CHOICE = {
    "index": integer(),
    "delta": answer(_DELTA, optional=" ".join(_DELTA)),
    "logprobs": _LOGPROBS,
    "finish_reason": nullable(_FINISH),
}
_COMPLETION_LOGPROBS = answer(
    {
        "tokens": listed(text()),
        "token_logprobs": listed(nullable(number())),
        "top_logprobs": nullable(listed(anything())),
        "text_offset": listed(integer()),
    }
)
_COMPLETION_CHOICE = {
    "index": integer(),
    "text": text(),
    "logprobs": nullable(_COMPLETION_LOGPROBS),
    "finish_reason": nullable(word("stop", "length")),
}
_COMPLETION_USAGE = alike(integer(), "prompt_tokens", "completion_tokens", "total_tokens")
_VECTOR = either(listed(number()), text("base64 of little-endian 32-bit floats."))
_EMBEDDING = {"object": constant("embedding"), "index": integer(), "embedding": _VECTOR}
SCHEMAS: dict[str, Schema] = {
    "ContentPart": request(
        {
            "type": text("text, image_url, input_audio, file, refusal, thinking, ..."),
            "text": text(),
            "image_url": either(
                request({"url": text("data: or http(s):"), "detail": text()}, "url"), text()
            ),
            "input_audio": request(alike(text(), "data", "format"), "data"),
            "file": request(alike(text(), "file_data", "filename")),
        },
        required="type",
    ),
    "ChatMessage": request(
        {
            "role": word("system", "developer", "user", "assistant", "tool", "function"),
            "content": either(text(), listed(ref("ContentPart"))),
            "tool_calls": listed(
                request({**alike(text(), "id", "type"), "function": _GIVEN_FUNCTION})
            ),
            "tool_call_id": text("Of a `tool` message: which call it answers."),
            "reasoning_content": text("Thinking of an earlier turn; also `reasoning`, `thinking`."),
            **alike(text(), "reasoning", "thinking", "refusal", "name"),
            "function_call": request(alike(text(), "name", "arguments")),
        },
        required="role",
    ),
    "Tool": request(
        {
            "type": text("function or custom; others are left out with notice."),
            "function": request(_DESCRIBED, "name"),
            "custom": request({**alike(text(), "name", "description"), "format": anything()}),
            **_DESCRIBED,
            "input_schema": _ANY_SCHEMA,
        },
        about="In OpenAI's nested or flat form, or Anthropic's.",
    ),
    "ChatRequest": request(
        {
            **GENERATION,
            **SAMPLING,
            "model": text("Name, alias or pattern of a model."),
            "messages": listed(ref("ChatMessage"), minItems=1),
            **alike(flag(), "stream", "logprobs"),
            "stream_options": request(alike(flag(), "include_usage", "include_obfuscation")),
            "max_completion_tokens": token_limit("Thinking counts too; -1 is no limit."),
            "max_tokens": token_limit("The older name; the other one wins."),
            "n": integer("Number of answers, each its own call to Ollama.", 1),
            "top_logprobs": integer("", 0, 20),
            "logit_bias": _EMPTY,
            "response_format": RESPONSE_FORMAT,
            "tools": listed(ref("Tool")),
            "tool_choice": either(
                word("none", "auto", "required"),
                OBJECT,
                about="A forced call is made certain by a constrained second pass.",
            ),
            "parallel_tool_calls": flag("false keeps the first call only."),
            "functions": listed(OBJECT, "The older form of `tools`."),
            "function_call": either(text(), OBJECT),
            "reasoning_effort": EFFORT,
            "reasoning": ref("Reasoning"),
            "thinking": either(flag(), OBJECT),
            **alike(RECORDED, "user", "safety_identifier"),
            "metadata": request({}, about="timeout_ms and keep_alive are read from it."),
            "store": flag("Without effect: chat completions are not stored."),
            **alike(text("Without effect."), "verbosity", "service_tier"),
            **alike(anything("Without effect."), "prediction", "audio"),
            "prompt_cache_key": text("Without effect: Ollama caches prefixes by itself."),
            "modalities": listed(text(), "audio is refused."),
            **alike(anything("Refused."), "web_search_options", "moderation"),
        },
        required="model messages",
    ),
    "ToolCall": answer(
        {
            "id": text(),
            "type": word("function", "custom"),
            "function": answer({"name": text(), "arguments": text("JSON text.")}),
            "custom": answer(alike(text(), "name", "input")),
        },
        optional="function custom",
    ),
    "ChatCompletion": answer(
        {
            **alike(text(), "id", "system_fingerprint", "service_tier"),
            "object": constant("chat.completion"),
            "created": integer(),
            "model": text("As the caller wrote it."),
            "choices": listed(answer(_CHOICE)),
            "usage": ref("ChatUsage"),
        },
        optional="service_tier",
    ),
    "ChatCompletionChunk": answer(
        {
            **alike(text(), "id", "model", "system_fingerprint", "service_tier"),
            "object": constant("chat.completion.chunk"),
            "created": integer(),
            "choices": listed(answer(_CHUNK_CHOICE)),
            "usage": nullable(ref("ChatUsage")),
        },
        "One `data:` event; the last one is `[DONE]`.",
        optional="usage service_tier",
    ),
    "CompletionRequest": request(
        {
            **GENERATION,
            **SAMPLING,
            **alike(text(), "model", "template", "system"),
            "prompt": either(text(), listed(text()), about="Token lists are refused."),
            "suffix": text("Fill in the middle; the model must be able to."),
            "max_tokens": token_limit(),
            "n": integer("", 1),
            "best_of": integer("1, or equal to n.", 1),
            "echo": flag("Put the prompt before the text."),
            "logprobs": integer("", 0, 5),
            "logit_bias": _EMPTY,
            "stream": flag(),
            "stream_options": request({"include_usage": flag()}),
            "user": RECORDED,
            "raw": flag("Send the prompt without the model's template."),
            "images": listed(text()),
            "reasoning_effort": EFFORT,
            "reasoning": ref("Reasoning"),
        },
        required="model prompt",
    ),
    "Completion": answer(
        {
            **alike(text(), "id", "model", "system_fingerprint"),
            "object": constant("text_completion"),
            "created": integer(),
            "choices": listed(answer(_COMPLETION_CHOICE)),
            "usage": nullable(answer(_COMPLETION_USAGE)),
        },
        "The whole answer; streamed, each event is one of these and the last one is `[DONE]`.",
        optional="usage",
    ),
    "EmbeddingRequest": request(
        {
            **WAITING,
            "model": text(),
            "input": either(text(), listed(text(), minItems=1), about="Token lists are refused."),
            "encoding_format": word("float", "base64"),
            "dimensions": integer("Must be a size the model can make.", 1),
            "user": RECORDED,
            "options": ref("Options"),
            "extra_body": request({}),
        },
        required="model input",
    ),
    "EmbeddingList": answer(
        {
            "object": constant("list"),
            "model": text(),
            "data": listed(answer(_EMBEDDING)),
            "usage": answer(alike(integer(), "prompt_tokens", "total_tokens")),
        }
    ),
}
"""The named schemas."""
