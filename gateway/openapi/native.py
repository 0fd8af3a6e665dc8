"""Ollama's own API."""

from __future__ import annotations

from gateway.openapi.parts import (
    Schema,
    alike,
    answer,
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
from gateway.openapi.shared import OBJECT, WAITING

_DETAILS = answer(
    {
        **alike(text(), "parent_model", "format", "family", "parameter_size"),
        "quantization_level": text(),
        "families": nullable(listed(text())),
        **alike(integer(), "context_length"),
    },
    optional="context_length",
)
_HEAD = {**alike(text(), "name", "model", "digest"), "size": integer("Bytes.")}

_COUNTERS = alike(
    integer(),
    *("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_cached_count"),
    *("prompt_eval_duration", "eval_count", "eval_duration"),
)
_TOKEN = {"token": text(), "logprob": number(), "bytes": listed(integer())}
_LINE = {
    **alike(text(), "model", "created_at"),
    "done": flag(),
    "done_reason": word("stop", "length", "load"),
    "logprobs": listed(
        answer(
            {**_TOKEN, "top_logprobs": listed(answer(_TOKEN, optional="bytes"))},
            optional="bytes top_logprobs",
        )
    ),
    **_COUNTERS,
}
"""What a line, or a whole answer, has beside the model's words; times are nanoseconds."""
_OPTIONAL = " ".join(("done_reason", "logprobs", *_COUNTERS))
_STREAM = {"stream": flag("True when absent.")}
_STEERING = {
    "model": text("Name, alias or pattern of a model."),
    **_STREAM,
    "options": ref("Options"),
    "format": either({"const": "json"}, OBJECT),
    "think": either(flag(), word("low", "medium", "high", "max")),
    **alike(flag(), "shift", "logprobs"),
    "top_logprobs": integer("", 0, 20),
    **{name: WAITING[name] for name in ("keep_alive", "truncate")},
}
"""What the generating endpoints take alike."""
_LOADS = "Empty: only load the model, with the scope `load`."
_PROMPT = text(_LOADS)
_EMBEDDING = {name: _STEERING[name] for name in ("model", "options", "keep_alive")}
_CALL = {
    "id": text(),
    "function": answer({"index": integer(), "name": text(), "arguments": OBJECT}, optional="index"),
}

SCHEMAS: dict[str, Schema] = {
    "OllamaChatRequest": request(
        {
            **_STEERING,
            "messages": listed(
                request(
                    {
                        "role": word("system", "user", "assistant", "tool"),
                        **alike(text(), "content", "thinking", "tool_name", "tool_call_id"),
                        "images": listed(text("base64")),
                        "tool_calls": listed(request(_CALL, "function")),
                    },
                    "role",
                ),
                "None: only load the model, with the scope `load`.",
            ),
            "tools": listed(ref("Tool")),
        },
        "model",
    ),
    "OllamaChat": answer(
        {
            **_LINE,
            "message": answer(
                {
                    "role": constant("assistant"),
                    **alike(text(), "content", "thinking"),
                    "tool_calls": listed(answer(_CALL, optional="id")),
                },
                optional="thinking tool_calls",
            ),
        },
        optional=_OPTIONAL,
    ),
    "OllamaGenerateRequest": request(
        {
            **_STEERING,
            "prompt": _PROMPT,
            **alike(text(), "suffix", "system", "template"),
            "raw": flag("Past the model's template."),
            "images": listed(text("base64")),
            "context": listed(integer(), "What an earlier answer gave."),
        },
        "model",
    ),
    "OllamaGeneration": answer(
        {
            **_LINE,
            **alike(text(), "response", "thinking"),
            "tool_calls": listed(answer(_CALL, optional="id")),
            "context": listed(integer()),
        },
        optional=f"{_OPTIONAL} thinking tool_calls context",
    ),
    "OllamaEmbedRequest": request(
        {
            **_EMBEDDING,
            "input": either(text(), listed(text()), about=_LOADS),
            "dimensions": integer("0 is all.", 0),
            "truncate": WAITING["truncate"],
        },
        "model",
    ),
    "OllamaEmbeddings": answer(
        {
            "model": text(),
            "embeddings": listed(listed(number())),
            **alike(integer(), "total_duration", "load_duration", "prompt_eval_count"),
        },
        optional="total_duration load_duration prompt_eval_count",
    ),
    "OllamaOlderEmbedRequest": request({**_EMBEDDING, "prompt": _PROMPT}, "model"),
    "OllamaEmbedding": answer({"embedding": listed(number())}),
    "OllamaError": answer({"error": text("A sentence.")}),
    "OllamaVersion": answer({"version": text("The oldest among the servers.")}),
    "OllamaTags": answer(
        {
            "models": listed(
                answer(
                    {
                        **_HEAD,
                        "modified_at": text(),
                        "details": _DETAILS,
                        "capabilities": listed(text()),
                    },
                    optional="capabilities",
                )
            )
        }
    ),
    "OllamaLoaded": answer(
        {
            "models": listed(
                answer(
                    {
                        **_HEAD,
                        "details": _DETAILS,
                        "expires_at": text(),
                        "size_vram": integer("Bytes."),
                        "context_length": integer("Tokens."),
                    }
                )
            )
        }
    ),
    "OllamaPullRequest": either(
        request({"model": text("A model of the registry, or one there is."), **_STREAM}, "model"),
        request({"name": text("Older."), **_STREAM}, "name"),
    ),
    "OllamaProgress": answer(
        {
            **alike(text(), "status", "digest", "error"),
            **alike(integer("Bytes."), "total", "completed"),
        },
        optional="status digest error total completed",
    ),
    "OllamaShowRequest": either(
        request({"model": text()}, "model"), request({"name": text("Older.")}, "name")
    ),
    "OllamaModel": answer(
        {
            "details": _DETAILS,
            "modified_at": text(),
            **alike(text(), "license", "parameters", "template", "system", "requires"),
            **alike(OBJECT, "model_info", "projector_info"),
            "messages": listed(OBJECT),
            "capabilities": listed(text()),
        },
        optional="license parameters template system requires model_info projector_info messages "
        "capabilities",
    ),
}
