"""`POST /v1/completions` (docs/contract/completions.md): a text continued, once a prompt, `n` times
each.

The format has no place for thinking, so none is asked for (D25) and none is ever sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.core.chat import Call, CompletionRequest, Envelope, Json
from gateway.core.events import Reply
from gateway.dialects.base import Dialect, Reading
from gateway.dialects.chat.dialect import refuse_bias, wants_usage
from gateway.dialects.completions.stream import (
    ECHO,
    Writer,
    completion_head,
    echoed,
    logprob_lists,
)
from gateway.dialects.shared.attachments import read_image
from gateway.dialects.shared.openai import (
    OPENAI,
    error_frame,
    finish_word,
    short_usage_object,
    total_usage,
)
from gateway.dialects.shared.params import OPENAI_NAMES, read_params, root_of
from gateway.dialects.shared.prompts import read_texts
from gateway.dialects.shared.reading import (
    Fields,
    as_text,
    missing,
    read_end_user,
    read_model,
    unsupported,
)

MAX_PROMPTS = 128
"""Each prompt is a call of its own to Ollama."""

_NAMES = {name: OPENAI_NAMES[name] for name in OPENAI_NAMES if name != "max_completion_tokens"}
_CONTROL_TOKENS = (
    # filling in the middle: Qwen, StarCoder and Granite, CodeLlama, Codestral, DeepSeek, GLM, Seed
    "<|fim_prefix|>", "<fim_prefix>", "<PRE>", "[SUFFIX]", "[PREFIX]",
    "<｜fim▁begin｜>", "<|fim_begin|>", "<|code_prefix|>", "<[fim-prefix]>",
    # conversations: ChatML, Llama 3 and 4, Mistral, Gemma, gpt-oss, DeepSeek, Phi and GLM, Cohere,
    # Granite, Kimi
    "<|im_start|>", "<|start_header_id|>", "<|header_start|>", "[INST]", "<start_of_turn>",
    "<|turn>", "<|start|>", "<｜User｜>", "<|user|>", "<|START_OF_TURN_TOKEN|>",
    "<|start_of_role|>", "<|im_user|>",
)  # fmt: skip


def parse(body: Json, reading: Reading) -> Call:
    """Read a completion request. Raises InvalidRequest."""
    root = root_of(body)
    model = read_model(root)
    refuse_bias(root)
    params, ignored = read_params(body, _NAMES)
    n = root.integer("n", 1, reading.behaviour.max_n) or 1
    if root.integer("best_of", 1) not in (None, 1, n):
        # We would have to make more answers than we give, and judge them.
        raise unsupported("best_of", "it must be 1 or equal to n.")
    suffix = root.text("suffix") or ""
    top = root.integer("logprobs", 0, 5)
    echo = root.flag("echo") or False
    if echo and top is not None:
        raise unsupported("echo", "the log-probabilities of a prompt are not known.")
    if suffix:  # filling in the middle uses the template
        params = replace(params, raw=None)
    if top is not None:
        params = replace(params, logprobs=True, top_logprobs=top)
    request = CompletionRequest(
        model=model,
        prompts=_prompts(root),
        params=params,
        suffix=suffix,
        system=root.text("system"),
        template=root.text("template"),
        media=tuple(
            read_image(as_text(item, f"images[{index}]"), f"images[{index}]")
            for index, item in enumerate(root.items("images"))
        ),
        n=n,
    )
    if root.get("context") is not None:
        ignored = (*ignored, "context")
    return Call(
        request=request,
        stream=root.flag("stream") or False,
        include_usage=wants_usage(root),
        ignored=ignored,
        end_user=read_end_user(root),
        default_think=False,
        default_raw=_default_raw(reading.behaviour.completions_raw, request),
        extra=ECHO if echo else None,
        body=body,
    )


def render(replies: Sequence[Reply], envelope: Envelope) -> Json:
    """Return the whole answer."""
    usages = [reply.finish.usage for reply in replies]
    return {
        **completion_head(envelope),
        "choices": [
            {
                "index": index,
                "text": echoed(envelope, index) + reply.text,
                "logprobs": logprob_lists(reply.logprobs, 0) if reply.logprobs else None,
                "finish_reason": finish_word(reply.finish),
            }
            for index, reply in enumerate(replies)
        ],
        "usage": short_usage_object(total_usage(usages, envelope.call.request.n)),
    }


def _prompts(root: Fields) -> tuple[str, ...]:
    """Return the prompts, none empty: Ollama would load the model and call that an answer."""
    prompts = read_texts(root.get("prompt"), "prompt", MAX_PROMPTS)
    for index, prompt in enumerate(prompts):
        if not prompt:
            raise missing("prompt" if len(prompts) == 1 else f"prompt[{index}]")
    return prompts


def _default_raw(setting: str, request: CompletionRequest) -> bool | None:
    """Return whether the prompt goes past the model's template when nobody said (D24).

    Clients that write the control tokens of a template themselves want no second one around.
    """
    if request.suffix or setting == "never":
        return None
    if setting == "always":
        return True
    if request.system is not None or request.template is not None:
        return None  # Ollama refuses these beside `raw`.
    return any(token in prompt for prompt in request.prompts for token in _CONTROL_TOKENS) or None


COMPLETIONS = Dialect(
    name="completions",
    label="text completions",
    vendor=OPENAI,
    paths=("/v1/completions", "/completions"),
    prompt_param="prompt",
    parse=parse,
    render=render,
    writer=Writer,
    error_event=lambda error, request_id: error_frame(error),
)
