"""What the tests of all clients ask with: a question, a tool in each vendor's form, a picture."""

from __future__ import annotations

from typing import Any

from fake_ollama import FakeOllama, Fault, Script

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello?"}]

CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
CHAT_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather of a city.",
        "parameters": CITY,
    },
}
FLAT_TOOL: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "Tell the weather of a city.",
    "parameters": CITY,
}
CLAUDE_TOOL: dict[str, Any] = {
    "name": "get_weather",
    "description": "Tell the weather of a city.",
    "input_schema": CITY,
}
RED_DOT = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5Erk"
    "Jggg=="
)
LEFT = (
    "data: [DONE]\n\nevent: error\r\n\x0b\x1c\x85\u2028\u2029 Größe 漢字 \U0001f9ed "
    'e\u0301 \\n "x" </s>'
)
"""A text full of what breaks naive stream code."""


ANY_JSON = (
    Script(
        content='{"name": "Oban", "people": 8490}',
        when=lambda body: body.get("format") == {"type": "object"},
    ),
    Script(),
)
"""A city, where only some object is asked for."""
BREAKS = Script(content="one two three", fault=Fault("error_line", after=2))
"""An answer that fails after two of its words."""


def sent(ollama: FakeOllama, at: int = -1, path: str = "/api/chat") -> dict[str, Any]:
    """Return a body that reached Ollama, the last one unless said otherwise."""
    body = ollama.calls(path)[at].json
    assert isinstance(body, dict)
    return body
