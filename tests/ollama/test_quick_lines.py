"""The short way to the next line: what it takes, and that nothing is lost which it leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from gateway.ollama import wire
from gateway.ollama.exchange import Exchange, Stalled
from gateway.ollama.framing import Chunked, Framing, Head, Malformed, Truncated, UntilClose
from gateway.ollama.response import Body, NdjsonResponse
from gateway.ollama.wire import Decoder

TICK_S = 2.0
END = b"0\r\n\r\n"


class Packets:
    """A reader that gives what it is told, one packet a read; None is silence."""

    def __init__(self, *packets: bytes | OSError | None) -> None:
        self._packets = list(packets)
        self.waited_s: list[float] = []

    def read(self, timeout_s: float) -> bytes | None:
        self.waited_s.append(timeout_s)
        packet = self._packets.pop(0) if self._packets else b""
        if isinstance(packet, OSError):
            raise packet
        return packet

    def is_quiet(self) -> bool:
        return True

    def close(self) -> None:
        pass


def record(text: str) -> bytes:
    return b'{"message":{"content":"%b"},"done":false}' % text.encode()


def chunk(payload: bytes, size: bytes | None = None) -> bytes:
    return (b"%x" % len(payload) if size is None else size) + b"\r\n" + payload + b"\r\n"


def packet(text: str) -> bytes:
    return chunk(record(text) + b"\n")


def answer(
    reader: Packets, framing: Framing | None = None, total_s: float | None = None
) -> NdjsonResponse:
    exchange = Exchange(connect_s=1, idle_s=30, total_s=total_s)
    head = Head(200, "OK", {}, True)
    sock: Any = None
    body = Body(exchange, sock, reader, head, framing or Chunked(), b"")
    return NdjsonResponse(body, requests.PreparedRequest())


def begun(response: NdjsonResponse) -> Iterator[list[bytes]]:
    """Give the batches after the first, which opens the short way."""
    batches = response.iter_batches(TICK_S)
    assert next(batches) == [record("first")]
    return batches


def test_a_record_that_comes_alone_is_given() -> None:
    response = answer(Packets(packet("first"), packet("one"), packet("two"), END))
    batches = begun(response)

    assert response.next_line() == record("one")
    assert response.next_line() == record("two")
    assert response.next_line() is None
    assert list(batches) == []


LAST = b'{"message":{"content":""},"done":true}'
OTHER = {
    "the last record": chunk(LAST + b"\n"),
    "two records": chunk(record("a") + b"\n" + record("b") + b"\n"),
    "two chunks": packet("a") + packet("b"),
    "a record and the end": packet("a") + END,
    "an end of line of two bytes": chunk(record("a") + b"\r\n"),
    "a size in capitals": chunk(record("aaaa") + b"\n", b"2C"),
    "a size with a zero before it": chunk(record("aaaa") + b"\n", b"02c"),
    "a size with an extension": chunk(record("aaaa") + b"\n", b"2c;x=y"),
    "a record of another order": chunk(b'{"done":false,"message":{"content":"a"}}\n'),
}


@pytest.mark.parametrize("data", OTHER.values(), ids=OTHER)
def test_what_is_something_else_comes_in_a_batch(data: bytes) -> None:
    known = answer(Packets(data, END))
    expected = [line for lines in known.iter_batches(TICK_S) for line in lines]
    response = answer(Packets(packet("first"), data, packet("after"), END))
    batches = begun(response)

    assert response.next_line() is None
    assert [line for lines in batches for line in lines][: len(expected)] == expected != []


@pytest.mark.parametrize("at", [1, 5, 30, len(packet("one")) - 3, len(packet("one")) - 1])
def test_a_record_cut_anywhere_is_put_together(at: int) -> None:
    whole = packet("one")
    response = answer(Packets(packet("first"), whole[:at], whole[at:], packet("two"), END))
    batches = begun(response)

    assert response.next_line() is None
    assert next(batches) == [record("one")]
    rest = [line for lines in batches for line in lines]
    assert rest == [record("two")]


def test_a_line_that_has_begun_closes_the_short_way() -> None:
    half, rest = record("two")[:9], record("two")[9:]
    response = answer(Packets(chunk(record("first") + b"\n" + half), chunk(rest + b"\n"), END))
    batches = begun(response)

    assert response.next_line() is None
    assert next(batches) == [record("two")]


def test_an_answer_without_chunks_has_no_short_way() -> None:
    reader = Packets(record("first") + b"\n", record("one") + b"\n")
    response = answer(reader, UntilClose())
    batches = begun(response)

    assert response.next_line() is None
    assert list(batches) == [[record("one")]]


def test_a_line_can_be_put_back() -> None:
    response = answer(Packets(packet("first"), packet("one"), packet("two"), END))
    batches = begun(response)
    response.next_line()
    response.put_back()

    assert list(batches) == [[record("one")], [record("two")]]


def test_silence_is_not_waited_for_twice() -> None:
    reader = Packets(packet("first"), None, packet("one"), END)
    response = answer(reader)
    batches = begun(response)

    assert response.next_line() is None
    assert next(batches) == []
    assert reader.waited_s == [TICK_S, TICK_S]
    assert next(batches) == [record("one")]


def test_a_connection_that_breaks_is_told_by_the_batches() -> None:
    response = answer(Packets(packet("first"), ConnectionResetError("reset"), packet("one")))
    batches = begun(response)

    assert response.next_line() is None
    with pytest.raises(ConnectionResetError):
        next(batches)


def test_a_body_cut_short_is_told_by_the_batches() -> None:
    response = answer(Packets(packet("first"), b""))
    batches = begun(response)

    assert response.next_line() is None
    with pytest.raises(Truncated):
        next(batches)


def test_a_size_that_lies_is_told_by_the_batches() -> None:
    response = answer(Packets(packet("first"), chunk(record("a") + b"\n", b"5")))
    batches = begun(response)

    assert response.next_line() is None
    with pytest.raises(Malformed):
        list(batches)


def test_a_cancelled_call_gives_no_more_lines() -> None:
    response = answer(Packets(packet("first"), packet("one"), END))
    begun(response)
    response.raw.exchange.cancelled = True

    assert response.next_line() is None


def test_near_the_limit_of_the_whole_call_the_batches_are_asked() -> None:
    reader = Packets(packet("first"), packet("one"), END)
    response = answer(reader, total_s=TICK_S / 2)
    batches = begun(response)

    assert response.next_line() is None
    assert len(reader.waited_s) == 1
    response.raw.exchange.deadline_s = -math.inf
    with pytest.raises(Stalled):
        next(batches)


def test_a_peer_that_never_pauses_lets_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("gateway.ollama.response.time.sleep", slept.append)
    monkeypatch.setattr("gateway.ollama.response._YIELD_EVERY", 2 * len(packet("one")))
    packets = [packet("one") for _ in range(3)]
    response = answer(Packets(packet("first"), *packets, END))
    batches = begun(response)
    seen = [response.next_line() for _ in packets]

    assert seen == [record("one"), record("one"), None]
    assert next(batches) == [record("one")]
    assert slept == [0]


PLAIN = {
    "chat": b'{"message":{"role":"assistant","content":"tide"},"done":false}',
    "generate": b'{"response":"tide","done":false}',
}


@pytest.mark.parametrize("line", PLAIN.values(), ids=PLAIN)
def test_plain_text_is_read_and_counted(line: bytes) -> None:
    decoder, other = Decoder(), Decoder()
    other.feed([line, line])
    decoder.feed([line])

    assert decoder.text(line) == "tide"
    assert decoder.estimate() == other.estimate()
    assert decoder.text_chars == other.text_chars


ODD = {
    "thinking": b'{"message":{"content":"tide","thinking":"hm"},"done":false}',
    "calls": b'{"message":{"content":"a","tool_calls":[{"function":{"name":"f"}}]},"done":false}',
    "no text": b'{"message":{"content":""},"done":false}',
    "no record": b'{"done":false}',
    "the end": b'{"message":{"content":"tide"},"done":true}',
    "an error": b'{"error":"broken","done":false}',
    "no error": b'{"message":{"content":"tide"},"error":null,"done":false}',
    "log-probabilities": b'{"message":{"content":"tide"},"logprobs":[],"done":false}',
    "no JSON": b'{"message":"done":false}',
    "another type": b'{"message":{"content":7},"done":false}',
}


@pytest.mark.parametrize("line", ODD.values(), ids=ODD)
def test_what_has_more_to_say_is_left_uncounted(line: bytes) -> None:
    decoder = Decoder()
    decoder.feed([PLAIN["chat"]])

    assert decoder.text(line) is None
    assert decoder.estimate() == wire.Usage(completion_tokens=1, estimated=True)
