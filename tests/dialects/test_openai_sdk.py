"""OpenAI's own SDK puts our streams together to what we render whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import openai
import orjson
import pytest
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion

from gateway.core.chat import Embeddings, EmbedRequest
from gateway.dialects import embeddings as openai_embeddings
from tests.support import golden

CHAT = golden.GOLDEN / "chat"
WHOLE = sorted(path for path in CHAT.glob("*.json") if b'"error"' not in path.read_bytes()[:20])
FAILED = sorted(path for path in CHAT.glob("*.json") if path not in WHOLE)


def client(content: bytes, kind: str) -> openai.OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=content, headers={"content-type": kind})

    transport = httpx2.MockTransport(answer)
    return openai.OpenAI(
        api_key="sk-test",
        base_url="http://gateway.test/v1",
        max_retries=0,
        http_client=httpx2.Client(transport=transport),
    )


def ask(sdk: openai.OpenAI) -> Any:
    return sdk.chat.completions.stream(model="Tern", messages=[{"role": "user", "content": "Hi"}])


@pytest.mark.parametrize("path", WHOLE, ids=[path.stem for path in WHOLE])
def test_the_stream_helper_ends_with_the_whole_answer(path: Path) -> None:
    whole = orjson.loads(path.read_bytes())
    comments = b": keep-alive\n\n" + path.with_suffix(".sse").read_bytes().replace(
        b"\n\n", b"\n\n: keep-alive\n\n"
    )

    with ask(client(comments, "text/event-stream")) as events:
        events.until_done()
        final = events.current_completion_snapshot

    choice, expected = final.choices[0], whole["choices"][0]
    assert choice.message.role == "assistant"
    assert (choice.message.content or "") == (expected["message"]["content"] or "")
    assert choice.finish_reason == expected["finish_reason"]
    calls = [
        (call.id, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls or ()
    ]
    assert calls == [
        (call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in expected["message"].get("tool_calls", ())
    ]
    assert final.usage is not None
    assert final.usage.to_dict() == whole["usage"]


@pytest.mark.parametrize("path", FAILED, ids=[path.stem for path in FAILED])
def test_a_failure_in_the_stream_is_raised(path: Path) -> None:
    expected = orjson.loads(path.read_bytes())["error"]
    sdk = client(path.with_suffix(".sse").read_bytes(), "text/event-stream")

    with pytest.raises(openai.APIError) as caught, ask(sdk) as events:
        events.until_done()

    assert caught.value.message == expected["message"]
    assert (caught.value.code, caught.value.type) == (expected["code"], expected["type"])


@pytest.mark.parametrize("path", WHOLE, ids=[path.stem for path in WHOLE])
def test_the_whole_answer_fits_the_sdks_types_strictly(path: Path) -> None:
    found = ChatCompletion.model_validate_json(path.read_bytes(), strict=True)

    assert found.object == "chat.completion"


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_come_out_of_the_sdk_as_they_went_in(encoding: Any) -> None:
    vectors = [[0.5, -0.25], [0.125, 1.0]]
    request = EmbedRequest("nomic", ("a", "b"), encoding=encoding)
    sdk = client(openai_embeddings.render(Embeddings(vectors, 2), request), "application/json")

    found: CreateEmbeddingResponse = sdk.embeddings.create(model="nomic", input=["a", "b"])

    assert [list(entry.embedding) for entry in found.data] == vectors
