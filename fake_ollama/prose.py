"""Canned texts, so that a demo has something to stream."""

from __future__ import annotations

import re

_TOPICS: tuple[tuple[str, str], ...] = (
    (
        r"\b(code|python|function|program|script|class|bug)\b",
        "Start with the smallest version that runs:\n\n"
        "```python\n"
        "def total(prices: list[float]) -> float:\n"
        '    """Add up the prices, to the cent."""\n'
        "    return round(sum(prices), 2)\n"
        "```\n\n"
        "Then write the test before the next feature: `total([])` should be `0`, and "
        "`total([0.1, 0.2])` should be `0.3`. Rounding once, at the end, keeps small errors from "
        "adding up.",
    ),
    (
        r"\b(poem|story|haiku|write)\b",
        "The lamp in the harbour office burned all night.\n"
        "Boats came in with the tide, and each crew told its own story of the fog.\n\n"
        "By morning the stories agreed on one thing only: the light had been there, small and "
        "steady, exactly where it was needed.",
    ),
    (
        r"\b(list|steps|plan|how)\b",
        "Here is a way to go about it:\n\n"
        "1. **Write down the goal** in one sentence.\n"
        "2. **Find the first step** that takes less than an hour.\n"
        "3. **Do it**, and look at what came out.\n"
        "4. **Change the plan** if the result surprises you.\n\n"
        "Most plans fail at the second point: the first step is too big.",
    ),
    (
        r"\b(why|explain|reason|difference)\b",
        "In short: because two things that look alike are measured at different moments.\n\n"
        "The longer one begins with the order of events. A request waits, then it is read, then "
        "it is answered; each part has its own clock. Compare the first part of one with the last "
        "part of another, and you will find a difference that nobody made.\n\n"
        "| part | usual share |\n|---|---|\n| waiting | most |\n| reading | little |\n"
        "| answering | the rest |\n\n"
        "So before asking *why* the numbers differ, ask *where* each of them was taken.",
    ),
    (
        r"\b(translate|german|french|spanish|chinese|japanese)\b",
        "Here it is in a few languages:\n\n"
        "- German: *Der Hafen schläft, das Licht bleibt wach.*\n"
        "- French: *Le port dort, la lumière veille.*\n"
        "- Japanese: 港は眠り、灯は起きている。\n"
        "- Chinese: 港口沉睡，灯火长明。",
    ),
    (
        r"\b(hello|hi|hey|hallo|good (morning|evening))\b",
        "Hello! I am ready when you are. Ask me something, hand me a tool, or show me a picture.",
    ),
)
_GENERAL = (
    "There are three parts to it. First, what is known: the question itself, and what follows from "
    "it. Second, what is likely: the usual answer, with its usual exceptions. Third, what would "
    "change the picture: a detail that has not been mentioned yet.\n\n"
    "Start with the first part, as it costs nothing. If it settles the matter, stop there; if it "
    "does not, the second part tells you where to look, and the third tells you when to ask again."
)


def paragraphs(asked: str, signature: str) -> str:
    """Give a few paragraphs that suit the question."""
    if not asked:
        return "I am here. What would you like to know?"
    for pattern, text in _TOPICS:
        if re.search(pattern, asked, re.IGNORECASE):
            return text
    return f'You asked: "{asked}"\n\n{_GENERAL}\n\n— {signature}'
