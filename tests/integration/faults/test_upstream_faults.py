"""What Ollama does wrong, and what the caller sees of it."""

from __future__ import annotations

import pytest

from fake_ollama import Fault, Script, error, status
from tests.integration.faults.site import Site, caller
from tests.support.process import until

pytestmark = pytest.mark.process

TEXT = "Low tide at six."
SECRET = "<html><body>internal host 10.9.8.7</body></html>"

# Faults that strike before the first record: a status, also for a stream.
EARLY = {
    "U6 reset without an answer": (Fault("reset"), 502, "upstream_unreachable"),
    "U7 closed without an answer": (Fault("close"), 502, "upstream_unreachable"),
    "U9 error line first": (Fault("error_line", after=0, message="boom"), 502, "upstream_error"),
    "U14 a web page": (Fault("html_200"), 502, "upstream_bad_response"),
    "U14 a web page as 500": (Fault("html_500"), 502, "upstream_error"),
    "U14 nothing at all": (Fault("empty_200"), 502, "upstream_bad_response"),
    "U14 no content": (Fault("no_content_204"), 502, "upstream_bad_response"),
    "U14 not HTTP": (Fault("garbage_status"), 502, "upstream_bad_response"),
    "U14 a redirect": (Fault("redirect_307"), 502, "upstream_bad_response"),
    "U15 the model is gone": (error(404, "model 'tern' not found"), 404, "model_not_found"),
    "U15 a bad request": (error(400, "no such thing"), 400, "upstream_invalid_request"),
    "U15 a proxy that is busy": (error(503, "Service Unavailable"), 503, "upstream_busy"),
    "U15 out of memory": (error(500, "cudaMalloc failed: out of memory"), 502, "upstream_error"),
    "U15 a foreign 499": (error(499, "request canceled"), 400, "upstream_invalid_request"),
    "U15 an unknown path": (status(404, "404 page not found"), 502, "upstream_endpoint_missing"),
    "U15 a wall before it": (status(401, "{}"), 502, "upstream_unauthorized"),
    "U18 compressed": (Fault("gzip"), 502, "upstream_bad_response"),
    "U18 a bomb": (Fault("gzip_bomb", size=4 << 20), 502, "upstream_bad_response"),
}


@pytest.mark.parametrize(("fault", "expected", "code"), EARLY.values(), ids=EARLY)
def test_a_fault_before_the_answer_is_a_status(one: Site, fault, expected, code):
    one.ollama.script("tern", Script(content=TEXT, fault=fault))

    answer = one.chat(stream=True)

    assert (answer.status_code, answer.json()["error"]["code"]) == (expected, code)
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert "html" not in answer.text
    assert "10.9.8.7" not in answer.text
    row = one.row(answer.headers["x-request-id"])
    assert (row.status, row.error_code) == (expected, code)
    assert well_again(one)


def well_again(one: Site) -> bool:
    """Whether the next call goes well, after the lane's rest."""
    one.ollama.script("tern", Script(content=TEXT))
    answer = until(lambda: found if (found := one.chat()).ok else None, "a good answer")
    return answer.json()["choices"][0]["message"]["content"] == TEXT


# Faults in the middle of an answer: an explicit error event, and never `[DONE]`.
MIDDLE = {
    "U6 reset": (Fault("reset_mid_line", after=2), "upstream_disconnected"),
    "U7 end inside a line": (Fault("fin_mid_line", after=2), "upstream_disconnected"),
    "U7 end inside a chunk": (Fault("fin_in_chunk", after=2), "upstream_disconnected"),
    "U7 end before the length": (
        ("content_length", Fault("fin_mid_line", after=2)),
        "upstream_disconnected",
    ),
    "U8 end without done": (Fault("nodone"), "upstream_disconnected"),
    "U9 error line": (Fault("error_line", after=2, message="runner died"), "upstream_error"),
    "U9 error line without newline": (
        Fault("error_line_no_newline", after=2, message="runner died"),
        "upstream_error",
    ),
    "U10 silence": (Fault("silent_after", after=2), "upstream_timeout"),
    "U11 garbage": (Fault("garbage_line", after=2, data=b"\x00\xff{"), "upstream_bad_response"),
    "U13 an endless line": (Fault("huge_line", after=2, size=20 << 20), "upstream_line_too_long"),
}


