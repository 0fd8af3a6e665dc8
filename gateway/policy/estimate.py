"""How many tokens a prompt has, before anybody has counted (D42).

Ollama has no tokenizer to ask. So: characters ÷ r, + 4 a message, + 768 an image, rounded up. r is
learned for each model from the prompts Ollama did count.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from gateway.core.chat import ChatRequest, Json, Message, Request, Tool
from gateway.core.embed import EmbedRequest

START_RATIO: Final = 3.5
LOWEST_RATIO: Final = 1.5
HIGHEST_RATIO: Final = 8.0
PER_MESSAGE: Final = 4
PER_IMAGE: Final = 768
_WEIGHT: Final = 0.2
_FEWEST_TOKENS: Final = 32
"""Below this the template's own tokens outweigh the text, and the ratio says nothing."""
_MAX_MODELS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Size:
    """What a prompt consists of."""

    characters: int = 0
    messages: int = 0
    images: int = 0

    @property
    def countable(self) -> int:
        """The characters `Ratios` can learn from; 0 when an image makes the count useless."""
        return 0 if self.images else self.characters

    def tokens(self, ratio: float = START_RATIO) -> int:
        """Give the estimate for a model whose tokens have `ratio` characters."""
        return (
            math.ceil(self.characters / ratio)
            + PER_MESSAGE * self.messages
            + PER_IMAGE * self.images
        )


def size(request: Request | EmbedRequest) -> Size:
    """Measure a request; of several prompts, all together."""
    if isinstance(request, ChatRequest):
        characters = images = 0
        for message in request.messages:
            characters += _message(message)
            images += len(message.media)
        for tool in request.tools:
            characters += _tool(tool)
        return Size(characters, len(request.messages), images)
    if isinstance(request, EmbedRequest):
        return Size(sum(map(len, request.inputs)))
    characters = sum(map(len, request.prompts)) + len(request.suffix) + len(request.system or "")
    return Size(characters, 0, len(request.media))


def tokens(request: Request | EmbedRequest, ratio: float = START_RATIO) -> int:
    """Give the estimated tokens of a request."""
    return size(request).tokens(ratio)


class Ratios:
    """Characters a token, for each model. Safe for use by many threads."""

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}
        self._lock = threading.Lock()

    def of(self, model: str) -> float:
        """Give the ratio of a model by its canonical name."""
        return self._ratios.get(model, START_RATIO)

    def learn(self, model: str, characters: int, prompt_tokens: int) -> None:
        """Take note of a prompt that Ollama counted; implausible counts are not believed."""
        if prompt_tokens < _FEWEST_TOKENS or characters <= 0:
            return
        ratio = characters / prompt_tokens
        if not LOWEST_RATIO <= ratio <= HIGHEST_RATIO:
            return
        with self._lock:
            if len(self._ratios) >= _MAX_MODELS and model not in self._ratios:
                self._ratios.clear()
            known = self._ratios.get(model)
            self._ratios[model] = ratio if known is None else known + _WEIGHT * (ratio - known)


def _message(message: Message) -> int:
    length = len(message.content) + len(message.thinking) + len(message.tool_name)
    for call in message.tool_calls:
        length += len(call.name) + _json(call.arguments)
    return length


def _tool(tool: Tool) -> int:
    return len(tool.name) + len(tool.description) + _json(tool.parameters)


def _json(value: Json) -> int:
    try:
        return len(orjson.dumps(value, default=_plain))
    except (TypeError, ValueError):
        return len(str(value))


def _plain(value: Json) -> Json:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError
