"""Every spelling of an address that clients use, and honest answers for the rest."""

from __future__ import annotations

from typing import Any

import pytest

from fake_ollama import FakeOllama
from tests.integration.conftest import Caller
from tests.support.asking import ENDPOINTS, asked, is_refusal

pytestmark = pytest.mark.process

SPELLINGS = [
    (name, path + slash)
    for name, paths in {
        "chat": ["/v1/chat/completions", "/chat/completions"],
        "completions": ["/v1/completions", "/completions"],
        "embeddings": ["/v1/embeddings", "/embeddings"],
        "responses": ["/v1/responses", "/responses"],
        "input_tokens": ["/v1/responses/input_tokens", "/responses/input_tokens"],
        "messages": ["/v1/messages", "/messages", "/anthropic/v1/messages"],
        "count_tokens": ["/v1/messages/count_tokens", "/anthropic/v1/messages/count_tokens"],
    }.items()
    for path in paths
    for slash in ("", "/")
]


@pytest.mark.parametrize(("name", "path"), SPELLINGS, ids=[case[1] for case in SPELLINGS])
def test_endpoints_are_reached_by_every_spelling_without_redirects(
    caller: Caller, name: str, path: str
) -> None:
    reply = caller.post(path, ENDPOINTS[name].body)

    assert reply.status == 200
    assert reply.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    "path",
    ["/v1/models", "/v1/models/", "/models", "/models/", "/anthropic/v1/models",
     "/v1/models?limit=1000", "/v1/models?unknown=1"],
)  # fmt: skip
def test_models_are_listed_by_every_spelling(caller: Caller, path: str) -> None:
    reply = caller.ask("GET", path)

    assert reply.status == 200
    assert reply.json["object"] == "list"
    ids = [model["id"] for model in reply.json["data"]]
    assert ids == sorted(ids, key=str.lower)


def test_the_query_of_messages_is_ignored(caller: Caller) -> None:
    assert caller.post("/v1/messages?beta=true", ENDPOINTS["messages"].body).status == 200


def test_one_model_object_serves_both_vendors(caller: Caller) -> None:
    openai_form = caller.ask("GET", "/v1/models/qwen3:8b").json
    anthropic_form = caller.ask("GET", "/anthropic/v1/models/qwen3:8b").json

    assert openai_form == anthropic_form
    assert isinstance(openai_form["created"], int)
    assert (openai_form["object"], openai_form["type"]) == ("model", "model")
    assert openai_form["created_at"].endswith("Z")
    assert set(openai_form["capabilities"]) == {"completion", "tools", "thinking"}
    assert openai_form["context_length"] == 40_960


def test_models_come_in_pages(caller: Caller) -> None:
    everything = [model["id"] for model in caller.ask("GET", "/v1/models").json["data"]]
    found: list[str] = []
    after = ""
    for _ in range(len(everything)):
        page = caller.ask("GET", f"/v1/models?limit=5{after}").json
        found += [model["id"] for model in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after_id={page['last_id']}"
    back = caller.ask("GET", f"/v1/models?limit=2&before_id={everything[4]}").json

    assert found == everything
    assert [model["id"] for model in back["data"]] == everything[2:4]


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "1e3", "%D9%A3"])
def test_a_wrong_page_size_is_refused(caller: Caller, limit: str) -> None:
    reply = caller.ask("GET", f"/v1/models?limit={limit}")

    assert (reply.status, reply.json["error"]["param"]) == (400, "limit")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_front_door_answers_probes(caller: Caller, method: str) -> None:
    reply = caller.ask(method, "/")

    assert reply.status == 200


UNSUPPORTED = [
    ("POST", "/v1/moderations"),
    ("POST", "/v1/rerank"),
    ("POST", "/v1/images/generations"),
    ("POST", "/v1/images/edits"),
    ("POST", "/v1/audio/transcriptions"),
    ("POST", "/v1/audio/translations"),
    ("POST", "/v1/audio/speech"),
    ("GET", "/v1/files"),
    ("POST", "/v1/files"),
    ("GET", "/v1/files/file-1/content"),
    ("POST", "/v1/batches"),
    ("GET", "/v1/fine_tuning/jobs"),
    ("GET", "/v1/vector_stores"),
    ("GET", "/v1/assistants"),
    ("POST", "/v1/threads/runs"),
    ("POST", "/v1/realtime/sessions"),
    ("POST", "/v1/conversations"),
    ("POST", "/v1/videos"),
    ("GET", "/v1/evals"),
    ("GET", "/v1/containers"),
    ("POST", "/v1/responses/compact"),
    ("DELETE", "/v1/models/qwen3:8b"),
    ("GET", "/v1/chat/completions/chatcmpl-1"),
    ("POST", "/v1/messages/batches"),
    ("GET", "/v1/messages/batches/b1/results"),
]


