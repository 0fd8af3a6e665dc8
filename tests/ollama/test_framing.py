"""Heads, bodies and lines, cut anywhere."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ollama.framing import (
    Chunked,
    Framing,
    Head,
    LineSplitter,
    Malformed,
    Sized,
    Truncated,
    UntilClose,
    framing_of,
    parse_head,
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    marks = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(marks)]


def chunked(payloads: list[bytes], trailers: bytes = b"") -> bytes:
    parts = [b"%x\r\n%b\r\n" % (len(payload), payload) for payload in payloads if payload]
    return b"".join(parts) + b"0\r\n" + trailers + b"\r\n"


HEADS = {
    "plain": (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain",
     Head(200, "OK", {"content-type": "text/plain"}, True)),
    "no reason": (b"HTTP/1.1 204", Head(204, "", {}, True)),
    "no fields": (b"HTTP/1.1 200 OK", Head(200, "OK", {}, True)),
    "close": (b"HTTP/1.1 200 OK\r\nConnection: close",
     Head(200, "OK", {"connection": "close"}, False)),
    "1.0": (b"HTTP/1.0 200 OK", Head(200, "OK", {}, False)),
    "1.0 kept": (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive",
     Head(200, "OK", {"connection": "Keep-Alive"}, True)),
    "repeated": (b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2 \t", Head(200, "OK", {"x-a": "1, 2"}, True)),
    "latin": (b"HTTP/1.1 200 \xe9\r\nX-A: \xe9", Head(200, "é", {"x-a": "é"}, True)),
}  # fmt: skip


@pytest.mark.parametrize(("data", "head"), HEADS.values(), ids=HEADS)
def test_a_head_is_read(data: bytes, head: Head) -> None:
    assert parse_head(data) == head


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/2 200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 099 OK",
        b"ICY 200 OK",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 200 OK\r\n: no name",
        b"HTTP/1.1 200 OK\r\nA b: space in the name",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n folded",
        b"HTTP/1.1 200 OK\r\nA: \x00",
        b"HTTP/1.1 200 OK\nA: 1",
    ],
)
def test_what_is_not_a_head_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_head(data)


def head(status: int = 200, **fields: str) -> Head:
    return Head(status, "", {name.replace("_", "-"): value for name, value in fields.items()}, True)


FRAMINGS = {
    "chunked": (head(transfer_encoding=" Chunked"), "POST", Chunked),
    "length": (head(content_length="5"), "POST", Sized),
    "length twice the same": (head(content_length="5, 5"), "POST", Sized),
    "until close": (head(), "POST", UntilClose),
    "no content": (head(204), "POST", Sized),
    "not modified": (head(304, content_length="5"), "POST", Sized),
    "head": (head(content_length="5"), "HEAD", Sized),
}


@pytest.mark.parametrize(("of", "method", "kind"), FRAMINGS.values(), ids=FRAMINGS)
def test_a_head_says_how_its_body_ends(of: Head, method: str, kind: type[Framing]) -> None:
    assert type(framing_of(of, method)) is kind


@pytest.mark.parametrize(
    "of",
    [
        head(transfer_encoding="gzip, chunked"),
        head(transfer_encoding="chunked", content_length="5"),
        head(content_length="5, 6"),
        head(content_length="+5"),
        head(content_length="five"),
        head(content_length=""),
    ],
)
def test_an_ambiguous_body_is_refused(of: Head) -> None:
    with pytest.raises(Malformed):
        framing_of(of, "POST")


@given(
    st.lists(st.binary(max_size=40), max_size=8),
    st.lists(st.integers(0, 400), max_size=30),
    st.sampled_from([b"", b"X-Sum: 1\r\n"]),
)
def test_chunks_come_out_whole_however_they_are_cut(
    payloads: list[bytes], cuts: list[int], trailers: bytes
) -> None:
    body = Chunked()

    got = b"".join(body.feed(piece) for piece in pieces(chunked(payloads, trailers), cuts))

    assert got == b"".join(payloads)
    assert (body.finished, body.extra) == (True, False)


def test_a_chunk_extension_is_passed_over() -> None:
    body = Chunked()

    assert body.feed(b"3;a=b\r\nabc\r\n0\r\n\r\n") == b"abc"
    assert body.finished


@pytest.mark.parametrize(
    "data",
    [
        b"0x3\r\nabc\r\n",
        b"+3\r\nabc\r\n",
        b"-3\r\nabc\r\n",
        b"3_0\r\nabc\r\n",
        b"\r\nabc\r\n",
        b"g\r\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabcd",
        b"3\r\nabc\n",
        b"3;" + b"x" * 2000,
        b"3;" + b"x" * 2000 + b"\r\nabc",
        b"1" * 16 + b"\r\n",
        b"0\r\n" + b"a: b\r\n" * 2000,
    ],
)
def test_bad_chunks_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        Chunked().feed(data)


MAKERS = {"chunked": (Chunked, b"3\r\nabc\r\n0\r\n\r\n"), "sized": (lambda: Sized(3), b"abc")}


@pytest.mark.parametrize(("make", "whole"), MAKERS.values(), ids=MAKERS)
def test_an_end_inside_a_body_is_told(make: Callable[[], Framing], whole: bytes) -> None:
    body = make()
    body.feed(whole[:-1])
    with pytest.raises(Truncated):
        body.eof()

    body.feed(whole[-1:])
    body.eof()

    assert (body.finished, body.extra) == (True, False)


@pytest.mark.parametrize(("make", "whole"), MAKERS.values(), ids=MAKERS)
def test_bytes_beyond_a_body_are_noticed(make: Callable[[], Framing], whole: bytes) -> None:
    body = make()

    assert body.feed(whole + b"HTTP/1.1") == b"abc"
    assert body.extra


def test_a_body_until_close_ends_with_the_connection() -> None:
    body = UntilClose()

    assert body.feed(b"abc") == b"abc"
    assert not body.finished
    body.eof()
    assert body.finished


def test_an_empty_sized_body_is_finished_at_once() -> None:
    assert Sized(0).finished


@given(st.lists(st.binary(max_size=30)), st.lists(st.integers(0, 900), max_size=40))
def test_lines_come_out_whole_however_they_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    lines = [line.replace(b"\n", b"_") for line in lines]
    splitter = LineSplitter(1000)

    got = [line for piece in pieces(b"\n".join(lines), cuts) for line in splitter.feed(piece)]
    rest = splitter.rest()

    wanted = [line for line in lines if line.strip()]
    assert got + ([rest] if rest else []) == wanted
    assert splitter.rest() == b""


@pytest.mark.parametrize("cut", [[b"x" * 11], [b"x" * 6, b"x" * 5], [b"x" * 6, b"xxxxx\n"]])
def test_a_line_over_the_limit_is_refused(cut: list[bytes]) -> None:
    splitter = LineSplitter(10)

    for piece in cut[:-1]:
        assert splitter.feed(piece) == []
    with pytest.raises(OverflowError):
        splitter.feed(cut[-1])


def test_lines_up_to_the_limit_pass() -> None:
    splitter = LineSplitter(10)

    assert splitter.feed(b"x" * 10 + b"\n" + b"y" * 10 + b"\n") == [b"x" * 10, b"y" * 10]
