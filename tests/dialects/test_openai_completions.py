"""Text completions: every field of the contract, the same answer whole and streamed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.chat import Call, Media
from gateway.core.events import (
    Batch,
    Event,
    Finish,
    Ping,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    Usage,
    fold,
)
from gateway.dialects.completions.dialect import COMPLETIONS
from gateway.errors import ContextOverflow
from tests.dialects.making import PNG, batches, envelope, frames, reading, refusal, streamed

DONE = (Finish("stop", Usage(12, 5)),)
TOKENS = (
    TokenLogprob("re", -0.1, None, (TokenLogprob("re", -0.1), TokenLogprob("x", -3.0))),
    TokenLogprob("turn", -0.2),
)


def parse(**body: Any) -> Call:
    return COMPLETIONS.parse({"model": "Coder", "prompt": "def f", **body}, reading())


def refused(**body: Any) -> tuple[str, str]:
    return refusal({"model": "Coder", "prompt": "def f", **body}, COMPLETIONS)


def whole(found: Sequence[Batch], asked: Call) -> Any:
    replies = fold(found, asked.request.choices)
    return orjson.loads(orjson.dumps(COMPLETIONS.render(replies, envelope(asked))))


def chunks(found: Sequence[Batch], asked: Call, **fields: Any) -> list[Any]:
    return frames(streamed(COMPLETIONS, found, envelope(asked, **fields)))


def param(name: str) -> Any:
    return lambda call: getattr(call.request.params, name)


def asked_for(name: str) -> Any:
    return lambda call: getattr(call.request, name)


def noted(name: str) -> Any:
    return lambda call: getattr(call, name)


ROWS = {
    "model": ({}, noted("model"), "Coder"),
    "prompt": ({}, asked_for("prompts"), ("def f",)),
    "prompt list choices": ({"prompt": ["a", "b"], "n": 2}, asked_for("choices"), 4),
    "suffix without raw": ({"suffix": "end", "raw": True}, param("raw"), None),
    "max_tokens": ({"max_tokens": 5}, lambda c: dict(c.request.params.options), {"num_predict": 5}),
    "sampling": (
        {"temperature": 0, "top_p": 1, "presence_penalty": 1, "frequency_penalty": 1, "seed": 1},
        lambda c: dict(c.request.params.options),
        {"temperature": 0, "top_p": 1, "presence_penalty": 1, "frequency_penalty": 1, "seed": 1},
    ),
    "stop": ({"stop": "\n"}, lambda c: dict(c.request.params.options), {"stop": ["\n"]}),
    "best_of 1": ({"best_of": 1, "n": 3}, asked_for("n"), 3),
    "best_of n": ({"best_of": 3, "n": 3}, asked_for("n"), 3),
    "logprobs": ({"logprobs": 3}, param("top_logprobs"), 3),
    "logprobs on": ({"logprobs": 0}, param("logprobs"), True),
    "stream": ({"stream": True}, noted("stream"), True),
    "raw": ({"raw": True}, param("raw"), True),
    "raw false": ({"raw": False}, param("raw"), False),
    "template": ({"template": "{{ .Prompt }}"}, asked_for("template"), "{{ .Prompt }}"),
    "system": ({"system": "S"}, asked_for("system"), "S"),
    "images": (
        {"images": [PNG, f"data:image/png;base64,{PNG}"]},
        asked_for("media"),
        (Media("image", PNG, param="images[0]"), Media("image", PNG, param="images[1]")),
    ),
    "context": ({"context": [1, 2]}, noted("ignored"), ("context",)),
    "default_think": ({}, noted("default_think"), False),
    "think": ({"think": True}, param("think"), True),
    "extra_body": ({"extra_body": {"suffix": "end"}}, asked_for("suffix"), "end"),
}
REFUSED = {
    "model": ({"model": ""}, "missing_required_parameter", "model"),
    "prompt missing": ({"prompt": None}, "missing_required_parameter", "prompt"),
    "prompt empty": ({"prompt": ""}, "missing_required_parameter", "prompt"),
    "prompt empty list": ({"prompt": []}, "missing_required_parameter", "prompt"),
    "prompt empty entry": ({"prompt": ["a", ""]}, "missing_required_parameter", "prompt[1]"),
    "prompt number": ({"prompt": 5}, "invalid_type", "prompt"),
    "prompt mixed": ({"prompt": ["a", 5]}, "invalid_type", "prompt"),
    "prompt tokens": ({"prompt": [1, 2]}, "unsupported_value", "prompt"),
    "prompt token lists": ({"prompt": [[1], [2]]}, "unsupported_value", "prompt"),
    "prompts too many": ({"prompt": ["a"] * 129}, "invalid_value", "prompt"),
    "max_tokens 0": ({"max_tokens": 0}, "invalid_value", "max_tokens"),
    "best_of type": ({"best_of": "x"}, "invalid_type", "best_of"),
    "echo with logprobs": ({"echo": True, "logprobs": 0}, "unsupported_parameter", "echo"),
    "logprobs high": ({"logprobs": 6}, "invalid_value", "logprobs"),
    "logprobs flag": ({"logprobs": True}, "invalid_type", "logprobs"),
    "logit_bias": ({"logit_bias": {"1": 1}}, "unsupported_parameter", "logit_bias"),
    "images": ({"images": ["@@"]}, "invalid_base64_image", "images[0]"),
    "images type": ({"images": [5]}, "invalid_type", "images[0]"),
    "raw": ({"raw": "x"}, "invalid_type", "raw"),
}


@pytest.mark.parametrize(("body", "look", "expected"), ROWS.values(), ids=ROWS)
def test_a_field_does_what_the_contract_says(body: Any, look: Any, expected: Any) -> None:
    assert look(parse(**body)) == expected


@pytest.mark.parametrize(("body", "code", "param"), REFUSED.values(), ids=REFUSED)
def test_a_field_that_cannot_be_honoured_is_refused(body: Any, code: str, param: str) -> None:
    assert refused(**body) == (code, param)


MARKED = [
    "<|fim_prefix|>", "<|fim_begin|>", "<fim_prefix>", "<PRE>", "[SUFFIX]", "[PREFIX]",
    "<|im_start|>", "<|start_header_id|>", "[INST]", "<start_of_turn>", "<|start|>",
    "<｜fim▁begin｜>", "<|code_prefix|>", "<[fim-prefix]>", "<｜User｜>", "<|user|>", "<|turn>",
    "<|START_OF_TURN_TOKEN|>", "<|header_start|>", "<|start_of_role|>", "<|im_user|>",
]  # fmt: skip
RAW = {
    "plain": ("auto", {}, None),
    "one of several": ("auto", {"prompt": ["a", "[INST] b"]}, True),
    "system": ("auto", {"prompt": "[INST]", "system": "x"}, None),
    "template": ("auto", {"prompt": "[INST]", "template": "x"}, None),
    "always": ("always", {}, True),
    "always with suffix": ("always", {"suffix": "x"}, None),
    "never": ("never", {"prompt": "[INST]"}, None),
}


@pytest.mark.parametrize("token", MARKED)
def test_a_ready_made_prompt_goes_past_the_template(token: str) -> None:
    assert parse(prompt=f"x {token} y").default_raw is True


@pytest.mark.parametrize(("setting", "body", "raw"), RAW.values(), ids=RAW)
def test_the_setting_says_when_prompts_are_raw(setting: Any, body: Any, raw: Any) -> None:
    whole_body = {"model": "Coder", "prompt": "def f", **body}

    assert COMPLETIONS.parse(whole_body, reading(completions_raw=setting)).default_raw is raw


@pytest.mark.parametrize("prompt", [[104, 105], [[104], [105]]], ids=["one", "two"])
def test_tokens_are_refused(prompt: Any) -> None:
    assert refusal({"model": "m", "prompt": prompt}, COMPLETIONS) == ("unsupported_value", "prompt")


def test_the_prompt_is_put_before_each_text() -> None:
    asked = parse(prompt=["p", "q"], n=2, echo=True)
    found = [(choice, (TextDelta(str(choice)), *DONE)) for choice in range(4)]

    texts = [choice["text"] for choice in whole(found, asked)["choices"]]
    opening = chunks(found, asked)[:4]

    assert texts == ["p0", "p1", "q2", "q3"]
    assert [piece["choices"][0]["text"] for piece in opening] == ["p", "p", "q", "q"]


def test_a_prompt_answered_twice_costs_once() -> None:
    asked = parse(prompt=["p", "q"], n=2)
    found = [(choice, (Finish("stop", Usage(10 + choice // 2, 1)),)) for choice in range(4)]

    usage = {"prompt_tokens": 21, "completion_tokens": 4, "total_tokens": 25}
    assert whole(found, asked)["usage"] == usage
    assert chunks(found, asked)[-2]["usage"] == usage


def test_usage_has_its_own_chunk_when_asked_for() -> None:
    asked = parse(stream=True, stream_options={"include_usage": True})

    pieces = chunks(batches((TextDelta("a"),), DONE), asked)

    assert [piece["usage"] for piece in pieces[:2]] == [None, None]
    assert pieces[2]["choices"] == []
    assert pieces[2]["usage"]["total_tokens"] == 17
    assert pieces[3] == "[DONE]"


def test_usage_may_be_switched_off() -> None:
    assert "usage" not in chunks(batches(DONE), parse(), usage_on_finish_chunk=False)[0]


def test_an_error_names_the_prompt() -> None:
    body = COMPLETIONS.error_body(ContextOverflow("Too long."), "req_1")

    assert body["error"]["param"] == "prompt"


@settings(deadline=None)
@given(
    st.lists(
        st.lists(
            st.one_of(
                st.builds(TextDelta, st.text(min_size=1).filter(str.isprintable)),
                st.builds(ThinkingDelta, st.text(min_size=1)),
                st.just(TextDelta("return", TOKENS)),
                st.just(Ping()),
            ),
            max_size=4,
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_streamed_and_whole_answers_are_the_same(groups: list[list[Event]], echo: bool) -> None:
    asked = parse(n=2, echo=echo)
    found = [(index % 2, tuple(group)) for index, group in enumerate(groups)]
    found += [(1, DONE), (0, DONE)]

    pieces = [piece for piece in chunks(found, asked) if isinstance(piece, dict)]
    expected = whole(found, asked)

    for choice in expected["choices"]:
        own = [
            piece["choices"][0]
            for piece in pieces
            if piece["choices"][0]["index"] == choice["index"]
        ]
        assert "".join(piece["text"] for piece in own) == choice["text"]
        tokens = [token for piece in own for token in (piece["logprobs"] or {}).get("tokens", ())]
        offsets = [at for piece in own for at in (piece["logprobs"] or {}).get("text_offset", ())]
        assert tokens == (choice["logprobs"] or {}).get("tokens", [])
        assert offsets == (choice["logprobs"] or {}).get("text_offset", [])
        assert own[-1]["finish_reason"] == choice["finish_reason"]
    assert pieces[-1]["usage"] == expected["usage"]
