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
    OBJECT,
    RECORDED,
    RESPONSE_FORMAT,
    SAMPLING,
    WAITING,
    generation_fields,
    token_limit,
)

_FINISH = word("stop", "length", "tool_calls", "function_call")
_EMPTY = request({}, about="Refused unless empty.")
_LOGPROBS = nullable(
    answer({"content": nullable(listed(ref("TokenLogprob"))), "refusal": {"type": "null"}})
)


def schemas() -> dict[str, Schema]:
    """Return the named schemas."""
    return {
        "ContentPart": _content_part(),
        "ChatMessage": _message(),
        "Tool": _tool(),
        "ChatRequest": _chat_request(),
        "ToolCall": answer(
            {
                "id": text(),
                "type": word("function", "custom"),
                "function": answer({"name": text(), "arguments": text("JSON text.")}),
                "custom": answer(alike(text(), "name", "input")),
            },
            optional="function custom",
        ),
        "ChatCompletion": _chat_answer(),
        "ChatCompletionChunk": _chat_chunk(),
        "CompletionRequest": _completion_request(),
        "Completion": _completion(),
        "EmbeddingRequest": request(
            {
                **WAITING,
                "model": text(),
                "input": either(
                    text(), listed(text(), minItems=1), about="Token lists are refused."
                ),
                "encoding_format": word("float", "base64"),
                "dimensions": integer("Must be a size the model can make.", 1),
                "user": RECORDED,
                "options": ref("Options"),
                "extra_body": request({}),
            },
            required="model input",
        ),
        "EmbeddingList": _embeddings(),
    }


def _content_part() -> Schema:
    return request(
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
    )


def _message() -> Schema:
    function = request({"name": text(), "arguments": either(text(), OBJECT)}, "name")
    return request(
        {
            "role": word("system", "developer", "user", "assistant", "tool", "function"),
            "content": either(text(), listed(ref("ContentPart"))),
            "tool_calls": listed(request({**alike(text(), "id", "type"), "function": function})),
            "tool_call_id": text("Of a `tool` message: which call it answers."),
            "reasoning_content": text("Thinking of an earlier turn; also `reasoning`, `thinking`."),
            **alike(text(), "reasoning", "thinking", "refusal", "name"),
            "function_call": request(alike(text(), "name", "arguments")),
        },
        required="role",
    )


def _tool() -> Schema:
    schema = anything("A JSON schema.")
    described = {**alike(text(), "name", "description"), "parameters": schema, "strict": flag()}
    return request(
        {
            "type": text("function or custom; others are left out with notice."),
            "function": request(described, "name"),
            "custom": request({**alike(text(), "name", "description"), "format": anything()}),
            **described,
            "input_schema": schema,
        },
        about="In OpenAI's nested or flat form, or Anthropic's.",
    )


def _chat_request() -> Schema:
    return request(
        {
            **generation_fields(),
            **SAMPLING,
            "model": text("Name, alias or pattern of a model."),
            "messages": listed(ref("ChatMessage"), minItems=1),
            "stream": flag(),
            "stream_options": request(alike(flag(), "include_usage", "include_obfuscation")),
            "max_completion_tokens": token_limit("Thinking counts too; -1 is no limit."),
            "max_tokens": token_limit("The older name; the other one wins."),
            "n": integer("Number of answers, each its own call to Ollama.", 1),
            "logprobs": flag(),
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
    )


def _chat_answer() -> Schema:
    message = answer(
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
    choice = {
        "index": integer(),
        "finish_reason": _FINISH,
        "logprobs": _LOGPROBS,
        "message": message,
    }
    return answer(
        {
            **alike(text(), "id", "system_fingerprint", "service_tier"),
            "object": constant("chat.completion"),
            "created": integer(),
            "model": text("As the caller wrote it."),
            "choices": listed(answer(choice)),
            "usage": ref("ChatUsage"),
        },
        optional="service_tier",
    )


def _chat_chunk() -> Schema:
    function = answer(alike(text(), "name", "arguments"), optional="name")
    call = answer(
        {
            "index": integer(),
            **alike(text(), "id", "type"),
            "function": function,
            "custom": answer(alike(text(), "name", "input"), optional="name input"),
        },
        optional="id type function custom",
    )
    delta = {
        "role": constant("assistant"),
        "content": nullable(text()),
        **alike(text(), "reasoning_content", "reasoning"),
        "tool_calls": listed(call),
        "function_call": function,
    }
    choice = {
        "index": integer(),
        "delta": answer(delta, optional=" ".join(delta)),
        "logprobs": _LOGPROBS,
        "finish_reason": nullable(_FINISH),
    }
    return answer(
        {
            **alike(text(), "id", "model", "system_fingerprint", "service_tier"),
            "object": constant("chat.completion.chunk"),
            "created": integer(),
            "choices": listed(answer(choice)),
            "usage": nullable(ref("ChatUsage")),
        },
        "One `data:` event; the last one is `[DONE]`.",
        optional="usage service_tier",
    )


def _completion_request() -> Schema:
    return request(
        {
            **generation_fields(),
            **SAMPLING,
            "model": text(),
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
            **alike(text(), "template", "system"),
            "images": listed(text()),
            "reasoning_effort": EFFORT,
            "reasoning": ref("Reasoning"),
        },
        required="model prompt",
    )


def _completion() -> Schema:
    logprobs = answer(
        {
            "tokens": listed(text()),
            "token_logprobs": listed(nullable(number())),
            "top_logprobs": nullable(listed(anything())),
            "text_offset": listed(integer()),
        }
    )
    choice = {
        "index": integer(),
        "text": text(),
        "logprobs": nullable(logprobs),
        "finish_reason": nullable(word("stop", "length")),
    }
    usage = alike(integer(), "prompt_tokens", "completion_tokens", "total_tokens")
    return answer(
        {
            **alike(text(), "id", "model", "system_fingerprint"),
            "object": constant("text_completion"),
            "created": integer(),
            "choices": listed(answer(choice)),
            "usage": nullable(answer(usage)),
        },
        "The whole answer; streamed, each event is one of these and the last one is `[DONE]`.",
        optional="usage",
    )


def _embeddings() -> Schema:
    vector = either(listed(number()), text("base64 of little-endian 32-bit floats."))
    item = {"object": constant("embedding"), "index": integer(), "embedding": vector}
    return answer(
        {
            "object": constant("list"),
            "model": text(),
            "data": listed(answer(item)),
            "usage": answer(alike(integer(), "prompt_tokens", "total_tokens")),
        }
    )
