"""How a request ends other than by an answer."""

from __future__ import annotations

import json
from typing import Any

RUNNER_DIED = "an error was encountered while running the model: unexpected EOF"


class Refused(Exception):
    """An error Ollama reports: a status before the first line, an error line after it.

    ``newline`` is False for errors relayed from a remote host, which arrive without one.
    ``charset`` is False where Ollama leaves it out of the content type.
    """

    def __init__(
        self,
        status: int,
        error: str,
        *,
        extra: dict[str, Any] | None = None,
        newline: bool = True,
        charset: bool = True,
        content_type: str = "",
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.extra = extra or {}
        self.newline = newline
        self.charset = charset
        self.content_type = content_type

    @property
    def body(self) -> dict[str, Any]:
        return {"error": self.error, **self.extra}


class Gone(Exception):
    """The client left, or the fake was stopped: nobody reads what would be written."""


class ConnectionOver(Exception):
    """A fault ended the connection on purpose: nothing more is read or written on it."""


def nested(status: int, message: str, kind: str, **fields: Any) -> Refused:
    """An error of the runner as Ollama passes it on: JSON inside the string (native path)."""
    inner = {"error": {"code": status, "message": message, "type": kind, **fields}}
    return Refused(status, json.dumps(inner, separators=(",", ":")), charset=False)


def runner_died() -> Refused:
    """The error of a call whose runner was killed: a status before the first line, or a line."""
    return Refused(500, RUNNER_DIED, charset=False)


def tool_call_cut(name: str) -> Refused:
    """The error for a tool call whose arguments do not end."""
    text = (
        f'llama-server returned invalid tool call arguments for "{name}": '
        "unexpected end of JSON input"
    )
    return Refused(500, text, charset=False)


def context_exceeded(prompt_tokens: int, num_ctx: int) -> Refused:
    text = (
        f"request ({prompt_tokens} tokens) exceeds the available context size "
        f"({num_ctx} tokens), try increasing it"
    )
    return nested(
        400, text, "exceed_context_size_error", n_prompt_tokens=prompt_tokens, n_ctx=num_ctx
    )
