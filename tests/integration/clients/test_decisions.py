"""openai-python and Ollama's own client ask a decision model through a real gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from fake_ollama import FakeOllama, Script
from tests.support.process import Gateway

pytestmark = [pytest.mark.sdk, pytest.mark.process]

TIMEOUT_S = 20.0
QUESTIONS: list[dict[str, Any]] = [
    {"type": "predicate", "name": "bug", "instructions": "It is a software error."},
    {"type": "choice", "instructions": "Call?", "choices": [{"value": True}, {"value": "true"}]},
    {
        "type": "score",
        "instructions": [{"type": "input_text", "text": "How bad is it?"}],
        "levels": [{"label": "low"}, {"label": "high", "description": "Nobody can buy."}],
    },
]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOllama]:
    """A server that is new enough."""
    with FakeOllama(version="0.35.0") as ollama:
        yield ollama


@pytest.fixture(scope="module")
def gateway(server: FakeOllama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose key may ask for decisions."""
    with Gateway(tmp_path_factory.mktemp("decisions"), ollama_url=server.url) as gateway:
        gateway.key = gateway.issue_key("decides", scopes=["decisions"])
        yield gateway


@pytest.fixture
def client(gateway: Gateway, server: FakeOllama) -> Iterator[openai.OpenAI]:
    """openai-python, without retries."""
    server.reset()
    with openai.OpenAI(
        base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, timeout=TIMEOUT_S
    ) as made:
        yield made


@pytest.fixture
def ollama_client(gateway: Gateway, server: FakeOllama) -> Iterator[Any]:
    """Ollama's client."""
    import ollama

    server.reset()
    headers = {"Authorization": f"Bearer {gateway.key}"}
    with ollama.Client(host=gateway.url, headers=headers) as made:
        yield made


def decide(client: openai.OpenAI, **body: Any) -> Any:
    asked = {"model": "nimble", "input": "The shop fails.", "questions": QUESTIONS, **body}
    return client.decisions.create(**asked).to_dict()


def test_each_kind_of_question_is_answered(client: openai.OpenAI) -> None:
    found = decide(client)

    bug, call, bad = found["answers"]
    assert (bug["type"], bug["name"]) == ("predicate", "bug")
    assert 0 < bug["probability"] < 1
    assert (call["type"], call["name"]) == ("choice", None)
    assert [type(one["value"]) for one in call["probabilities"]] == [bool, str]
    assert bad["type"] == "score"
    assert 0 < bad["score"] < 1
    assert [(one["label"], one["value"]) for one in bad["probabilities"]] == [
        ("low", 0),
        ("high", 1),
    ]


def test_a_conversation_is_one_state(client: openai.OpenAI, server: FakeOllama) -> None:
    shop = {"role": "developer", "content": "A shop."}
    status = {"role": "user", "content": [{"type": "input_json", "data": {"status": 500}}]}

    decide(client, input=[shop, status])

    assert server.calls("/v1/systemone")[0].json["state"] == [
        shop,
        {"role": "user", "content": {"status": 500}},
    ]


def test_more_questions_than_ollama_takes_are_answered(client: openai.OpenAI) -> None:
    questions = [{**QUESTIONS[0], "name": f"q{number}"} for number in range(400)]

    found = decide(client, questions=questions)

    assert [answer["name"] for answer in found["answers"]] == [one["name"] for one in questions]
    assert found["usage"]["output_tokens"] == 400


def test_refusals_are_raised(client: openai.OpenAI, server: FakeOllama) -> None:
    with pytest.raises(openai.BadRequestError) as no_questions:
        decide(client, questions=[])
    with pytest.raises(openai.BadRequestError) as no_decisions:
        decide(client, model="llama3.2")
    server.script("nimble", Script(final={"answers": {}}))
    with pytest.raises(openai.InternalServerError) as no_answer:
        decide(client)

    assert no_questions.value.param == "questions"
    assert no_decisions.value.code == "decisions_not_supported"
    assert no_answer.value.code == "upstream_bad_response"


def test_ollamas_client_asks_as_it_asks_ollama(ollama_client: Any, server: FakeOllama) -> None:
    import ollama

    questions = {
        "bug": {"type": "noul", "instructions": "It is a software error."},
        "team": {"type": "choice", "instructions": "Whose?", "criteria": {"web": None, "pay": "x"}},
        "bad": {"type": "score", "instructions": {"how": "bad"}, "criteria": ["low", "high"]},
    }

    found = ollama_client.systemone("nimble", {"shop": "fails"}, questions, keep_alive="5m")
    with ollama.Client(host=server.url) as client:
        direct = client.systemone("nimble", {"shop": "fails"}, questions)

    assert list(found.answers) == list(questions)
    assert found.answers == direct.answers
    assert found.usage == direct.usage
    with pytest.raises(ollama.ResponseError, match="answers no decisions") as caught:
        ollama_client.systemone("llama3.2", "x", questions)
    assert caught.value.status_code == 400
