"""Chat completions, completions, embeddings."""

from __future__ import annotations

from gateway.openapi.extensions import (
    effort,
    generation_fields,
    response_format,
    stops,
    token_limit,
    waiting,
)
from gateway.openapi.parts import (
    Schema,
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

FINISH = ("stop", "length", "tool_calls", "function_call")


def schemas() -> dict[str, Schema]:
    """Return the named schemas."""
    return {
        "ContentPart": _content_part(),
        "ChatMessage": _message(),
        "Tool": _tool(),
        "ChatRequest": _chat_request(),
        "ToolCall": _tool_call(),
        "ChatCompletion": _chat_answer(),
        "ChatCompletionChunk": _chat_chunk(),
        "CompletionRequest": _completion_request(),
        "Completion": _completion(),
        "EmbeddingRequest": _embedding_request(),
        "EmbeddingList": _embeddings(),
    }


def sampling() -> dict[str, Schema]:
    """Return OpenAI's sampling fields; they take the place of Ollama's of the same name."""
    return {
        "temperature": number("Not sent when absent: the Modelfile's value counts.", 0, 2),
        "top_p": number("Not sent when absent.", 0, 1),
        "presence_penalty": number("", -2, 2),
        "frequency_penalty": number("", -2, 2),
        "seed": integer(),
        "stop": stops(),
    }


def _content_part() -> Schema:
    return request(
        {
            "type": text("text, image_url, input_audio, file, refusal, thinking, ..."),
            "text": text(),
            "image_url": either(
                request({"url": text("data: or http(s):"), "detail": text()}, "url"), text()
            ),
            "input_audio": request({"data": text(), "format": text()}, "data"),
            "file": request({"file_data": text(), "filename": text()}),
        },
        required="type",
    )


def _message() -> Schema:
    call = request(
        {
            "id": text(),
            "type": text(),
            "function": request(
                {"name": text(), "arguments": either(text(), {"type": "object"})}, "name"
            ),
        }
    )
    return request(
        {
            "role": word("system", "developer", "user", "assistant", "tool", "function"),
            "content": either(text(), listed(ref("ContentPart"))),
            "name": text(),
            "tool_calls": listed(call),
            "tool_call_id": text("Of a `tool` message: which call it answers."),
            "reasoning_content": text("Thinking of an earlier turn; also `reasoning`, `thinking`."),
            "reasoning": text(),
            "thinking": text(),
            "refusal": text(),
            "function_call": request({"name": text(), "arguments": text()}),
        },
        required="role",
    )


def _tool() -> Schema:
    schema = anything("A JSON schema.")
    described = {"name": text(), "description": text(), "parameters": schema, "strict": flag()}
    return request(
        {
            "type": text("function or custom; others are left out with notice."),
            "function": request(described, "name"),
            "custom": request({"name": text(), "description": text(), "format": anything()}),
            **described,
            "input_schema": schema,
        },
        about="In OpenAI's nested or flat form, or Anthropic's.",
    )


def _chat_request() -> Schema:
    return request(
        {
            **generation_fields(),
            **sampling(),
            "model": text("Name, alias or pattern of a model."),
            "messages": listed(ref("ChatMessage"), minItems=1),
            "stream": flag(),
            "stream_options": request({"include_usage": flag(), "include_obfuscation": flag()}),
            "max_completion_tokens": token_limit("Thinking counts too; -1 is no limit."),
            "max_tokens": token_limit("The older name; the other one wins."),
            "n": integer("Number of answers, each its own call to Ollama.", 1),
            "logprobs": flag(),
            "top_logprobs": integer("", 0, 20),
            "logit_bias": request({}, about="Refused unless empty."),
            "response_format": response_format(),
            "tools": listed(ref("Tool")),
            "tool_choice": either(
                word("none", "auto", "required"),
                {"type": "object"},
                about="A forced call is made certain by a constrained second pass.",
            ),
            "parallel_tool_calls": flag("false keeps the first call only."),
            "functions": listed({"type": "object"}, "The older form of `tools`."),
            "function_call": either(text(), {"type": "object"}),
            "reasoning_effort": effort(),
            "reasoning": ref("Reasoning"),
            "thinking": either(flag(), {"type": "object"}),
            "user": text("Recorded with the request."),
            "safety_identifier": text("Recorded with the request."),
            "service_tier": text(),
            "metadata": request({}, about="timeout_ms and keep_alive are read from it."),
            "store": flag("Without effect: chat completions are not stored."),
            "verbosity": text("Without effect."),
            "prediction": anything("Without effect."),
            "prompt_cache_key": text("Without effect: Ollama caches prefixes by itself."),
            "modalities": listed(text(), "audio is refused."),
            "audio": anything("Without effect."),
            "web_search_options": anything("Refused."),
            "moderation": anything("Refused."),
        },
        required="model messages",
    )


def _tool_call() -> Schema:
    return answer(
        {
            "id": text(),
            "type": word("function", "custom"),
            "function": answer({"name": text(), "arguments": text("JSON text.")}),
            "custom": answer({"name": text(), "input": text()}),
        },
        optional="function custom",
    )


def _logprobs() -> Schema:
    return nullable(
        answer({"content": nullable(listed(ref("TokenLogprob"))), "refusal": {"type": "null"}})
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
            "function_call": answer({"name": text(), "arguments": text()}),
        },
        optional="reasoning_content reasoning tool_calls function_call",
    )
    choice = answer(
        {
            "index": integer(),
            "finish_reason": word(*FINISH),
            "logprobs": _logprobs(),
            "message": message,
        }
    )
    return answer(
        {
            "id": text(),
            "object": constant("chat.completion"),
            "created": integer(),
            "model": text("As the caller wrote it."),
            "system_fingerprint": text(),
            "choices": listed(choice),
            "usage": ref("ChatUsage"),
            "service_tier": text(),
        },
        optional="service_tier",
    )


