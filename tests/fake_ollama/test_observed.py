"""What was seen of a real Ollama 0.33, asked of the fake: status, type, keys, and error texts.

A case may say what the model answers (``says``), since only the form was kept of real answers.
``{"$words": n}`` stands for a text of n tokens, ``{"$turns": n, "words": m}`` for n turns of those.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fake_ollama import RECORDINGS, FakeModel, FakeOllama, Script
from tests.fake_ollama.talk import Answer, send

WEIGHTS = "941f309b54caaad6747569ba43712bcde44a2be3bae16c3282ff499c37c54af5"
STOP = (("stop", "<|im_start|>"), ("stop", "<|im_end|>"))
MODELS = [
    FakeModel("smol", path="rendered", weights=WEIGHTS, parameters=STOP),
    FakeModel("smoltools", ("completion", "tools"), path="rendered", weights=WEIGHTS),
    FakeModel("smolthink", ("completion", "thinking"), path="rendered", weights=WEIGHTS),
    FakeModel("smolnative"),
    FakeModel("smoljinja", ("tools", "completion")),
    FakeModel("smoljthink", ("tools", "thinking", "completion")),
    FakeModel("minilm", ("embedding",), family="bert", context_length=512, embedding_length=384),
]
FILES = sorted(RECORDINGS.glob("*.json"))


def cases() -> list[Any]:
    books = [(path.stem, json.loads(path.read_text())) for path in FILES]
    return [
        pytest.param(book, case, id=f"{name}: {case['title']}")
        for name, book in books
        for case in book["cases"]
    ]


@pytest.fixture(scope="module")
def real() -> Iterator[FakeOllama]:
    """A fake set up as the server that was looked at."""
    with FakeOllama(MODELS, version="0.33.0-rc2", cloud="disabled", online=False) as ollama:
        yield ollama


@pytest.mark.parametrize(("book", "case"), cases())
def test_the_fake_answers_as_ollama_was_seen_to(
    real: FakeOllama, book: dict[str, Any], case: dict[str, Any]
) -> None:
    body = request_body(book, case)
    real.scripts.clear()
    if "says" in case:
        real.script(body["model"], Script(**filled(case["says"])))

    answer = send(real, case.get("method", "POST"), case["path"], body, case.get("headers"))

    assert (answer.status, answer.type) == (case["status"], case["type"])
    assert seen(answer, case) == expected(book, case)


def test_every_group_of_cases_is_there() -> None:
    assert [path.stem for path in FILES] == [
        "errors",
        "formats_and_thinking",
        "loads",
        "logprobs",
        "long_prompts_native",
        "long_prompts_rendered",
    ]


def request_body(book: dict[str, Any], case: dict[str, Any]) -> Any:
    if "text" in case:
        return case["text"].encode()
    body = case.get("body")
    if isinstance(body, str):
        return {"model": case["model"], **book["bodies"][body]}
    return filled(body)


def filled(value: Any) -> Any:
    """Put in the texts and turns that a file only counts."""
    if isinstance(value, dict) and "$words" in value:
        return " ".join(f"wave{count % 97}" for count in range(value["$words"]))
    if isinstance(value, dict):
        return {name: filled(part) for name, part in value.items()}
    if isinstance(value, list):
        return [turn for part in value for turn in turns(part)]
    return value


def turns(part: Any) -> list[Any]:
    if not isinstance(part, dict) or "$turns" not in part:
        return [filled(part)]
    text = filled({"$words": part["words"]})
    roles = ("assistant", "user")
    return [{"role": roles[count % 2], "content": text} for count in range(part["$turns"])]


def expected(book: dict[str, Any], case: dict[str, Any]) -> list[Any]:
    if "error" in case:
        return [{"error": case["error"]}]
    if "plain" in case:
        return [case["plain"]]
    names = case.get("lines") or ([case["shape"]] if "shape" in case else [])
    return [*(in_order(book["shapes"][name]) for name in names), case.get("facts", {})]


def seen(answer: Answer, case: dict[str, Any]) -> list[Any]:
    """Return of the answer what the case tells: the error, the text, or forms and facts."""
    if "error" in case:
        return [answer.json]
    if "plain" in case:
        return [answer.body.decode()]
    if not answer.body:
        return [{}]
    objects = [answer.lines[0], answer.last] if "lines" in case else [answer.json]
    facts = {name: objects[-1].get(name) for name in case.get("facts", {})}
    return [*(in_order(form(one)) for one in objects), facts]


def form(value: Any) -> Any:
    """Return the keys and JSON types of a value; of a list those of its first item."""
    if isinstance(value, dict):
        return {name: form(part) for name, part in value.items()}
    if isinstance(value, list):
        return [form(part) for part in value[:1]]
    names = {str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")


def in_order(value: Any) -> Any:
    """Return a form so that the order of its keys counts; open objects show that they are one."""
    if isinstance(value, dict):
        return [
            (name, "object" if name == "model_info" else in_order(part))
            for name, part in value.items()
        ]
    return [in_order(part) for part in value] if isinstance(value, list) else value
