"""Every fault, seen from the other end of the socket."""

from __future__ import annotations

import http.client
import json

import pytest

from fake_ollama import FakeOllama, Fault, Script, error, status
from tests.fake_ollama.fault_talk import MODEL, WORDS, body_lines, raw, scripted
from tests.fake_ollama.talk import chat, chat_bytes, opened, read_to_reset, read_until


def test_an_unknown_fault_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="unknown fault 'rest'; known: no_headers"):
        Fault("rest")


def test_no_headers_says_nothing_until_the_client_leaves(ollama: FakeOllama) -> None:
    scripted(ollama, "no_headers")

    with opened(ollama, chat_bytes(MODEL)) as sock:
        ollama.wait_requests(1)
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)

    assert ollama.wait_disconnect()[0].status is None


@pytest.mark.parametrize("kind", ["reset", "close"])
def test_a_connection_can_end_without_an_answer(ollama: FakeOllama, kind: str) -> None:
    scripted(ollama, kind)

    with pytest.raises(ConnectionResetError if kind == "reset" else http.client.RemoteDisconnected):
        chat(ollama, MODEL)


def test_what_is_not_http_can_be_sent(ollama: FakeOllama) -> None:
    scripted(ollama, "garbage_status")

    with pytest.raises(http.client.BadStatusLine):
        chat(ollama, MODEL)


WHOLE: list[tuple[Fault, int, str | None, str]] = [
    (Fault("queue_full"), 503, "application/json", "server busy, please try again.  maximum"),
    (error(500, "no luck"), 500, "application/json", '{"error":"no luck"}'),
    (status(502, "<p>"), 502, "text/plain", "<p>"),
    (status(429, {"error": "x"}, {"Retry-After": "7"}), 429, "application/json", "x"),
    (status(418, "{}", {"Content-Type": "application/json"}), 418, "application/json", "{}"),
    (Fault("nested_error", status=400, message="too long"), 400, "application/json", "{\\\"error"),
    (Fault("tool_args_error"), 500, "application/json", "invalid tool call arguments"),
    (Fault("html_200"), 200, "text/html", "<html>"),
    (Fault("html_500"), 500, "text/html", "<html>"),
    (Fault("empty_200"), 200, None, ""),
    (Fault("no_content_204"), 204, None, ""),
    (Fault("redirect_307"), 307, None, ""),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "code", "kind", "text"), WHOLE, ids=[w[0].kind for w in WHOLE])
@pytest.mark.parametrize("stream", [True, False])
def test_a_refusal_takes_the_place_of_the_answer(
    ollama: FakeOllama, fault: Fault, code: int, kind: str | None, text: str, stream: bool
) -> None:
    scripted(ollama, fault)

    answer = chat(ollama, MODEL, stream=stream)

    assert answer.status == code
    assert (answer.type or "").partition(";")[0] == (kind or "")
    assert text in answer.body.decode()
    assert ollama.loads == []


def test_a_redirect_says_where(ollama: FakeOllama) -> None:
    scripted(ollama, Fault("redirect_307", location="http://127.0.0.1:9/steal"))

    assert chat(ollama, MODEL).headers["Location"] == "http://127.0.0.1:9/steal"


def test_a_status_brings_its_headers(ollama: FakeOllama) -> None:
    scripted(ollama, status(429, {"error": "x"}, {"Retry-After": "7"}))

    assert chat(ollama, MODEL).headers["Retry-After"] == "7"


def test_a_nested_error_can_be_parsed_twice(ollama: FakeOllama) -> None:
    scripted(ollama, Fault("nested_error", status=400, message="too long"))

    inner = json.loads(chat(ollama, MODEL).error)["error"]

    assert (inner["code"], inner["message"]) == (400, "too long")


def test_drip_sends_the_head_byte_by_byte(ollama: FakeOllama) -> None:
    scripted(ollama, Fault("drip_headers", interval_s=0.001))

    with opened(ollama, chat_bytes(MODEL)) as sock:
        first = sock.recv(65_536)
        rest = read_until(sock, b"0\r\n\r\n")

    assert len(first) < 12
    assert b"".join([first, rest]).startswith(b"HTTP/1.1 200 OK\r\n")