def _chat_chunk() -> Schema:
    call = answer(
        {
            "index": integer(),
            "id": text(),
            "type": text(),
            "function": answer({"name": text(), "arguments": text()}, optional="name"),
            "custom": answer({"name": text(), "input": text()}, optional="name input"),
        },
        optional="id type function custom",
    )
    delta = answer(
        {
            "role": constant("assistant"),
            "content": nullable(text()),
            "reasoning_content": text(),
            "reasoning": text(),
            "tool_calls": listed(call),
            "function_call": answer({"name": text(), "arguments": text()}, optional="name"),
        },
        optional="role content reasoning_content reasoning tool_calls function_call",
    )
    choice = answer(
        {
            "index": integer(),
            "delta": delta,
            "logprobs": _logprobs(),
            "finish_reason": nullable(word(*FINISH)),
        }
    )
    return answer(
        {
            "id": text(),
            "object": constant("chat.completion.chunk"),
            "created": integer(),
            "model": text(),
            "system_fingerprint": text(),
            "choices": listed(choice),
            "usage": nullable(ref("ChatUsage")),
            "service_tier": text(),
        },
        "One `data:` event; the last one is `[DONE]`.",
        optional="usage service_tier",
    )


def _completion_request() -> Schema:
    prompt = either(text(), listed(text()), about="Token lists are refused.")
    return request(
        {
            **generation_fields(),
            **sampling(),
            "model": text(),
            "prompt": prompt,
            "suffix": text("Fill in the middle; the model must be able to."),
            "max_tokens": token_limit(),
            "n": integer("", 1),
            "best_of": integer("1, or equal to n.", 1),
            "echo": flag("Put the prompt before the text."),
            "logprobs": integer("", 0, 5),
            "logit_bias": request({}, about="Refused unless empty."),
            "stream": flag(),
            "stream_options": request({"include_usage": flag()}),
            "user": text("Recorded with the request."),
            "raw": flag("Send the prompt without the model's template."),
            "template": text(),
            "system": text(),
            "images": listed(text()),
            "reasoning_effort": effort(),
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
    choice = answer(
        {
            "index": integer(),
            "text": text(),
            "logprobs": nullable(logprobs),
            "finish_reason": nullable(word("stop", "length")),
        }
    )
    usage = answer(
        {"prompt_tokens": integer(), "completion_tokens": integer(), "total_tokens": integer()}
    )
    return answer(
        {
            "id": text(),
            "object": constant("text_completion"),
            "created": integer(),
            "model": text(),
            "system_fingerprint": text(),
            "choices": listed(choice),
            "usage": nullable(usage),
        },
        "The whole answer; streamed, each event is one of these and the last one is `[DONE]`.",
        optional="usage",
    )


def _embedding_request() -> Schema:
    return request(
        {
            **waiting(),
            "model": text(),
            "input": either(text(), listed(text(), minItems=1), about="Token lists are refused."),
            "encoding_format": word("float", "base64"),
            "dimensions": integer("Must be a size the model can make.", 1),
            "user": text("Recorded with the request."),
            "options": ref("Options"),
            "extra_body": request({}),
        },
        required="model input",
    )


def _embeddings() -> Schema:
    vector = either(listed(number()), text("base64 of little-endian 32-bit floats."))
    item = answer({"object": constant("embedding"), "index": integer(), "embedding": vector})
    return answer(
        {
            "object": constant("list"),
            "model": text(),
            "data": listed(item),
            "usage": answer({"prompt_tokens": integer(), "total_tokens": integer()}),
        }
    )
