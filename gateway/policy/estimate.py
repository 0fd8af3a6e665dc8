"""How many tokens a prompt has, before anybody has counted (D42).

Ollama has no tokenizer to ask. What a text consists of is counted by kind (`text_kinds`), and each
kind takes about as many tokens in all models: its weight below. A model's own vocabulary is learned
as one factor for each kind, from the prompts that Ollama counted:

    tokens = sum of count x weight x factor over the kinds + 4 + 4 a message + 768 an image
             + the tokens that are given as such (the `context` of /api/generate)

Each count corrects the factors in proportion to what their kinds contribute to the prompt, and to
how little is known of them yet (a Kalman filter that keeps the variances only). So what Chinese
prompts teach about Han leaves the factors of Latin words as they are. The weights were fitted to
four vocabularies; docs/parameters.md tells how far estimates are off, before and after learning.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from operator import mul
from typing import Final

import orjson

from gateway.core import text_kinds
from gateway.core.chat import ChatRequest, DecisionRequest, EmbedRequest, Json, Request
from gateway.errors import InvalidRequest

PER_PROMPT: Final = 4
PER_MESSAGE: Final = 4
PER_IMAGE: Final = 768
MAX_CHARS: Final = 16 << 20
"""Of all texts of a request: several times the window of any model."""

ByKind = tuple[float, ...]
"""A number for each kind of `Kinds`, in its order."""

_WEIGHTS: Final = (0.6, 0.096, 0.9, 1.15, 0.35, 0.75, 0.75, 0.8, 1.0, 0.42)
"""Tokens of one word, letter, digit, mark, line, Han, wide, accent, symbol, other."""

START: Final = (1.0,) * len(_WEIGHTS)
LOWEST_FACTOR: Final = 0.2
HIGHEST_FACTOR: Final = 5.0
_DOUBTS: Final = tuple(d * d for d in (0.1, 0.1, 0.2, 0.1, 0.2, 0.5, 0.5, 0.5, 0.5, 0.5))
"""Variance of each factor between models: their Latin parts are alike, other scripts are not."""
_NOISE: Final = 0.12**2
"""Variance of one prompt's tokens, as a share, around what exact factors would give."""
_DRIFT: Final = 0.02**2
"""What each prompt adds to the variance of its factors, so that learning never stops."""
_TEMPLATE_TOKENS: Final = 8
"""By how many tokens the model's template may be longer or shorter than is allowed for it."""
_LARGEST_ERROR: Final = 0.5
"""What a single count can say at most, as a share of the estimate."""
_FEWEST_TOKENS: Final = 32
"""Below this the template's own tokens outweigh the text."""
_MAX_MODELS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Size:
    """What a prompt consists of. `units` are the tokens of its texts by kind, at factor 1."""

    units: ByKind = (0.0,) * len(_WEIGHTS)
    messages: int = 0
    images: int = 0
    given: int = 0

    def tokens(self, factors: ByKind = START) -> int:
        """Return the estimate for a model of these factors; 0 for nothing."""
        if not (self.messages or self.images or self.given or any(self.units)):
            return 0
        return (
            math.ceil(math.fsum(map(mul, self.units, factors)))
            + PER_PROMPT
            + PER_MESSAGE * self.messages
            + PER_IMAGE * self.images
            + self.given
        )


def size(request: Request | EmbedRequest) -> Size:
    """Measure a request; of several prompts, all together. Raises InvalidRequest for more than
    `MAX_CHARS`."""
    texts: list[str] = []
    messages = images = given = 0
    if isinstance(request, ChatRequest):
        messages = len(request.messages)
        for message in request.messages:
            texts += filter(None, (message.content, message.thinking, message.tool_name))
            for call in message.tool_calls:
                texts += (call.name, _json(call.arguments))
            images += len(message.media)
        for tool in request.tools:
            texts += (tool.name, tool.description, _json(tool.parameters))
    elif isinstance(request, EmbedRequest):
        texts += request.inputs
    else:
        texts += (*request.prompts, request.suffix, request.system or "")
        images, given = len(request.media), len(request.context)
    if sum(map(len, texts)) > MAX_CHARS:
        raise InvalidRequest(
            f"The texts of a request may have at most {MAX_CHARS:,} characters together."
        )
    return Size(units("\n".join(texts)), messages, images, given)


def texts_of(request: DecisionRequest) -> tuple[str, ...]:
    """Return what a decision model reads: the state, then each question."""
    state = request.state if isinstance(request.state, str) else _json(request.state)
    questions = (
        _json([name, question.instructions, question.criteria])
        for name, question in request.questions.items()
    )
    return (state, *questions)


def units(text: str) -> ByKind:
    """Return about how many tokens a text has, by kind, in a model of factors 1."""
    return tuple(map(mul, text_kinds.count(text), _WEIGHTS))


class Factors:
    """How many times the weight a kind takes, for each model. Safe for use by many threads."""

    def __init__(self) -> None:
        self._models: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def of(self, model: str) -> ByKind:
        """Return the factors of a model by its canonical name."""
        known = self._models.get(model)
        return START if known is None else known.factors

    def learn(self, model: str, prompt: Size, prompt_tokens: int) -> None:
        """Record a prompt that Ollama counted, those of its tokens included that were in its cache.

        Implausible counts are not believed, and nothing is learned from a prompt with an image:
        nobody knows what it takes.
        """
        tokens = prompt_tokens - PER_PROMPT - PER_MESSAGE * prompt.messages - prompt.given
        expected = sum(prompt.units)
        if prompt.images or prompt_tokens < _FEWEST_TOKENS:
            return
        if not expected * LOWEST_FACTOR <= tokens <= expected * HIGHEST_FACTOR or tokens <= 0:
            return
        with self._lock:
            if len(self._models) >= _MAX_MODELS and model not in self._models:
                self._models.clear()
            self._models[model] = self._models.get(model, _Known()).after(prompt.units, tokens)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a model: its factors, and the variance of each."""

    factors: ByKind = START
    doubts: ByKind = _DOUBTS

    def after(self, units: ByKind, tokens: int) -> _Known:
        """Return what is known after a prompt with these units took so many tokens."""
        estimate = math.fsum(map(mul, units, self.factors))
        error = max(-_LARGEST_ERROR, min(tokens / estimate - 1, _LARGEST_ERROR))
        shares = [part / estimate for part in units]
        spread = _NOISE + (_TEMPLATE_TOKENS / tokens) ** 2
        spread += sum(d * share * share for d, share in zip(self.doubts, shares, strict=True))
        factors, doubts = list(self.factors), list(self.doubts)
        for kind, share in enumerate(shares):
            if share:
                gain = doubts[kind] * share / spread
                factor = factors[kind] + gain * error
                factors[kind] = min(max(factor, LOWEST_FACTOR), HIGHEST_FACTOR)
                doubt = doubts[kind] * (1 - gain * share) + _DRIFT * min(share, 1.0)
                doubts[kind] = min(doubt, _DOUBTS[kind])
        return _Known(tuple(factors), tuple(doubts))


def _json(value: Json) -> str:
    try:
        return orjson.dumps(value, default=dict).decode()
    except (TypeError, ValueError):
        return str(value)
