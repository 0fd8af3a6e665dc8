"""The ways an upstream can misbehave, as values that a Script carries.

``FAULTS`` lists every kind with what it does. Three families:

*refusals* replace the whole answer, *lines* change or stop the lines of an answer, *transport*
changes how bytes travel. ``after`` counts whole lines sent before the fault strikes. Several faults
may be combined in a tuple.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from fake_ollama.refusals import RUNNER_DIED

REFUSALS: Mapping[str, str] = {
    "no_headers": "accept the request and never answer; ends when the client leaves",
    "reset": "RST without a single byte of answer",
    "close": "FIN without a single byte of answer",
    "garbage_status": "something that is not HTTP, then FIN",
    "status": "`status` with `body` (JSON value, text or bytes) and `headers`",
    "queue_full": "503 as when the load queue is full",
    "nested_error": "`status` with the runner's JSON nested in the error string",
    "html_200": "200 with an HTML page",
    "html_500": "500 with an HTML page",
    "empty_200": "200 with no body and no content type",
    "no_content_204": "204",
    "redirect_307": "307 to `location`",
    "tags_empty": "200 with an empty model list",
    "tags_500": "500 as plain text",
    "gzip_bomb": "`size` bytes of zeros in a small gzip body",
}
LINES: Mapping[str, str] = {
    "reset_mid_line": "`after` lines and half a line, then RST",
    "fin_mid_line": "`after` lines and half a line, then FIN without the last chunk",
    "fin_in_chunk": "`after` lines, then a chunk that ends before its announced length",
    "nodone": "clean end of the body before the done line",
    "zero_lines": "200 with a stream content type and nothing else",
    "error_line": "`after` lines, then an error line (`message`)",
    "error_line_no_newline": "the same without the newline, as remote hosts do",
    "runner_died": "the runner is killed after `after` lines: 500, or an error line; then a reload",
    "silent_after": "`after` lines, then silence until the client leaves",
    "garbage_line": "`after` lines, then a line that is not JSON (`data`), then the rest",
    "utf8_split": "every byte in a chunk and a packet of its own",
    "bom": "a byte order mark before the first line",
    "crlf": "lines ended by CR LF",
    "empty_lines": "blank lines between the lines",
    "huge_line": "`after` lines, then one line of `size` bytes, then the rest",
    "flood": "`size` extra tiny lines after the first `after` lines",
    "wrong_types": "a last line whose counters are text, negative or fractional",
    "done_twice": "the done line twice",
    "lines_after_done": "one more text line after the done line",
    "one_packet": "all lines in a single chunk",
}
TRANSPORT: Mapping[str, str] = {
    "drip_headers": "headers one byte every `interval_s`",
    "content_length": "the stream framed by Content-Length",
    "until_close": "the stream framed by the end of the connection",
    "gzip": "the body compressed though identity was asked for",
    "extra_bytes": "`data` after the end of the answer, on the same connection",
    "close_after_answer": "FIN right after the answer, without announcing it",
    "close_on_reuse": "RST when the next request arrives on the same connection",
    "set_cookie": "a Set-Cookie header (`data`)",
}
FAULTS: Mapping[str, str] = {**REFUSALS, **LINES, **TRANSPORT}


@dataclass(frozen=True, slots=True)
class Fault:
    """One misbehaviour. Raises ValueError for an unknown kind."""

    kind: str
    after: int = 0
    status: int = 500
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = RUNNER_DIED
    data: bytes = b""
    size: int = 0
    interval_s: float = 0.2
    location: str = "/api/elsewhere"

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise ValueError(f"unknown fault {self.kind!r}; known: {', '.join(FAULTS)}")


def status(code: int, body: Any = None, headers: Mapping[str, str] | None = None) -> Fault:
    """Answer with a status; a text that is not JSON-like is sent as an Ollama error."""
    return Fault("status", status=code, body=body, headers=headers or {})


def error(code: int, text: str) -> Fault:
    """Answer ``{"error": text}`` with a status."""
    return status(code, {"error": text})


def parse_fault(value: Any) -> Fault:
    """Read a fault from the control API: a kind, or an object with its parameters."""
    if isinstance(value, Fault):
        return value
    if isinstance(value, str):
        return Fault(value)
    known = {item.name for item in fields(Fault)}
    given = {key: item for key, item in dict(value).items() if key in known}
    if isinstance(given.get("data"), str):
        given["data"] = given["data"].encode()
    return Fault(**given)
