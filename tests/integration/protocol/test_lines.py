"""Each call leaves one line in the log: with both ids, counts and the end, without a word of it."""

from __future__ import annotations

import pytest

from fake_ollama import FakeOllama, Script
from tests.integration.conftest import Caller
from tests.support.asking import ENDPOINTS, GENERATING
from tests.support.process import until
from tests.support.wire import Reply, post

pytestmark = pytest.mark.process

CHAT = GENERATING["chat"]


def _line(caller: Caller, reply: Reply | str) -> str:
    """Give the line of a call; there is one only."""
    request_id = reply if isinstance(reply, str) else reply.headers["x-request-id"]

    def found() -> list[str]:
        return [
            line
            for line in caller.gateway.log
            if request_id in line and "gateway.calls.records" in line
        ]

    (line,) = until(found, "the line of the call")
    return str(line).rstrip()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", GENERATING)
def test_an_answer_leaves_a_line(
    caller: Caller, ollama: FakeOllama, name: str, stream: bool
) -> None:
    ollama.script("llama3.2", Script(content="Well.", prompt_eval_count=7, eval_count=3))
    endpoint = GENERATING[name]

    line = _line(caller, caller.post(endpoint.path, endpoint.with_(stream=stream)))

    assert f"{name} llama3.2 200 stop, 7+3 tokens in " in line
    assert line.endswith(", key 1")


def test_an_embedding_and_a_refusal_leave_lines(caller: Caller) -> None:
    embedding = ENDPOINTS["embeddings"]

    made = _line(caller, caller.post(embedding.path, embedding.body))
    refused = _line(caller, caller.post(CHAT.path, CHAT.with_(model="nobody")))

    assert "embeddings nomic-embed-text 200 stop" in made
    assert "chat nobody 404 model_not_found, 0+0 tokens" in refused


def test_the_callers_own_id_and_user_stand_in_it(caller: Caller) -> None:
    body = CHAT.with_(user="u" * 100)

    for header in ("X-Request-Id", "X-Client-Request-Id"):
        reply = caller.post(CHAT.path, body, {header: "theirs-7"})
        line = _line(caller, reply)

        assert line.endswith(f", user '{'u' * 64}', their id 'theirs-7'")
        assert "theirs" not in str(reply.headers)


@pytest.mark.parametrize("hostile", ["a b [req_1] ERROR", "\xe9\xff", "x" * 3000], ids=str.__len__)
def test_a_hostile_id_makes_no_other_line(caller: Caller, hostile: str) -> None:
    reply = caller.post(CHAT.path, CHAT.body, {"X-Request-Id": hostile})

    assert reply.status == 200
    assert len(_line(caller, reply)) < 500


def test_who_left_is_499(caller: Caller, ollama: FakeOllama) -> None:
    with ollama.hold("llama3.2", at=2) as gate:
        wire = caller.wire()
        wire.send(post(CHAT.path, CHAT.with_(stream=True), caller.key))
        _, headers = wire.head()
        gate.wait_reached()
        wire.sock.close()
        ollama.wait_disconnect()

    assert "499 client_closed" in _line(caller, headers["x-request-id"])
