"""Applies faults: to the lines (``bend``), to the transport (``dress``), or instead (``play``)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from fake_ollama.encoding import encode_json, encode_line
from fake_ollama.faults import REFUSALS, Fault
from fake_ollama.refusals import ConnectionOver, Refused, nested
from fake_ollama.wire import Cut, Dress

if TYPE_CHECKING:
    from fake_ollama.exchange import Exchange

HANG = object()
"""In a sequence of items: say nothing more until the client leaves."""

Item: TypeAlias = Any  # bytes, Cut, or HANG
Bender: TypeAlias = Callable[[Fault, Iterator[bytes]], Iterator[Item]]

HTML = b"<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>"
EXTRA = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n"
    b'{"secret":"of bob"}'
)
QUEUE_FULL = "server busy, please try again.  maximum pending requests exceeded"


def bend(lines: Iterator[bytes], faults: Sequence[Fault], *, whole: bool) -> Iterator[Item]:
    """Pass the lines through the faults. A ``whole`` answer is one piece: ``after`` counts as 0."""
    items: Iterator[Item] = lines
    for fault in faults:
        bender = _BENDERS.get(fault.kind)
        if bender is None or (whole and fault.kind in _STREAM_ONLY):
            continue
        items = bender(
            Fault(fault.kind, data=fault.data, size=fault.size) if whole else fault, items
        )
    return items


def dress(faults: Sequence[Fault], into: Dress) -> None:
    """Set how the answer travels."""
    for fault in faults:
        match fault.kind:
            case "drip_headers":
                into.drip_s = fault.interval_s
            case "content_length":
                into.framing = "length"
            case "until_close":
                into.framing = "close"
            case "gzip":
                into.gzip = True
            case "extra_bytes":
                into.extra = fault.data or EXTRA
            case "close_after_answer":
                into.close_after = True
            case "close_on_reuse":
                into.close_on_reuse = True
            case "set_cookie":
                cookie = fault.data.decode() or "sess=alice; Path=/"
                into.headers.append(("Set-Cookie", cookie))
            case "utf8_split":
                into.dribble = True


def play(exchange: Exchange, faults: Sequence[Fault]) -> bool:
    """Answer with the first refusal among the faults; False when there is none."""
    fault = next((one for one in faults if one.kind in REFUSALS), None)
    if fault is None:
        return False
    exchange.waiter.reach(0)
    _PLAYS[fault.kind](exchange, fault)
    return True


def _no_headers(exchange: Exchange, fault: Fault) -> None:
    exchange.waiter.stay()


def _reset(exchange: Exchange, fault: Fault) -> None:
    exchange.reply.connection.reset()
    raise ConnectionOver


def _close(exchange: Exchange, fault: Fault) -> None:
    exchange.reply.connection.close()
    raise ConnectionOver


def _garbage_status(exchange: Exchange, fault: Fault) -> None:
    exchange.reply.connection.send(fault.data or b"\x16\x03\x01\x02\x00 nothing like HTTP\r\n\r\n")
    _close(exchange, fault)


def _status(exchange: Exchange, fault: Fault) -> None:
    body, content_type = fault.body, "application/json; charset=utf-8"
    exchange.board.update(exchange.recorded, status=fault.status)
    exchange.reply.dress.headers += fault.headers.items()
    if body is None:
        data = encode_json({"error": fault.message})
    elif isinstance(body, (str, bytes)):
        data = body.encode() if isinstance(body, str) else body
        content_type = "text/plain; charset=utf-8"
    else:
        data = encode_json(body)
    if any(name.lower() == "content-type" for name in fault.headers):
        content_type = ""
    exchange.reply.send(fault.status, content_type, data)


def _refusal(make: Callable[[Fault], Refused]) -> Callable[[Exchange, Fault], None]:
    return lambda exchange, fault: exchange.refuse(make(fault))


def _plain(status: int, content_type: str, body: bytes) -> Callable[[Exchange, Fault], None]:
    def send(exchange: Exchange, fault: Fault) -> None:
        exchange.board.update(exchange.recorded, status=status)
        exchange.reply.send(status, content_type, body)

    return send


def _redirect(exchange: Exchange, fault: Fault) -> None:
    exchange.reply.dress.headers.append(("Location", fault.location))
    _plain(307, "", b"")(exchange, fault)


def _gzip_bomb(exchange: Exchange, fault: Fault) -> None:
    packer, parts, left = zlib.compressobj(9, wbits=31), [], fault.size or 1 << 30
    zeros = bytes(1 << 20)
    while left > 0:
        parts.append(packer.compress(zeros[:left]))
        left -= len(zeros)
    exchange.reply.dress.headers.append(("Content-Encoding", "gzip"))
    _plain(200, "application/x-ndjson", b"".join([*parts, packer.flush()]))(exchange, fault)


_PLAYS: dict[str, Callable[[Exchange, Fault], None]] = {
    "no_headers": _no_headers,
    "reset": _reset,
    "close": _close,
    "garbage_status": _garbage_status,
    "status": _status,
    "queue_full": _refusal(lambda fault: Refused(503, QUEUE_FULL)),
    "nested_error": _refusal(
        lambda fault: nested(fault.status, fault.message, fault.data.decode() or "server_error")
    ),
    "html_200": _plain(200, "text/html", HTML),
    "html_500": _plain(500, "text/html", HTML),
    "empty_200": _plain(200, "", b""),
    "no_content_204": _plain(204, "", b""),
    "redirect_307": _redirect,
    "tags_empty": _plain(200, "application/json; charset=utf-8", b'{"models":[]}'),
    "tags_500": _plain(500, "text/plain", b"internal server error"),
    "gzip_bomb": _gzip_bomb,
}


def _torn(*, reset: bool = False, in_chunk: bool = False) -> Bender:
    def tear(fault: Fault, lines: Iterator[Item]) -> Iterator[Item]:
        yield from islice(lines, fault.after)
        line = next(lines, b'{"model":"torn"}\n')
        half = len(line) // 2
        yield Cut(line[:half], len(line) - half, reset, in_chunk)

    return tear


def _silent(fault: Fault, lines: Iterator[Item]) -> Iterator[Item]:
    yield from islice(lines, fault.after)
    yield HANG


def _garbage(fault: Fault, lines: Iterator[Item]) -> Iterator[Item]:
    yield from islice(lines, fault.after)
    yield (fault.data or b'\x00\xff{"model": <<< not json') + b"\n"
    yield from lines


def _bom(fault: Fault, lines: Iterator[Item]) -> Iterator[Item]:
    yield b"\xef\xbb\xbf" + next(lines, b"")
    yield from lines


def _crlf(fault: Fault, lines: Iterator[Item]) -> Iterator[Item]:
    for line in lines:
        yield line.rstrip(b"\n") + b"\r\n" if isinstance(line, bytes) else line


def _empty_lines(fault: Fault, lines: Iterator[Item]) -> Iterator[Item]:
    yield b"\n"
    for line in lines:
        yield line
        yield b"\n\r\n"


def _huge(fault: Fault, lines: Iterator[Item]) -> Iterator[Item]:
    yield from islice(lines, fault.after)
    line = next(lines, b"")
    yield _widen(line, fault.size or 16 * 1024 * 1024)
    yield from lines


def _widen(line: bytes, size: int) -> bytes:
    """Make a line so long by its text, so that it stays valid JSON."""
    value = json.loads(line or b"{}")
    holder = value.get("message", value)
    key = "response" if "response" in value else "content"
    ending = b"\n" if line.endswith(b"\n") else b""
    value["done"] = not ending
    holder[key] = ""
    holder[key] = "x" * max(0, size - len(encode_json(value)) - len(ending))
    return encode_json(value) + ending


def _flood(fault: Fault, lines: Iterator[Item]) -> Iterator[Item]:
    yield from islice(lines, fault.after)
    line = next(lines, b"")
    for _ in range(fault.size or 100_000):
        yield line
    yield from lines


def _lines_after_done(fault: Fault, lines: Iterator[Item]) -> Iterator[Item]:
    first = b""
    for line in lines:
        first = first or line
        yield line
    yield first


def _one_packet(fault: Fault, lines: Iterator[Item]) -> Iterator[Item]:
    together = b""
    for line in lines:
        if not isinstance(line, bytes):
            yield together
            yield line
            return
        together += line
    yield together


def _error_line(fault: Fault, lines: Iterator[Item]) -> Iterator[Item]:
    yield from islice(lines, fault.after)
    body = {"error": fault.message}
    yield encode_line(body) if fault.kind == "error_line" else encode_json(body)


_BENDERS: dict[str, Bender] = {
    "reset_mid_line": _torn(reset=True),
    "fin_mid_line": _torn(),
    "fin_in_chunk": _torn(in_chunk=True),
    "silent_after": _silent,
    "garbage_line": _garbage,
    "bom": _bom,
    "crlf": _crlf,
    "empty_lines": _empty_lines,
    "huge_line": _huge,
    "flood": _flood,
    "lines_after_done": _lines_after_done,
    "one_packet": _one_packet,
    "error_line": _error_line,
    "error_line_no_newline": _error_line,
}
_STREAM_ONLY = frozenset(
    {"flood", "lines_after_done", "one_packet", "error_line", "error_line_no_newline"}
)
