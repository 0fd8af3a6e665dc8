"""Makes a wish to think fit the model, instead of failing (D9, D10).

Facts about Ollama: a truthy `think` on a model without the capability is refused, `false` never is;
gpt-oss cannot be switched off and only knows levels; `max` and, before that, level strings are
unknown to older servers. So what is known is settled before sending, and what an old server refuses
is tried again one step weaker:

    "max" -> "high" -> true -> left out
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from gateway.core.catalog import Model
from gateway.core.chat import ChatRequest, Params, Request, Think

log = logging.getLogger(__name__)

_LADDER: Final[tuple[Think | None, ...]] = ("max", "high", True, None)
_REMEMBER_S: Final = 3_600.0
_MAX_KNOWN: Final = 10_000


def adapt(params: Params, model: Model) -> Params:
    """Return the parameters with a `think` the model may get."""
    if params.effort == "minimal" and model.is_gpt_oss:
        return replace(params, think="low")
    if params.think and model.can("thinking") is False:
        log.info("think is left out: %s cannot think", model.name)
        return replace(params, think=None)
    return params


def may_think(params: Params, model: Model) -> bool:
    """Whether thinking text may come: asked for, or not said on a model that may be able to."""
    if params.think is None:
        return model.can("thinking") is not False
    return params.think is not False or model.is_gpt_oss


def settle_prefill(request: ChatRequest, think_was_asked: bool) -> ChatRequest:
    """Return the request without thinking where a turn is continued, unless asked (F23)."""
    if think_was_asked or not prefill_of(request):
        return request
    return replace(request, params=replace(request.params, think=False))


def prefill_of(request: Request) -> str:
    """Return the text of the assistant's turn that the model is to continue; "" where none is."""
    if not isinstance(request, ChatRequest) or not request.messages:
        return ""
    last = request.messages[-1]
    return last.content if last.role == "assistant" and not last.tool_calls else ""


def weaker(think: Think | None) -> Iterator[Think | None]:
    """Yield what to try when Ollama refuses a `think`, strongest first."""
    if think is None or think is False:
        return
    step = think if think in ("max", True) else "high"
    yield from _LADDER[_LADDER.index(step) + 1 :]


class Memory:
    """What `think` a model took after it refused another; forgotten after an hour, when Ollama may
    have been updated. Safe for use by many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[tuple[str, Think], tuple[float, Think | None]] = {}
        self._lock = threading.Lock()

    def note(self, model: str, wanted: Think, worked: Think | None) -> None:
        """Remember that `worked` had to stand in for `wanted`."""
        with self._lock:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[model, wanted] = (self._clock(), worked)

    def best(self, model: str, wanted: Think | None) -> Think | None:
        """Return what to send for `wanted`."""
        if wanted is None or wanted is False or not self._known:
            return wanted
        found = self._known.get((model, wanted))
        if found is None or self._clock() - found[0] > _REMEMBER_S:
            return wanted
        return found[1]
