"""The prompt of a request: its tokens, and what is done when they are too many.

First the oldest turns are dropped. llama-server refuses what is still too long; a finished prompt
is cut by Ollama before, unless ``truncate`` or ``shift`` is false. Source: ``server/prompt.go``,
``llm/llama_server.go`` completionPromptForRequest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from fake_ollama.calls import Call
from fake_ollama.models import FakeModel
from fake_ollama.options import LoadKey
from fake_ollama.refusals import Refused, context_exceeded
from fake_ollama.scripts import tokenise

_IMAGE_TOKENS = 256
_TURN_TOKENS = 4
_NUM_KEEP = 4
_TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the "
    "prompt, adjust the context length in settings, or use a model with a longer context length"
)


def message_tokens(message: Mapping[str, Any], *, bare: bool = False) -> list[str]:
    """Return the prompt tokens of a turn, images and calls included; ``bare`` without its marks."""
    text = str(message.get("content", ""))
    calls = message.get("tool_calls")
    if calls:
        text += json.dumps(calls)
    images = ["<image>"] * (_IMAGE_TOKENS * len(message.get("images") or ()))
    marks = [] if bare else [f"<{message['role']}>"] * _TURN_TOKENS
    return marks + tokenise(text) + images


def fit(call: Call, num_ctx: int, check: Callable[[], None]) -> list[str]:
    """Drop the oldest turns until the prompt fits, keeping system turns and the last one.

    Gives the prompt's tokens. ``check`` looks at the turns each time the prompt is made.
    """
    check()
    tools = tokenise(json.dumps(call.tools)) if call.tools else []
    parts = [message_tokens(turn, bare=call.raw) for turn in call.messages]
    count = len(tools) + sum(map(len, parts))
    while call.truncate and count > num_ctx and (oldest := _oldest(call.messages)) is not None:
        del call.messages[oldest]
        count -= len(parts.pop(oldest))
        check()
    return [*tools, *chain.from_iterable(parts)]


def _oldest(messages: Sequence[Mapping[str, Any]]) -> int | None:
    """Find the turn that is dropped next."""
    old = (place for place, turn in enumerate(messages[:-1]) if turn["role"] != "system")
    return next(old, None)


def rendered_prompt(call: Call) -> str:
    """Return the prompt as a simple template writes it."""
    turns = [f"<|{turn['role']}|>\n{turn['content']}<|end|>\n" for turn in call.messages]
    return "".join(turns) + "<|assistant|>\n"


def cut(
    call: Call, model: FakeModel, key: LoadKey, options: Mapping[str, Any], tokens: list[str]
) -> list[str]:
    """Leave out the middle of a finished prompt that is too long. Raises Refused if it may not."""
    num_ctx = key.num_ctx
    if len(tokens) < num_ctx or model.remote:
        return tokens
    if call.is_native(model) or not call.truncate:
        raise context_exceeded(len(tokens), num_ctx)
    if not key.shift:
        raise Refused(400, _TOO_LONG)
    keep = max(0, min(options.get("num_keep", _NUM_KEEP), num_ctx - 1))
    limit = num_ctx - max((num_ctx - keep) // 2, 1)
    return tokens[:keep] + tokens[len(tokens) - limit + keep :]
