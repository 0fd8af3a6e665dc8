"""Pictures named by URL: fetched with care, or refused; never silently left out."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from fake_ollama import FakeOllama
from tests.integration.clients.things import RED_DOT, sent
from tests.integration.conftest import Caller, Operator
from tests.support.pictures import serving

pytestmark = pytest.mark.process

PNG = base64.b64decode(RED_DOT)
ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/dot.png": (200, {"Content-Type": "image/png"}, PNG),
    "/unnamed": (200, {}, PNG),
    "/text": (200, {"Content-Type": "text/html"}, b"<p>no picture</p>"),
    "/large.png": (200, {"Content-Type": "image/png"}, PNG + b"\0" * (2 << 20)),
    "/moved": (302, {"Location": "/dot.png"}, b""),
    "/inside": (302, {"Location": "file:///etc/passwd"}, b""),
    "/tides.txt": (200, {"Content-Type": "text/plain"}, b"low tide at six"),
}


@pytest.fixture
def pictures() -> Iterator[tuple[str, list[str]]]:
    with serving(ANSWERS) as found:
        yield found


def look(url: str) -> dict[str, Any]:
    part = {"type": "image_url", "image_url": {"url": url}}
    return {
        "model": "llava:7b",
        "messages": [
            {"role": "user", "content": "Look."},
            {"role": "assistant", "content": "At what?"},
            {"role": "user", "content": [{"type": "text", "text": "This."}, part]},
        ],
    }


PLACE = "messages[2].content[1].image_url"
REFUSED = {
    "missing": ("/nothing", "failed_to_download_image"),
    "text": ("/text", "unsupported_image_media_type"),
    "too large": ("/large.png", "image_too_large"),
    "led to a file": ("/inside", "invalid_image_url"),
}


@pytest.mark.parametrize(("path", "code"), REFUSED.values(), ids=REFUSED)
def test_a_bad_picture_is_a_refusal(
    caller: Caller,
    operator: Operator,
    ollama: FakeOllama,
    pictures: tuple[str, list[str]],
    path: str,
    code: str,
) -> None:
    with operator.settings(allow_private_image_urls=True, max_image_mb=1):
        reply = caller.post("/v1/chat/completions", look(pictures[0] + path))

    assert (reply.status, reply.code) == (400, code)
    assert reply.json["error"]["param"] == PLACE
    assert ollama.calls("/api/chat") == []


@pytest.mark.parametrize("path", ["/dot.png", "/unnamed", "/moved"])
def test_a_good_picture_reaches_ollama(
    caller: Caller,
    operator: Operator,
    ollama: FakeOllama,
    pictures: tuple[str, list[str]],
    path: str,
) -> None:
    with operator.settings(allow_private_image_urls=True):
        reply = caller.post("/v1/chat/completions", look(pictures[0] + path))

    assert reply.status == 200
    assert sent(ollama)["messages"][2]["images"] == [RED_DOT]


def test_a_private_address_is_never_asked(
    caller: Caller, ollama: FakeOllama, pictures: tuple[str, list[str]]
) -> None:
    url, asked = pictures
    port = url.rsplit(":", 1)[1]
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"):
        reply = caller.post("/v1/chat/completions", look(f"http://{host}:{port}/dot.png"))

        assert (reply.status, reply.code) == (400, "invalid_image_url"), host
    assert asked == []
    assert ollama.calls("/api/chat") == []


def newest_turn(url: str) -> dict[str, Any]:
    """Add a file to the user's newest turn."""
    body = read(url)
    return {**body, "input": body["input"][:1]}


def read(url: str) -> dict[str, Any]:
    file = {"type": "input_file", "file_url": url}
    parts = [
        {"type": "input_text", "text": "Read this:"},
        file,
        {"type": "input_text", "text": "When is low tide?"},
    ]
    return {
        "model": "llama3.2",
        "input": [
            {"role": "user", "content": parts},
            {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [file]},
        ],
    }


def test_a_file_named_by_url_reaches_ollama_as_text(
    caller: Caller, operator: Operator, ollama: FakeOllama, pictures: tuple[str, list[str]]
) -> None:
    url, asked = pictures
    with operator.settings(allow_private_image_urls=True):
        reply = caller.post("/v1/responses", read(f"{url}/tides.txt"))

    assert reply.status == 200
    question, _, found = sent(ollama)["messages"]
    text = "tides.txt\nlow tide at six"
    assert question["content"] == f"Read this:\n{text}\nWhen is low tide?"
    assert found["content"] == text
    assert "images" not in question
    assert asked == ["/tides.txt"]


def test_a_bad_file_is_a_refusal(
    caller: Caller, operator: Operator, ollama: FakeOllama, pictures: tuple[str, list[str]]
) -> None:
    url = pictures[0]
    with operator.settings(allow_private_image_urls=True):
        missing = caller.post("/v1/responses", newest_turn(f"{url}/nothing"))
    inside = caller.post("/v1/responses", newest_turn(f"{url}/tides.txt"))

    assert (missing.status, missing.code) == (400, "failed_to_download_file")
    assert (inside.status, inside.code) == (400, "invalid_file_url")
    assert inside.json["error"]["param"] == "input[0].content[1].file_url"
    assert ollama.calls("/api/chat") == []


def test_a_bad_file_of_an_earlier_turn_is_a_note(
    caller: Caller, ollama: FakeOllama, pictures: tuple[str, list[str]]
) -> None:
    reply = caller.post("/v1/responses", read(f"{pictures[0]}/nothing"))

    note = "[file omitted: it could not be fetched]"
    question, _, result = ollama.calls("/api/chat")[-1].json["messages"]
    assert reply.status == 200
    assert question["content"] == f"Read this:\nWhen is low tide?\n{note}"
    assert result["content"] == note
    assert "input[0].content[1].file_url" in reply.headers["x-gateway-ignored"]


def test_a_file_is_not_fetched_to_be_counted(
    caller: Caller, pictures: tuple[str, list[str]]
) -> None:
    url, asked = pictures
    reply = caller.post("/v1/responses/input_tokens", read(f"{url}/tides.txt"))

    assert reply.status == 200
    assert asked == []


def test_one_url_is_fetched_once_a_request(
    caller: Caller, operator: Operator, ollama: FakeOllama, pictures: tuple[str, list[str]]
) -> None:
    url, asked = pictures
    body = look(f"{url}/dot.png")
    body["messages"].append(body["messages"][2])
    with operator.settings(allow_private_image_urls=True):
        reply = caller.post("/v1/chat/completions", body)

    assert reply.status == 200
    assert asked == ["/dot.png"]
