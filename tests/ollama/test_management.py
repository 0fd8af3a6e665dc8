"""The small calls: lists, descriptions, pulls, loading."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fake_ollama import FakeOllama, Fault, Script, error, status
from gateway.core.catalog import Listed, Loaded
from gateway.core.chat import Params
from gateway.errors import GatewayError, ModelNotFound, UpstreamError, UpstreamTimeout
from gateway.ollama import capabilities
from gateway.ollama.capabilities import Progress, Shown
from gateway.ollama.client import OllamaClient
from tests.ollama.talk import MODEL, client_of, server


def test_loading_for_ever_is_a_far_day(ollama: FakeOllama) -> None:
    with client_of(ollama) as client:
        client.load(MODEL, Params(keep_alive=-1))
        expires_at = client.ps()[0].expires_at

    assert expires_at is not None
    assert expires_at.year > 2200


def pulled(client: OllamaClient, name: str) -> list[Progress]:
    body = json.dumps({"model": name}).encode()
    with client.post("/api/pull", body) as upstream:
        return [capabilities.read_progress(line) for lines in upstream.lines() for line in lines]


def test_a_pull_tells_its_progress(ollama: FakeOllama) -> None:
    with client_of(ollama) as client:
        client.delete(MODEL)
        steps = pulled(client, MODEL)

        assert steps[0].status == "pulling manifest"
        assert any(step.total_bytes and step.completed_bytes for step in steps)
        assert steps[-1].status == "success"
        assert MODEL in {model.name for model in client.tags()}


def test_a_pull_of_an_unknown_model_fails(ollama: FakeOllama) -> None:
    with client_of(ollama) as client, pytest.raises(GatewayError):
        pulled(client, "nobody/nothing:1")


def test_a_pull_that_is_closed_ends_upstream(ollama: FakeOllama) -> None:
    with ollama.hold("/api/pull", at=1), client_of(ollama) as client:
        client.delete(MODEL)
        with client.post("/api/pull", json.dumps({"model": MODEL}).encode()) as upstream:
            next(upstream.lines())

        ollama.wait_disconnect()


def test_copies_and_deletions(ollama: FakeOllama) -> None:
    with client_of(ollama) as client:
        client.copy(MODEL, "twin:1")
        assert "twin:1" in {model.name for model in client.tags()}
        client.delete("twin:1")
        assert "twin:1" not in {model.name for model in client.tags()}
        with pytest.raises(ModelNotFound):
            client.delete("twin:1")
        with pytest.raises(ModelNotFound):
            client.copy("nobody:1", "x:1")


FAULTY: dict[str, Any] = {
    "500": ("tags_500", UpstreamError),
    "html": ("html_200", UpstreamError),
    "not JSON": (status(200, "hello"), UpstreamError),
    "no list": (status(200, {"x": 1}), UpstreamError),
    "an array": (status(200, []), UpstreamError),
    "401": (error(401, "unauthorized"), UpstreamError),
}


@pytest.mark.parametrize(("fault", "kind"), FAULTY.values(), ids=FAULTY)
def test_a_list_that_cannot_be_read_is_an_error(
    ollama: FakeOllama, fault: Fault | str, kind: type[GatewayError]
) -> None:
    ollama.script("/api/tags", Script(fault=fault))

    with client_of(ollama) as client, pytest.raises(kind):
        client.tags()


def test_a_list_that_does_not_come_meets_its_limit(
    ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama.script("/api/tags", Script(fault="no_headers"))

    with client_of(ollama) as client, pytest.raises(UpstreamTimeout):
        client._ask("GET", "/api/tags", timeout_s=0.05)


# -- addresses and headers of a server -------------------------------------------------------------


def test_the_servers_own_header_is_sent_and_nothing_of_ours(ollama: FakeOllama) -> None:
    with client_of(ollama, auth_header="X-Proxy-Key:  s3cret ") as client:
        client.version()

    headers = ollama.requests[0].headers
    assert headers["x-proxy-key"] == "s3cret"
    assert headers["host"] == ollama.url.removeprefix("http://")
    assert headers["accept-encoding"] == "identity"
    assert set(headers) <= {
        "host", "user-agent", "accept-encoding", "content-type", "content-length", "x-proxy-key",
    }  # fmt: skip


def test_a_name_and_password_in_the_address_become_basic_authorization(ollama: FakeOllama) -> None:
    with client_of(ollama.url.replace("http://", "http://us%40er:p%3Aw@")) as client:
        client.version()

    assert ollama.requests[0].headers["authorization"] == "Basic dXNAZXI6cDp3"


def test_a_path_in_the_address_is_kept(ollama: FakeOllama) -> None:
    with client_of(ollama.url + "/proxy/") as client, pytest.raises(UpstreamError):
        client.version()

    assert [one.path for one in ollama.requests] == ["/proxy/api/version"]


def test_the_environment_changes_nothing(
    ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    with client_of(ollama) as client:
        assert client.version()


@pytest.mark.parametrize("url", ["", "ollama:11434", "ftp://x", "http://", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        OllamaClient(server(url))


@pytest.mark.parametrize(
    "header", ["no colon", ": no name", "A: x\r\nB: y", "A\nB: x", "A B: x", "A: 漢"]
)
def test_a_header_that_is_none_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match="Name: value"):
        OllamaClient(server("http://x", auth_header=header))


def test_an_ipv6_address_keeps_its_brackets() -> None:
    assert OllamaClient(server("http://[::1]:11434")).fields["Host"] == "[::1]:11434"


# -- reading ---------------------------------------------------------------------------------------


def test_tags_are_read_leniently() -> None:
    answer = {
        "models": [
            {"name": "a:1", "model": "a:1", "size": 5, "digest": "d",
             "modified_at": "2026-08-20T07:01:02.512934817+01:00",
             "details": {"family": "llama", "parameter_size": "8B", "quantization_level": "Q4",
                         "context_length": 4096}, "capabilities": ["completion", 5]},
            {"name": "b:1", "size": "x", "modified_at": "yesterday", "details": None,
             "remote_host": "https://ollama.com"},
            {"size": 1},
            5,
        ]
    }  # fmt: skip

    assert capabilities.read_tags(answer) == (
        Listed("a:1", "d", 5, datetime(2026, 8, 20, 6, 1, 2, 512934, tzinfo=UTC), "llama", "8B",
               "Q4", details={"context_tokens": 4096}),
        Listed("b:1", remote=True, details={"context_tokens": None}),
    )  # fmt: skip


def test_an_empty_store_is_an_empty_list() -> None:
    assert capabilities.read_tags({"models": []}) == ()
    assert capabilities.read_tags({"models": None}) == ()


def test_a_loaded_model_is_read_leniently() -> None:
    answer = {"models": [{"model": "a:1", "size": 5, "size_vram": 4, "context_length": 8,
                          "expires_at": "2318-01-01T00:00:00Z"}, {"name": "b:1"}]}  # fmt: skip

    assert capabilities.read_ps(answer) == (
        Loaded("a:1", 5, 4, 8, datetime(2318, 1, 1, tzinfo=UTC), stays_loaded=True),
        Loaded("b:1"),
    )


@pytest.mark.parametrize(
    ("expires_at", "stays"),
    [
        ("2026-08-22T10:05:00.31+01:00", False),
        ("2037-01-01T00:00:00Z", False),  # keep_alive 100000h
        ("2319-03-09T07:36:42.512934817Z", True),
        ("12319-03-09T07:36:42Z", False),  # no time that can be read
        (None, False),
    ],
)
def test_a_model_stays_loaded_where_ollama_names_a_time_centuries_away(
    expires_at: str | None, stays: bool
) -> None:
    (loaded,) = capabilities.read_ps({"models": [{"model": "a:1", "expires_at": expires_at}]})

    assert loaded.stays_loaded is stays


SHOWN: dict[str, Any] = {
    "empty": ({}, Shown(None)),
    "whole": ({
        "capabilities": ["tools"], "modelfile": "FROM x", "parameters": "stop x",
        "template": "t", "system": "s", "license": ["a", "b"], "remote_model": "r",
        "details": {"family": "qwen3", "parameter_size": "8B", "quantization_level": "Q4"},
        "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960,
                       "qwen3.embedding_length": 4096}},
     Shown(frozenset({"tools"}), 40960, 4096, "qwen3", "8B", "Q4", "FROM x", "stop x", "t", "s",
           "a\nb", True)),
    "no family": ({"model_info": {"general.architecture": "bert"}}, Shown(None, family="bert")),
    "odd length": ({"model_info": {"general.architecture": "x", "x.context_length": True}},
     Shown(None, family="x")),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "shown"), SHOWN.values(), ids=SHOWN)
def test_a_description_is_read_leniently(answer: dict[str, Any], shown: Shown) -> None:
    assert capabilities.read_show(answer) == shown


@pytest.mark.parametrize(
    ("line", "step"),
    [
        (b'{"status":"success"}', Progress("success")),
        (b'{"status":"pulling x","digest":"d","total":5,"completed":2}',
         Progress("pulling x", "d", 5, 2)),
        (b'{"total":-1}', Progress("")),
    ],
)  # fmt: skip
def test_a_step_of_a_pull_is_read(line: bytes, step: Progress) -> None:
    assert capabilities.read_progress(line) == step


@pytest.mark.parametrize("line", [b"x", b"[]", b'{"error":"pull model manifest: not there"}'])
def test_a_step_that_is_none_is_an_error(line: bytes) -> None:
    with pytest.raises(UpstreamError):
        capabilities.read_progress(line)


TIMES: list[tuple[Any, datetime | None]] = [
    ("2026-08-22T09:00:00Z", datetime(2026, 8, 22, 9, tzinfo=UTC)),
    ("2026-08-22T09:00:00.5Z", datetime(2026, 8, 22, 9, 0, 0, 500_000, tzinfo=UTC)),
    ("2026-08-22T09:00:00.123456789+02:00", datetime(2026, 8, 22, 7, 0, 0, 123456, tzinfo=UTC)),
    ("2026-08-22T09:00:00", datetime(2026, 8, 22, 9, tzinfo=UTC)),
    ("9999-12-31T23:59:59-05:00", datetime(9999, 12, 31, tzinfo=UTC)),
    ("soon", None),
    (5, None),
]


@pytest.mark.parametrize(("text", "time"), TIMES)
def test_a_time_is_read(text: Any, time: datetime | None) -> None:
    assert capabilities.read_time(text) == time


@pytest.mark.parametrize(
    ("line", "done"),
    [(b'{"done":true}', True), (b'{"done":false}', False), (b'{"done":null}', False),
     (b'{"message":{"done":true}}', False), (b'{"done":"yes"}', False), (b"x", False)],
)  # fmt: skip
def test_the_last_line_is_known_by_its_own_field(line: bytes, done: bool) -> None:
    assert capabilities.says_done(line) is done


HEX = "0123456789abcdef" * 4
OTHER = "f" * 64


@pytest.mark.parametrize(
    ("modelfile", "weights"),
    [
        (f"# FROM tern\nFROM /root/blobs/sha256-{HEX}\nTEMPLATE x", "0123456789abcdef"),
        (f"FROM C:\\models\\blobs\\sha256-{HEX}", "0123456789abcdef"),
        (f"FROM /b/sha256-{HEX}\nADAPTER /b/sha256-{OTHER}", "0123456789abcdef ffffffffffffffff"),
        ("FROM tern", ""),
        ("", ""),
    ],
)
def test_the_weights_are_those_the_modelfile_names(modelfile: str, weights: str) -> None:
    assert capabilities.read_show({"modelfile": modelfile}).weights == weights