@pytest.mark.parametrize(("fault", "code"), MIDDLE.values(), ids=MIDDLE)
def test_a_fault_in_the_middle_ends_a_stream_with_an_error(one: Site, fault, code):
    one.ollama.script("tern", Script(content=TEXT, fault=fault))

    answer = one.stream()

    assert answer.status == 200
    assert answer.error is not None, answer.body
    assert answer.error["code"] == code
    assert not answer.is_complete
    assert TEXT.startswith(answer.text)
    assert answer.text
    row = one.row(answer.headers["x-request-id"])
    assert (row.status, row.finish, row.error_code) == (200, "error", code)
    assert row.estimated
    assert row.completion_tokens > 0
    assert well_again(one)


@pytest.mark.parametrize(("fault", "code"), MIDDLE.values(), ids=MIDDLE)
def test_a_fault_in_the_middle_fails_a_whole_answer(one: Site, fault, code):
    one.ollama.script("tern", Script(content=TEXT, fault=fault))

    answer = one.chat()

    expected = 504 if code == "upstream_timeout" else 502
    assert (answer.status_code, answer.json()["error"]["code"]) == (expected, code)
    assert TEXT[:8] not in answer.text
    assert one.row(answer.headers["x-request-id"]).status == expected


# Oddities nobody should notice.
HARMLESS = {
    "U12 a character in pieces": "utf8_split",
    "U12 a byte order mark": "bom",
    "U12 CR LF": "crlf",
    "U12 empty lines": "empty_lines",
    "U12 all in one packet": "one_packet",
    "U16 closed after the answer": "close_after_answer",
    "U17 counted bytes": "content_length",
    "U17 until the end of the connection": "until_close",
    "U19 bytes nobody asked for": Fault("extra_bytes", data=b"HTTP/1.1 200 OK\r\n\r\nevil"),
    "the done line twice": "done_twice",
    "text after the done line": "lines_after_done",
    "a cookie": Fault("set_cookie", data=b"sid=1; Path=/"),
    "odd counters": "wrong_types",
}


@pytest.mark.parametrize("fault", HARMLESS.values(), ids=HARMLESS)
def test_an_oddity_is_not_noticed(one: Site, fault):
    text = "Ebbe ≈ 6 Uhr — 満潮は正午 🌊."
    one.ollama.script("tern", Script(content=text, fault=fault))

    for _ in range(3):
        answer = one.stream()
        assert (answer.text, answer.error, answer.is_complete) == (text, None, True)
        assert "set-cookie" not in answer.headers

    assert all("cookie" not in request.headers for request in one.ollama.calls("/api/chat"))


def test_a_connection_that_died_while_idle_is_not_noticed(one: Site):
    """U16: Ollama closes a kept connection in the moment we use it again."""
    one.ollama.script("tern", Script(content=TEXT, fault="close_on_reuse"))

    answers = [one.chat() for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200] * 4


def test_a_refused_connection_is_told_at_once_and_the_server_comes_back(one: Site):
    """U1, U20."""
    one.ollama.stop()

    answer = one.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) in {
        (502, "upstream_unreachable"),
        (503, "no_upstream_available"),
    }
    (later,) = until(
        lambda: [found] if (found := one.chat()).status_code == 503 else None,
        "a server known to be down",
    )
    assert later.json()["error"]["code"] == "no_upstream_available"
    assert later.headers["retry-after"] == "5"

    one.ollama.start()
    assert well_again(one)


def test_a_long_load_is_waited_for_with_comments(one: Site):
    """U4: nothing comes while a model loads; the caller is kept alive, the status is 200."""
    one.ollama.script("tern", Script(content=TEXT))
    with one.ollama.hold("tern", at=0) as gate, caller(one, stream=True) as found:
        found.send().read_until(b": keep-alive")
        gate.release()
        body = found.read_until(b"[DONE]")

    assert body.startswith(b"HTTP/1.1 200 OK")
    assert body.index(b": keep-alive") < body.index(b"Low")


def test_a_model_list_that_fails_or_empties_changes_nothing(one: Site):
    """U21."""
    for fault in ("tags_500", "tags_empty"):
        one.ollama.script("/api/tags", Script(fault=fault))
        done = one.gateway.run("-m", "flask", "--app", "wsgi", "model", "refresh", check=False)

        assert (done.returncode, bool(done.stdout + done.stderr)) == (1, True)
        assert one.is_ready(), done.stdout + done.stderr
        assert one.chat().status_code == 200


def test_nothing_of_it_reached_the_log_as_a_traceback(one: Site):
    assert "Traceback" not in one.log()
