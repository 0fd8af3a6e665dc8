"""How many characters a token has, learned a model from real calls (D42)."""

from __future__ import annotations

from gateway.core.chat import Request
from gateway.policy import estimate


class Ratios:
    """The learned ratios of this worker, by Ollama's name of the model."""

    def __init__(self) -> None:
        self._known: dict[str, estimate.Ratio] = {}

    def tokens(self, name: str, request: Request) -> int:
        """Estimate a request's prompt in tokens."""
        return estimate.tokens(request, self._known.get(name, estimate.START))

    def learn(self, name: str, characters: int, prompt_tokens: int) -> None:
        """Take in what one call really had; implausible pairs are passed over."""
        known = self._known.get(name, estimate.START)
        self._known[name] = known.learned(characters, prompt_tokens)
