"""The fake as an HTTP server: framing, types, keep-alive, routes, hosts and origins."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any

import pytest

from fake_ollama import FakeOllama, Script
from tests.fake_ollama.talk import (
    TIMEOUT_S,
    USER,
    chat,
    chat_bytes,
    on,
    opened,
    read_to_end,
    send,
)


def test_a_stream_is_chunked_ndjson(ollama: FakeOllama) -> None:
    answer = chat(ollama, "llama3.2")

    assert answer.status == 200
    assert answer.type == "application/x-ndjson"
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.body.endswith(b"}\n")


def test_a_whole_answer_has_a_length_and_no_newline(ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(content="Six."))

    answer = chat(ollama, "llama3.2", stream=False)

    assert answer.type == "application/json; charset=utf-8"
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert not answer.body.endswith(b"\n")


def test_a_large_whole_answer_is_chunked_as_go_does(ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(content="wave " * 1000))

    answer = chat(ollama, "llama3.2", stream=False)

    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.json["message"]["content"] == "wave " * 1000


def test_html_characters_are_escaped_as_go_does(ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(content="<b> & \u2028"))

    answer = chat(ollama, "llama3.2", stream=False)

    assert b"\\u003cb\\u003e \\u0026 \\u2028" in answer.body
    assert answer.json["message"]["content"] == "<b> & \u2028"


def test_times_are_utc_with_up_to_nine_digits(ollama: FakeOllama) -> None:
    times = [line["created_at"] for line in chat(ollama, "llama3.2").lines]

    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}(\.\d{1,9})?Z", time) for time in times)
    assert max(len(time) for time in times) >= len("2026-08-22T09:00:00.1234567Z")


def test_one_connection_serves_many_requests(ollama: FakeOllama) -> None:
    connection = http.client.HTTPConnection(ollama.host, ollama.port, timeout=TIMEOUT_S)
    for _ in range(3):
        on(connection, "GET", "/api/version")
    on(connection, "POST", "/api/chat", {"model": "llama3.2", "messages": USER})
    connection.close()

    assert {one.connection for one in ollama.requests} == {1}


def test_connection_close_is_honoured(ollama: FakeOllama) -> None:
    with opened(
        ollama, b"GET /api/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    ) as sock:
        data = read_to_end(sock)

    assert data.endswith(b'{"version":"0.33.0"}')
    assert b"Connection: close" in data


def test_http_1_0_gets_no_chunks(ollama: FakeOllama) -> None:
    request = chat_bytes("llama3.2").replace(b"HTTP/1.1", b"HTTP/1.0")

    with opened(ollama, request) as sock:
        head, _, body = read_to_end(sock).partition(b"\r\n\r\n")

    assert b"Transfer-Encoding" not in head
    assert json.loads(body.splitlines()[-1])["done"] is True


def test_a_chunked_request_body_is_read(ollama: FakeOllama) -> None:
    connection = http.client.HTTPConnection(ollama.host, ollama.port, timeout=TIMEOUT_S)
    body = json.dumps({"model": "llama3.2", "messages": USER, "stream": False}).encode()
    connection.request("POST", "/api/chat", iter([body[:10], body[10:]]), encode_chunked=True)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()

    assert answer["done"] is True


def test_two_requests_sent_at_once_are_both_answered(ollama: FakeOllama) -> None:
    request = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
    closing = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

    with opened(ollama, request + closing) as sock:
        data = read_to_end(sock)

    assert data.count(b'{"version":"0.33.0"}') == 2


PLAIN_ROUTES: list[tuple[str, str, int, str, str]] = [
    ("GET", "/", 200, "text/plain; charset=utf-8", "Ollama is running"),
    ("HEAD", "/", 200, "text/plain; charset=utf-8", ""),
    ("GET", "/api/nothing", 404, "text/plain", "404 page not found"),
    ("POST", "/v1/chat/completions", 404, "text/plain", "404 page not found"),
    ("GET", "/api/chat", 405, "text/plain", "405 method not allowed"),
    ("DELETE", "/api/tags", 405, "text/plain", "405 method not allowed"),
]


@pytest.mark.parametrize(("method", "path", "status", "content_type", "body"), PLAIN_ROUTES)
def test_plain_routes(
    ollama: FakeOllama, method: str, path: str, status: int, content_type: str, body: str
) -> None:
    answer = send(ollama, method, path)

    assert (answer.status, answer.type, answer.body.decode()) == (status, content_type, body)


def test_a_wrong_method_names_the_right_ones(ollama: FakeOllama) -> None:
    assert send(ollama, "PUT", "/api/tags").headers["Allow"] == "GET, HEAD"


def test_a_trailing_slash_is_redirected(ollama: FakeOllama) -> None:
    answer = send(ollama, "POST", "/api/chat/", {})

    assert (answer.status, answer.headers["Location"]) == (307, "/api/chat")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "app://desktop"}, 200),
        ({"Host": "gateway.example.org"}, 403),
        ({"Host": "ollama.internal:11434"}, 200),
        ({"Host": "10.0.0.4:11434"}, 200),
        ({"Host": "8.8.8.8"}, 403),
    ],
)
def test_foreign_origins_and_hosts_get_an_empty_403(
    ollama: FakeOllama, headers: dict[str, str], status: int
) -> None:
    answer = send(ollama, "GET", "/api/tags", headers=headers)

    assert answer.status == status
    assert bool(answer.body) == (status == 200)


def test_signing_out_closes_the_cloud_until_a_reset(ollama: FakeOllama) -> None:
    statuses = [send(ollama, "POST", "/api/signout").status for _ in range(2)]
    signed_out = send(ollama, "POST", "/api/me").json["error"]
    ollama.reset()

    assert statuses == [200, 401]
    assert signed_out == "unauthorized"
    assert send(ollama, "POST", "/api/me").status == 200


def test_status_me_and_version(ollama: FakeOllama) -> None:
    answers: dict[str, Any] = {
        "status": send(ollama, "GET", "/api/status").json,
        "version": send(ollama, "GET", "/api/version").json,
        "me": send(ollama, "POST", "/api/me").json["plan"],
    }

    assert answers == {
        "status": {"cloud": {"disabled": False, "source": "none"}},
        "version": {"version": "0.33.0"},
        "me": "free",
    }