def test_reset_mid_line_sends_half_a_line_then_rst(ollama: FakeOllama) -> None:
    scripted(ollama, Fault("reset_mid_line", after=2))

    with opened(ollama, chat_bytes(MODEL)) as sock:
        data, was_reset = read_to_reset(sock)

    *whole, torn = body_lines(data)
    assert was_reset
    assert [json.loads(line)["message"]["content"] for line in whole] == WORDS[:2]
    with pytest.raises(json.JSONDecodeError):
        json.loads(torn)


def test_fin_mid_line_ends_without_the_last_chunk(ollama: FakeOllama) -> None:
    scripted(ollama, Fault("fin_mid_line", after=1))

    data = raw(ollama)

    assert len(body_lines(data)) == 2
    assert not data.endswith(b"0\r\n\r\n")


def test_fin_in_chunk_breaks_the_promised_length(ollama: FakeOllama) -> None:
    scripted(ollama, Fault("fin_in_chunk", after=1))

    with pytest.raises(http.client.IncompleteRead) as caught:
        chat(ollama, MODEL)

    assert caught.value.partial.count(b"\n") == 1


@pytest.mark.parametrize("kind", ["reset_mid_line", "fin_mid_line", "fin_in_chunk"])
def test_a_whole_answer_can_be_torn_too(ollama: FakeOllama, kind: str) -> None:
    scripted(ollama, kind)

    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        chat(ollama, MODEL, stream=False)


def test_nodone_ends_cleanly_without_the_done_line(ollama: FakeOllama) -> None:
    scripted(ollama, "nodone")

    streamed = chat(ollama, MODEL)
    whole = chat(ollama, MODEL, stream=False).json

    assert streamed.content == "One two three"
    assert [line["done"] for line in streamed.lines] == [False] * 3
    assert (whole["done"], "eval_count" in whole) == (False, False)
    assert whole["message"]["content"] == "One two three"


def test_zero_lines_is_an_empty_stream_or_gos_zero_value(ollama: FakeOllama) -> None:
    scripted(ollama, "zero_lines")

    streamed = chat(ollama, MODEL)
    whole = chat(ollama, MODEL, stream=False)

    assert (streamed.status, streamed.type, streamed.body) == (200, "application/x-ndjson", b"")
    assert whole.json == {
        "model": "",
        "created_at": "0001-01-01T00:00:00Z",
        "message": {"role": "", "content": ""},
        "done": False,
    }


@pytest.mark.parametrize(
    ("kind", "ending"), [("error_line", b'"}\n'), ("error_line_no_newline", b'"}')]
)
def test_an_error_line_comes_with_status_200(ollama: FakeOllama, kind: str, ending: bytes) -> None:
    scripted(ollama, Fault(kind, after=1, message="it broke"))

    streamed = chat(ollama, MODEL)
    whole = chat(ollama, MODEL, stream=False)

    assert streamed.status == 200
    assert streamed.lines[1:] == [{"error": "it broke"}]
    assert streamed.body.endswith(ending)
    assert (whole.status, whole.error) == (500, "it broke")


def test_silence_lasts_until_the_client_leaves(ollama: FakeOllama) -> None:
    scripted(ollama, Fault("silent_after", after=1))

    with opened(ollama, chat_bytes(MODEL)) as sock:
        read_until(sock, b'"One"},"done":false}\n')
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)

    assert ollama.wait_disconnect()[0].lines == 1


def test_garbage_stands_between_the_lines(ollama: FakeOllama) -> None:
    scripted(ollama, Fault("garbage_line", after=1, data=b"\xff\x00<<<"))

    lines = chat(ollama, MODEL).body.split(b"\n")

    assert lines[1] == b"\xff\x00<<<"
    assert json.loads(lines[2])["message"]["content"] == " two"


