"""The playground's call as other programs write it: what a person typed arrives as it was typed."""

from __future__ import annotations

import json
import shlex
import sys
from types import ModuleType
from typing import Any

import pytest

from gateway.policy.clients.kit import KIT
from gateway.policy.clients.snippets import call_snippets, snippet
from gateway.policy.clients.snippets import snippets as client_snippets

PROMPT = (
    'Is {"a": true} or \': false\' right?\n</script> it\'s \\"so\\" $HOME `id` ${x} \u2028 ' * 9
)
IMAGE = "data:," + "x" * 99
BODY: dict[str, Any] = {
    "model": 'qwen "3":8b',
    "messages": [
        {"role": "system", "content": ": null"},
        {"role": "user", "content": PROMPT},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "data:," + "x" * 99}}],
        },
    ],
    "stream": True,
    "stream_options": {"include_usage": True},
    "reasoning_effort": "low",
    "options": {"seed": 1, "use_mmap": True, "stop": None},
}
SHORT = json.loads(json.dumps(BODY).replace(IMAGE, f"{IMAGE[:40]}…"))
PLAIN = {name: SHORT[name] for name in ("model", "messages", "reasoning_effort")}


@pytest.fixture
def snippets() -> dict[str, str]:
    """The snippets of the call."""
    return call_snippets(BODY, "http://gateway:3000")


def test_the_shell_sends_what_was_typed(snippets: dict[str, str]) -> None:
    words = shlex.split(snippets["curl"])

    assert words[2] == "http://gateway:3000/v1/chat/completions"
    assert json.loads(words[-1]) == SHORT


def test_javascript_sends_what_was_typed(snippets: dict[str, str]) -> None:
    code = snippets["JavaScript"]
    sent = code[code.index("create(") + 7 : code.index(");\nfor await")]

    assert json.loads(sent) == {**PLAIN, "options": BODY["options"], "stream": True}


def test_python_sends_what_was_typed(
    snippets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    sdk = ModuleType("openai")

    class OpenAI:
        def __init__(self, **_: Any) -> None:
            self.chat = self.completions = self

        def create(self, **arguments: Any) -> list[Any]:
            sent.append(arguments)
            return []

    sdk.OpenAI = OpenAI  # type: ignore[attr-defined]  # stands in for the package
    monkeypatch.setitem(sys.modules, "openai", sdk)
    exec(snippets["Python"], {})

    assert sent == [{**PLAIN, "extra_body": {"options": BODY["options"]}, "stream": True}]


@pytest.mark.parametrize("id", KIT)
def test_a_window_that_is_not_known_leaves_no_trace(id: str) -> None:
    known, unknown = (snippet(id, "k", "m", "http://h", window).text for window in (40_960, 0))

    assert "$" not in known + unknown
    assert "40960" not in unknown
    if id in {"opencode", "qwen", "pi", "vscode", "vscodeollama", "zed"}:
        json.loads(known), json.loads(unknown)
    if id in {"claude", "codex", "continue", "cline", "roo", "opencode", "qwen", "pi"}:
        assert "40960" in known


@pytest.mark.parametrize(("window", "percent"), [(65_536, 61), (131_072, 88), (262_144, 81)])
def test_claude_code_compacts_at_three_quarters(window: int, percent: int) -> None:
    text = snippet("claude", "k", "m", "http://h", window).text

    assert f"CLAUDE_CODE_AUTO_COMPACT_WINDOW={window}\n" in text
    assert f"CLAUDE_AUTOCOMPACT_PCT_OVERRIDE={percent}\n" in text


def test_claude_code_asks_by_role_where_the_key_has_a_model_for_it() -> None:
    roles = ("haiku", "sub_agent")
    made = client_snippets("sk-o2a-x", "qwen3:8b", "http://gateway:3000", roles=roles)
    (claude,) = (one.text for one in made if one.id == "claude")

    assert "export ANTHROPIC_DEFAULT_HAIKU_MODEL=haiku\n" in claude
    assert "export ANTHROPIC_DEFAULT_OPUS_MODEL=qwen3:8b\n" in claude