@pytest.mark.parametrize(("method", "path"), UNSUPPORTED, ids=[" ".join(c) for c in UNSUPPORTED])
def test_what_ollama_cannot_serve_is_an_honest_404(
    caller: Caller, ollama: FakeOllama, method: str, path: str
) -> None:
    reply = caller.ask(method, path)

    assert reply.status == 404
    assert reply.code == ("not_found_error" if "/messages" in path else "unsupported_endpoint")
    assert f"{method} {path} is not supported by this gateway" in reply.json["error"]["message"]
    assert asked(ollama) == []


UNKNOWN = ["/v1/nothing", "/v2/chat/completions", "/v1", "/v1/chat", "/v1/chat/completion",
           "/v1/engines/x/completions", "/.env",
           "/data/gateway.db", "/v1/responses/a/b/c", "/openapi.yaml"]  # fmt: skip


@pytest.mark.parametrize("path", UNKNOWN)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_nobody_knows_is_a_404(
    caller: Caller, ollama: FakeOllama, method: str, path: str
) -> None:
    reply = caller.ask(method, path)

    assert reply.status == 404
    assert is_refusal(reply.json)
    assert reply.code == "unknown_url"
    assert asked(ollama) == []


WRONG_METHOD = [
    ("GET", "/v1/responses", "POST"),
    ("GET", "/v1/embeddings", "POST"),
    ("GET", "/v1/messages", "POST"),
    ("PUT", "/v1/chat/completions", "POST"),
    ("DELETE", "/v1/messages/count_tokens", "POST"),
    ("PATCH", "/anthropic/v1/messages", "POST"),
    ("POST", "/v1/models", "GET"),
    ("POST", "/v1/models/qwen3:8b", "GET"),
    ("PUT", "/v1/responses/resp_1", "GET"),
]


@pytest.mark.parametrize(
    ("method", "path", "allowed"), WRONG_METHOD, ids=[" ".join(c[:2]) for c in WRONG_METHOD]
)
def test_a_wrong_method_is_a_405_that_says_which_is_right(
    caller: Caller, method: str, path: str, allowed: str
) -> None:
    reply = caller.ask(method, path)

    assert reply.status == 405
    assert allowed in reply.headers["allow"]
    anthropic = "/messages" in path
    assert is_refusal(reply.json, "anthropic" if anthropic else "openai")
    assert reply.code == ("invalid_request_error" if anthropic else "method_not_allowed")


def test_a_web_socket_is_refused_at_once(caller: Caller) -> None:
    reply = caller.ask(
        "GET",
        "/v1/responses",
        {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
         "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="},
    )  # fmt: skip

    assert reply.status == 405


TRICKS = ["/v1//{0}", "//v1/{0}", "/v1/./{0}", "/v1/../v1/{0}", "/%76%31/{0}", "/v1/{0}%00",
          "/v1/{0};x=1", "/V1/{0}", "/v1/{0}%2f", "/v1%2f{0}", "/v1/{0}/..",
          "/v1\\{0}"]  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("target", ["chat/completions", "messages", "models", "embeddings"])
def test_no_trick_with_the_path_gets_past_the_key(
    caller: Caller, ollama: FakeOllama, trick: str, target: str
) -> None:
    for method in ("GET", "POST"):
        wire = caller.wire()
        wire.send(
            f"{method} {trick.format(target)} HTTP/1.1\r\nHost: gateway\r\n"
            "Content-Length: 0\r\n\r\n".encode()
        )
        reply = wire.reply()

        assert reply.status in {400, 401, 404, 405}
    assert asked(ollama) == []


DIALECTS: list[tuple[str, dict[str, Any], bool]] = [
    ("/v1/models/nobody", {}, False),
    ("/v1/models/nobody", {"anthropic-version": "2023-06-01"}, True),
    ("/anthropic/v1/models/nobody", {}, True),
    ("/anthropic/nothing", {}, True),
    ("/v1/messages/msg_1", {}, True),
    ("/v1/responses/resp_1", {"anthropic-version": "2023-06-01"}, False),
]


@pytest.mark.parametrize(("path", "headers", "anthropic"), DIALECTS)
def test_refusals_speak_the_dialect_of_the_path(
    caller: Caller, path: str, headers: dict[str, str], anthropic: bool
) -> None:
    reply = caller.ask("GET", path, headers)

    assert reply.status == 404
    assert is_refusal(reply.json, "anthropic" if anthropic else "openai")