def test_every_byte_can_travel_alone(ollama: FakeOllama) -> None:
    ollama.script(MODEL, Script(content="潮 🌊", fault="utf8_split"))

    with opened(ollama, chat_bytes(MODEL)) as sock:
        data = read_until(sock, b"\r\n0\r\n\r\n")
    pieces = data.partition(b"\r\n\r\n")[2].split(b"\r\n")

    assert set(pieces[:-3:2]) == {b"1"}
    assert "潮" in b"".join(pieces[1:-3:2]).decode()
    assert chat(ollama, MODEL, stream=False).json["message"]["content"] == "潮 🌊"


def test_a_byte_order_mark_crlf_and_empty_lines(ollama: FakeOllama) -> None:
    scripted(ollama, "bom")
    marked = chat(ollama, MODEL).body
    scripted(ollama, "crlf")
    windows = chat(ollama, MODEL).body
    scripted(ollama, "empty_lines")
    airy = chat(ollama, MODEL)

    assert marked.startswith(b'\xef\xbb\xbf{"model"')
    assert windows.count(b"}\r\n") == 4
    assert airy.body.startswith(b"\n{")
    assert b"\n\n\r\n{" in airy.body
    assert airy.content == "One two three"


def test_a_line_can_be_huge_and_still_be_json(ollama: FakeOllama) -> None:
    scripted(ollama, Fault("huge_line", after=1, size=1_000_000))

    lines = chat(ollama, MODEL).body.splitlines(keepends=True)

    assert [len(line) for line in lines if len(line) > 1000] == [1_000_000]
    assert set(json.loads(lines[1])["message"]["content"]) == {"x"}


def test_a_flood_is_as_long_as_asked_for(ollama: FakeOllama) -> None:
    scripted(ollama, Fault("flood", after=1, size=500))

    lines = chat(ollama, MODEL).lines

    assert [line["message"]["content"] for line in lines].count(" two") == 500
    assert lines[-1]["done"] is True


def test_a_runner_can_die_before_the_first_line_or_later(ollama: FakeOllama) -> None:
    text = "an error was encountered while running the model: unexpected EOF"
    scripted(ollama, "runner_died")
    before = [chat(ollama, MODEL, stream=stream) for stream in (True, False)]
    scripted(ollama, Fault("runner_died", after=2))
    later, whole = chat(ollama, MODEL), chat(ollama, MODEL, stream=False)

    assert [(one.status, one.error) for one in (*before, whole)] == [(500, text)] * 3
    assert (later.status, len(later.lines), later.last) == (200, 3, {"error": text})


def test_a_runner_that_died_is_loaded_again(ollama: FakeOllama) -> None:
    ollama.script(MODEL, Script(fault="runner_died"), Script(content="Back."))
    chat(ollama, MODEL)
    dead = ollama.loaded()

    assert chat(ollama, MODEL).content == "Back."
    assert (dead, ollama.load_count(MODEL), ollama.reload_count(MODEL)) == ([], 2, 0)


def test_counters_can_have_wrong_types(ollama: FakeOllama) -> None:
    scripted(ollama, "wrong_types")

    for last in (chat(ollama, MODEL).last, chat(ollama, MODEL, stream=False).json):
        assert (last["prompt_eval_count"], last["eval_count"]) == (-3, "seven")


def test_done_can_come_twice_or_too_early(ollama: FakeOllama) -> None:
    scripted(ollama, "done_twice")
    twice = chat(ollama, MODEL).lines
    scripted(ollama, "lines_after_done")
    early = chat(ollama, MODEL).lines

    assert [line["done"] for line in twice[-2:]] == [True, True]
    assert [line["done"] for line in early[-2:]] == [True, False]


def test_all_lines_can_come_in_one_chunk(ollama: FakeOllama) -> None:
    scripted(ollama, "one_packet")

    with opened(ollama, chat_bytes(MODEL)) as sock:
        data = read_until(sock, b"\r\n0\r\n\r\n")

    assert len(body_lines(data)) == 1
    assert body_lines(data)[0].count(b"\n") == 3 + 1
