"""What looks at a text that arrives in pieces looks at each character a few times, not at all that
came before with every piece."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from gateway.core.events import Event, Finish, TextDelta
from gateway.policy.emulation import answer
from gateway.policy.emulation.stop_sequences import PrefillFilter, StopFilter
from gateway.policy.emulation.structured_output import without_fence
from gateway.policy.emulation.think_tags import ThinkTags
from gateway.schemas.settings import RuntimeSettings
from tests.policy.values import Plan, Upstreams, chat

PIECES = 2_000


def looked_at(work: Callable[[], object]) -> int:
    """Return how many characters the methods of texts that `work` calls were given to look at."""
    seen = 0

    def look(frame: FrameType, event: str, function: Any) -> None:
        nonlocal seen
        text = getattr(function, "__self__", None)
        if event == "c_call" and isinstance(text, str) and function.__name__ != "startswith":
            seen += len(text)

    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen


def answers(text: str, **plan: Any) -> Callable[[], object]:
    """Return the work of an answer in JSON that begins with `text`, piece by piece."""
    pieces = [[TextDelta(text)]] * PIECES + [[TextDelta("{}")], [Finish("stop")]]
    request = chat(format="json", **plan.pop("params", {}))
    shown: list[Event] = []
    return lambda: answer.produce(
        request, Plan(request, **plan), RuntimeSettings(), Upstreams(pieces), shown.extend
    )


def feeds(look: Any, text: str) -> Callable[[], object]:
    return lambda: [*map(look.feed, [text] * PIECES), look.flush()]


WORK: dict[str, Any] = {
    "JSON after white space": answers(" \n"),
    "whole JSON after white space": answers(" \n", stream=False),
    "JSON, white space, think tags": answers(" \n", parse_think_tags=True),
    "JSON, white space, stops": answers(" \n", params={"options": {"stop": [" \n \t"]}}),
    "think tags after white space": feeds(ThinkTags(), " \n"),
    "whole think tags": feeds(ThinkTags(whole=True), "ab"),
    "a turn that is repeated": feeds(PrefillFilter("ab" * PIECES), "ab"),
    "white space before that turn": feeds(PrefillFilter("ab"), " \n"),
    "stops": feeds(StopFilter(["aba", "bb"]), "ab"),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_no_piece_is_looked_at_again_with_each_that_follows(work: Callable[[], object]) -> None:
    assert looked_at(work) <= 40 * PIECES


FENCED: dict[str, Any] = {
    "plain": ("```json\n{}\n```", "{}"),
    "without a word": (" ```\n{}```\n", "{}"),
    "indented end": ("```\n{}\n  ```", "{}"),
    "blank end": ("```\n{} \t```", "{}"),
    "empty": ("```\n```", ""),
    "one more mark": ("```\n````", "`"),
    "a fence inside": ("```\na\n```\nb\n```", "a\n```\nb"),
    "text before": ("a ```\n{}\n```", None),
    "text after": ("```\n{}\n``` a", None),
    "no end": ("```json\n{}", None),
    "one line": ("```json```", None),
    "half an end": ("```\n``", None),
    "other words": ("```two words\n{}\n```", None),
    "long white space": ("```\n" + " " * 100_000 + "a", None),
}


@pytest.mark.parametrize(("text", "bare"), FENCED.values(), ids=FENCED)
def test_a_fence_around_all_of_a_text_is_taken_off(text: str, bare: str | None) -> None:
    assert without_fence(text) == bare
