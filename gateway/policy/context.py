"""The context window a call is sent with, and what becomes of a prompt that does not fit it (D56).

    error   one window: what the request or the override asks for, else the largest step; a prompt
            that is longer is refused
    grow    the smallest step that holds prompt and answer; after a refusal the next one that does
    allow   what Ollama does by itself: the window as asked for, and a long prompt is cut in silence

Unless a policy allows it, `truncate: false` goes upstream, and the server's refusal is the judge:
it tells the true number of tokens within milliseconds and does not load the model anew. An estimate
only chooses the step to begin with. Without steps the window is left as it is.

Every window sent is one of the steps, and one that is loaded already is used where it is large
enough: two clients with different wishes do not make Ollama load the model again and again. A
smaller window comes only when the larger one was not needed for a while.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from gateway.core.chat import Json

Policy: TypeAlias = Literal["error", "grow", "allow"]
POLICIES: Final[tuple[Policy, ...]] = ("error", "grow", "allow")
MOST_ROOM: Final = 4_096
"""So many tokens are kept free for an answer: agents ask for far more than they use."""
USUAL_ROOM: Final = 1_024
"""The same for a call that does not say how long its answer may be."""
SIZES: Final = tuple(4_096 << power for power in range(10))
"""Windows that are proposed, below what a model was trained for."""
FEWEST_PROMPTS: Final = 20
ABOVE_HALF: Final = 1.25
FAR_BELOW: Final = 1.5
"""An estimate so many times the count of the prompt is no error of the estimate: 95 % are within a
quarter."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a call needs: `tokens` its window must hold, `steps` it may have, ascending; whether it
    may grow."""

    tokens: int
    steps: tuple[int, ...]
    grows: bool
    room: int

    def window(self, loaded: int) -> int:
        """Return the window to send where the model is loaded with one of `loaded` tokens (0: not
        in memory)."""
        if loaded >= self.tokens and loaded in self.steps:
            return loaded
        return next((step for step in self.steps if step >= self.tokens), self.steps[-1])

    def after(self, sent: int, refusal: Mapping[str, Json]) -> Wish | None:
        """Return what to try after Ollama refused the prompt in a window of `sent` tokens, with the
        number of its own tokens (`prompt_tokens`), None when no larger step is left."""
        if not self.grows or sent >= self.steps[-1]:
            return None
        needed = refusal.get("prompt_tokens")
        tokens = max(sent + 1, needed + self.room if isinstance(needed, int) else 0)
        return replace(self, tokens=min(tokens, self.steps[-1]))


def propose(prompts: Sequence[int], trained: int, spilled: int) -> tuple[int, ...]:
    """Return steps that fit what is asked of a model, () where too little is known.

    `prompts` are the tokens of its last prompts, ascending; `trained` is the largest window it
    knows (0: not known), `spilled` the smallest that did not fit into the memory of the GPU (0:
    none). The smallest step holds 19 of 20 prompts, the largest half as much again as the longest.
    """
    if len(prompts) < FEWEST_PROMPTS:
        return ()
    usual = percentile(prompts, 0.95) + MOST_ROOM
    long = prompts[-1] * 3 // 2 + MOST_ROOM
    known = [size for size in SIZES if not trained or size < trained] + [trained] * bool(trained)
    fitting = [size for size in known if not spilled or size < spilled] or known[:1]
    steps = {
        next((size for size in fitting if size >= most), fitting[-1]) for most in (usual, long)
    }
    return tuple(sorted(steps))


def percentile(ascending: Sequence[int], share: float) -> int:
    """Return the value that so much of all is at most, 0 of nothing."""
    return ascending[math.ceil(len(ascending) * share) - 1] if ascending else 0


def looks_cut(estimate: int, prompt_tokens: int, window: int) -> bool:
    """Whether Ollama seems to have cut a prompt of about `estimate` tokens, of which it read
    `prompt_tokens`, for a window of so many (0: not known).

    What is cut has a telling length: half of the window and two, or it fills the window although it
    should be far longer.
    """
    if not prompt_tokens or not window:
        return False
    if prompt_tokens == window // 2 + 2:
        return estimate > prompt_tokens * ABOVE_HALF
    return estimate > window and estimate > prompt_tokens * FAR_BELOW


def wish(
    policy: Policy, *, estimate: int, answer: int, asked: int, steps: tuple[int, ...], cap: int
) -> Wish | None:
    """Return what a call needs, None where its window is left as it is.

    `estimate` are the tokens of the prompt, `answer` the most of the answer (0: not said), `asked`
    the window that request or override ask for (0: none), `cap` the largest there may be (0: none).
    """
    if policy == "allow" or not steps:
        return None
    if cap:
        steps = tuple(step for step in steps if step <= cap) or (cap,)
    room = min(answer or USUAL_ROOM, MOST_ROOM)
    if policy == "grow":
        return Wish(max(estimate + room, asked), steps, True, room)
    return Wish(min(asked or steps[-1], steps[-1]), steps, False, room)
