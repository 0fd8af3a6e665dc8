"""What several endpoints answer: errors, models, usage."""

from __future__ import annotations

from gateway.openapi.parts import (
    Schema,
    answer,
    anything,
    constant,
    flag,
    integer,
    listed,
    nullable,
    number,
    ref,
    text,
    word,
)


def schemas() -> dict[str, Schema]:
    """Return the named schemas."""
    return {
        "Error": answer(
            {
                "error": answer(
                    {
                        "message": text("A sentence to act on."),
                        "type": text(),
                        "param": nullable(text("Path of the field concerned.")),
                        "code": nullable(text("For machines, such as `model_not_found`.")),
                    }
                )
            },
            "An error as OpenAI writes it. In a stream it is the last event, without `[DONE]`.",
        ),
        "AnthropicError": answer(
            {
                "type": constant("error"),
                "error": answer({"type": text(), "message": text()}),
                "request_id": text(),
            },
            "An error as Anthropic writes it.",
        ),
        "Model": answer(
            {
                "id": text("The name to call it by."),
                "object": constant("model"),
                "created": integer(),
                "owned_by": text(),
                "permission": listed(anything()),
                "root": text(),
                "parent": nullable(text()),
                "type": constant("model"),
                "display_name": text(),
                "created_at": text(format="date-time"),
                "lifecycle": text(),
                "context_length": integer("Context window in tokens."),
                "max_model_len": integer(),
                "capabilities": listed(text(), "Such as completion, tools, vision, thinking."),
            },
            "One object that OpenAI's and Anthropic's SDKs both read.",
            optional="context_length max_model_len capabilities",
        ),
        "ModelList": answer(
            {
                "object": constant("list"),
                "data": listed(ref("Model")),
                "has_more": flag(),
                "first_id": nullable(text()),
                "last_id": nullable(text()),
            }
        ),
        "ChatUsage": answer(
            {
                "prompt_tokens": integer(),
                "completion_tokens": integer("Thinking included."),
                "total_tokens": integer(),
                "prompt_tokens_details": answer(
                    {"cached_tokens": integer(), "audio_tokens": integer()}
                ),
                "completion_tokens_details": answer(
                    {
                        "reasoning_tokens": integer("Estimated: Ollama does not count it apart."),
                        "audio_tokens": integer(),
                        "accepted_prediction_tokens": integer(),
                        "rejected_prediction_tokens": integer(),
                    }
                ),
            }
        ),
        "TokenLogprob": answer(
            {
                "token": text(),
                "logprob": number(),
                "bytes": nullable(listed(integer())),
                "top_logprobs": listed(
                    answer(
                        {
                            "token": text(),
                            "logprob": number(),
                            "bytes": nullable(listed(integer())),
                        }
                    )
                ),
            }
        ),
        "Ready": answer({"status": word("ready", "starting", "draining"), "usage_store": text()}),
    }
