"""One request, one stream of events, as many upstream calls as the promise needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import (
    ChatRequest,
    CompletionRequest,
    Message,
    Params,
    Tool,
    ToolCall,
    ToolChoice,
)
from gateway.core.events import (
    Event,
    Failed,
    Finish,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolCallDone,
    Usage,
)
from gateway.errors import CapabilityMissing, GatewayError, InvalidRequest, UpstreamError
from gateway.policy.emulation import answer, structured_output, tool_choice
from gateway.policy.emulation.thinking import Memory
from gateway.schemas.settings import RuntimeSettings
from tests.policy.values import Plan, Upstreams, chat, flat, model

THINKER = model("qwen3:8b", capabilities="completion tools thinking")
PLAIN = model("llama3.2:latest", capabilities="completion tools")
TOOLLESS = model("tinyllama:latest", capabilities="completion")
UNKNOWN = model("new:1")
GPT_OSS = model("gpt-oss:20b", capabilities="completion tools thinking")

USAGE = Usage(10, 5)
STOP = Finish("stop", USAGE)
TWICE = Usage(20, 10)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
F = Tool("f", "does f", SCHEMA)
G = Tool("g", "does g")
REQUIRED = ToolChoice("required")


def t(text: str, *logprobs: TokenLogprob) -> TextDelta:
    return TextDelta(text, logprobs)


def th(text: str) -> ThinkingDelta:
    return ThinkingDelta(text)


def called(name: str = "f", arguments: str = '{"a":1}') -> ToolCallDone:
    return ToolCallDone("id", name, arguments)


def est(tokens: int, prompt: int = 7, **more: int) -> Usage:
    return Usage(prompt, tokens, estimated=True, **more)


class Run:
    """Runs fidelity over scripted upstream calls and keeps what came of it."""

    def __init__(
        self,
        request: Any,
        *scripts: Sequence[Sequence[Event]],
        behaviour: RuntimeSettings | None = None,
        memory: Memory | None = None,
        **plan: Any,
    ) -> None:
        self.upstreams = Upstreams(*scripts)
        self.notices: list[str] = []
        self.plan = Plan(request, **plan)
        self.batches: list[Sequence[Event]] = []

        try:
            answer.produce(
                request,
                self.plan,
                behaviour or RuntimeSettings(),
                self.upstreams,
                self.batches.append,
                self.notices.append,
                memory or Memory(),
            )
        except GatewayError as error:
            self.batches.append([Failed(error)])
        self.events = flat(self.batches)

    @property
    def calls(self) -> int:
        return len(self.upstreams.requests)

    @property
    def params(self) -> list[Params]:
        return self.upstreams.params

    @property
    def error(self) -> GatewayError:
        last = self.events[-1]
        assert isinstance(last, Failed)
        return last.error


# -- the plain case --------------------------------------------------------------------------------


def test_the_sink_of_a_plain_answer_is_the_callers_own() -> None:
    request = chat(options={"top_k": 1})
    sinks: list[Any] = []

    def sink(events: Sequence[Event]) -> None:
        raise AssertionError

    answer.produce(
        request, Plan(request, PLAIN), RuntimeSettings(), lambda _, given: sinks.append(given), sink
    )

    assert sinks == [sink]


def test_a_completion_is_answered_too() -> None:
    run = Run(CompletionRequest("m", ("p",)), [[t("a")], [STOP]], model=PLAIN)

    assert run.events == [t("a"), STOP]


def test_tools_that_are_not_wanted_are_not_sent() -> None:
    run = Run(chat(tools=[F, G], tool_choice=ToolChoice("none")), [[STOP]], model=PLAIN)

    assert run.upstreams.requests[0].tools == ()


# -- the thinking ladder (D9) ----------------------------------------------------------------------

REFUSED_MAX = [Failed(InvalidRequest('invalid think value: "max"'))]
REFUSED = [Failed(InvalidRequest('"m" does not support thinking'))]


def test_a_refused_think_is_tried_weaker_until_it_works() -> None:
    memory = Memory()
    run = Run(chat(think="max"), [REFUSED_MAX], [REFUSED_MAX], [[th("x")], [t("a")], [STOP]],
              model=THINKER, memory=memory)  # fmt: skip

    assert [params.think for params in run.params] == ["max", "high", True]
    assert run.events == [th("x"), t("a"), STOP]
    assert memory.best(THINKER.name, "max") is True


def test_what_worked_is_sent_first_next_time() -> None:
    memory = Memory()
    memory.note(THINKER.name, "max", "high")

    run = Run(chat(think="max"), [[t("a")], [STOP]], model=THINKER, memory=memory)

    assert [params.think for params in run.params] == ["high"]


def test_a_model_that_takes_no_think_at_all_is_asked_without() -> None:
    run = Run(chat(think=True), [REFUSED], [[t("a")], [STOP]], model=UNKNOWN)

    assert [params.think for params in run.params] == [True, None]
    assert run.events == [t("a"), STOP]


def test_the_last_refusal_is_told() -> None:
    run = Run(chat(think=True), [REFUSED], [REFUSED], model=UNKNOWN)

    assert "thinking" in run.error.message
    assert run.calls == 2


def test_another_failure_is_not_tried_again() -> None:
    run = Run(chat(think=True), [[Failed(UpstreamError("died"))]], model=THINKER)

    assert run.error.message == "died"
    assert run.calls == 1


def test_a_failure_after_text_is_not_tried_again() -> None:
    run = Run(chat(think=True), [[t("a")], REFUSED], model=THINKER)

    assert run.calls == 1
    assert [type(event) for event in run.events] == [TextDelta, Failed]


def test_no_events_at_all_end_the_ladder() -> None:
    run = Run(chat(think=True), [], model=THINKER)

    assert run.batches == []


def test_no_think_needs_no_ladder() -> None:
    run = Run(chat(think=False), [REFUSED], model=THINKER)

    assert run.calls == 1


def test_logprobs_give_way_to_tools() -> None:
    refusal = [Failed(InvalidRequest("logprobs is not supported with tools + stream"))]
    request = chat(tools=[F], logprobs=True, top_logprobs=2)

    run = Run(request, [refusal], [[t("a")], [STOP]], model=PLAIN)

    assert [(p.logprobs, p.top_logprobs) for p in run.params] == [(True, 2), (False, None)]
    assert run.notices == ["logprobs"]
    assert run.events == [t("a"), STOP]


ORDER = InvalidRequest("Jinja Exception: conversation roles must alternate user and assistant")
INTERRUPTED = (
    Message("user", "q"),
    Message("assistant", tool_calls=(ToolCall("1", "f", {}),)),
    Message("tool", "r"),
    Message("user", "stop"),
)


@pytest.mark.parametrize("tools", [(), (F,)], ids=["no tools", "tools"])
def test_turns_are_filled_in_where_a_template_demands_it(tools: Any) -> None:
    request = chat(*INTERRUPTED, tools=tools)

    run = Run(request, [[Failed(ORDER)]], [[t("a"), STOP]], model=PLAIN)

    assert [len(asked.messages) for asked in run.upstreams.requests] == [4, 5]
    assert run.events == [t("a"), STOP]


@pytest.mark.parametrize("messages", [INTERRUPTED, INTERRUPTED[:1]], ids=["filled in", "plain"])
def test_turns_that_are_refused_all_the_same_are_told(messages: Any) -> None:
    run = Run(chat(*messages), [[Failed(ORDER)]], [[Failed(ORDER)]], model=PLAIN)

    assert run.error is ORDER
    assert run.calls == (2 if messages is INTERRUPTED else 1)


def test_logprobs_and_tools_that_fail_otherwise_are_not_repeated() -> None:
    run = Run(chat(tools=[F], logprobs=True), [[Failed(InvalidRequest("odd"))]], model=PLAIN)

    assert run.calls == 1


# -- stop strings (D20) ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "of", "think", "here", "by_gateway"),
    [
        ("auto", PLAIN, None, False, False),
        ("auto", PLAIN, None, True, True),
        ("auto", THINKER, None, False, True),
        ("auto", THINKER, False, False, False),
        ("auto", THINKER, "low", False, True),
        ("auto", UNKNOWN, None, False, True),
        ("gateway", PLAIN, None, False, True),
        ("upstream", THINKER, True, False, False),
        ("upstream", THINKER, True, True, True),
    ],
)
def test_who_matches_stop_strings(
    mode: Any, of: Any, think: Any, here: bool, by_gateway: bool
) -> None:
    request = chat(options={"stop": ["END"], "top_k": 1}, think=think)

    run = Run(request, [[t("aENDb")], [STOP]], behaviour=RuntimeSettings(stop_mode=mode), model=of,
              stop_here=here)  # fmt: skip

    assert run.params[0].options == ({"top_k": 1} if by_gateway else request.params.options)
    assert run.events[0] == t("a" if by_gateway else "aENDb")


def stopping(*batches: Sequence[Event], stop: Any = ("END",), **plan: Any) -> Run:
    return Run(chat(options={"stop": stop}), batches, stop_here=True, model=THINKER, **plan)


def test_a_match_cuts_the_text_and_ends_the_call() -> None:
    run = stopping([th("END?")], [t("ab")], [t("cEN"), t("Dxy")], [t("never")], [STOP])

    assert run.events == [
        th("END?"),
        t("ab"),
        t("c"),
        Finish("stop_sequence", est(4, reasoning_tokens=1), "END"),
    ]
    assert run.upstreams.closed == [0]


def test_a_match_in_the_last_batch_has_true_counts() -> None:
    run = stopping([t("ab")], [t("END"), STOP])

    assert run.events == [t("ab"), Finish("stop_sequence", USAGE, "END")]


def test_what_was_held_back_comes_before_the_end() -> None:
    run = stopping([t("abEN")], [STOP])

    assert run.events == [t("ab"), t("EN"), STOP]


def test_what_was_held_back_comes_before_a_call() -> None:
    run = stopping([t("abEN")], [called()], [STOP])

    assert run.events == [t("ab"), t("EN"), called(), STOP]


def test_a_single_stop_string_may_stand_alone() -> None:
    assert stopping([t("aXb")], [STOP], stop="X").events[0] == t("a")


def test_nothing_is_handed_on_while_a_stop_filter_looks() -> None:
    assert stopping([t("EN")], [t("x")], [STOP]).batches == [[t("ENx")], [STOP]]


def test_logprobs_stay_with_their_text() -> None:
    a, e, n, d, x = (TokenLogprob(c, -1.0) for c in "aENDx")

    run = stopping([t("a", a)], [t("E", e)], [t("N", n)], [t("x", x)], [t("E", e)], [STOP])
    cut = stopping([t("a", a)], [t("xE", x, e)], [t("ND", n, d)], [STOP])

    assert run.events == [t("a", a), t("ENx", e, n, x), t("E", e), STOP]
    assert cut.events[:2] == [t("a", a), t("x", x, e)]


def test_logprobs_beyond_the_cut_are_dropped() -> None:
    a, e = TokenLogprob("a", -1.0), TokenLogprob("END", -2.0)

    assert stopping([t("aEND", a, e)], [STOP]).events[0] == t("a", a)


# -- one call at a time (D15) ----------------------------------------------------------------------


def test_the_first_call_ends_the_answer() -> None:
    request = chat(tools=[F], parallel_tool_calls=False)

    run = Run(request, [[t("ab")], [called(), called("g")], [STOP]], model=PLAIN)

    assert run.events == [t("ab"), called(), Finish("tool_calls", est(1))]
    assert run.upstreams.closed == [0]


def test_a_first_call_in_the_last_batch_has_true_counts() -> None:
    request = chat(tools=[F], parallel_tool_calls=False)

    run = Run(request, [[called(), called("g"), STOP]], model=PLAIN)

    assert run.events == [called(), Finish("tool_calls", USAGE)]


def test_an_answer_without_calls_goes_on() -> None:
    run = Run(chat(tools=[F], parallel_tool_calls=False), [[t("a")], [STOP]], model=PLAIN)

    assert run.batches == [[t("a")], [STOP]]


# -- thinking that is hidden or found ------------------------------------------------------------


@pytest.mark.parametrize(("think", "hide"), [(None, True), (False, False)])
def test_thinking_is_left_out(think: Any, hide: bool) -> None:
    run = Run(chat(think=think), [[th("x")], [th("y"), t("a")], [STOP]], model=THINKER,
              hide_thinking=hide)  # fmt: skip

    assert run.batches == [[t("a")], [STOP]]


THOUGHT_ONLY = [[th("9.9 is ")], [th("larger")], [STOP]]


@pytest.mark.parametrize("request_", [chat(think=False), CompletionRequest("m", ("p",), Params(
    think=False))], ids=["chat", "completion"])  # fmt: skip
def test_an_answer_that_came_as_thinking_is_not_lost(request_: Any) -> None:
    run = Run(request_, THOUGHT_ONLY, model=THINKER)

    assert run.events == [t("9.9 is larger"), STOP]


@pytest.mark.parametrize(
    ("think", "hide", "of", "script"),
    [
        (None, True, THINKER, THOUGHT_ONLY),
        (False, False, GPT_OSS, THOUGHT_ONLY),
        (False, False, THINKER, [[th("x")], [called()], [STOP]]),
    ],
    ids=["hidden by wish", "a model that always thinks", "a call"],
)
def test_thinking_that_is_no_answer_stays_hidden(
    think: Any, hide: bool, of: Any, script: Any
) -> None:
    run = Run(chat(think=think), script, model=of, hide_thinking=hide)

    assert not any(isinstance(event, TextDelta | ThinkingDelta) for event in run.events)


CAPITAL = (Message("user", "q"), Message("assistant", "The capital is"))
REPEATS = {
    "repeated": (["The ", "capital", " is Paris"], " Paris"),
    "not repeated": ([" Par", "is"], " Paris"),
    "another beginning": (["The ", "town"], "The town"),
    "white space before": ([" The capital is", " Paris"], " Paris"),
    "nothing new": (["The capital is"], ""),
    "cut off": (["The cap"], "The cap"),
    "thinking between": (["The capital", " is", " Paris"], " Paris"),
}


@pytest.mark.parametrize(("pieces", "text"), REPEATS.values(), ids=REPEATS)
def test_a_turn_to_continue_is_not_repeated(pieces: list[str], text: str) -> None:
    run = Run(chat(*CAPITAL), [[th("x")], *([t(piece)] for piece in pieces), [STOP]], model=THINKER)

    assert "".join(event.text for event in run.events if isinstance(event, TextDelta)) == text
    assert run.events[-1] == STOP


@pytest.mark.parametrize(
    ("answer", "text"), [("It is Paris", "Paris"), ("It isn", "It isn"), ("It is", "")]
)
def test_white_space_at_the_end_of_a_turn_counts(answer: str, text: str) -> None:
    run = Run(chat(Message("user", "q"), Message("assistant", "It is ")), [[t(answer)], [STOP]])

    assert "".join(event.text for event in run.events if isinstance(event, TextDelta)) == text


def test_logprobs_of_a_repetition_are_dropped() -> None:
    tokens = [TokenLogprob("The capital is", -1.0), TokenLogprob(" Paris", -2.0)]

    run = Run(chat(*CAPITAL), [[t("The capital is", tokens[0])], [t(" Paris", tokens[1])], [STOP]])

    assert run.events == [t(" Paris", tokens[1]), STOP]


def test_tags_become_thinking() -> None:
    script = [[t("<thi")], [t("nk>x")], [t("y</think>\n")], [t("a"), STOP]]

    run = Run(chat(), script, model=PLAIN, parse_think_tags=True)

    assert run.events == [th("x"), th("y"), t("a"), STOP]


def test_tags_keep_logprobs_of_text_only() -> None:
    token = TokenLogprob("a", -1.0)
    script = [[t("<think>x</think>a", token)], [t("b", token)], [th("z")], [STOP]]

    run = Run(chat(), script, model=PLAIN, parse_think_tags=True)

    assert run.events == [th("x"), t("a", token), t("b", token), th("z"), STOP]


def test_an_unfinished_tag_comes_out_at_the_end() -> None:
    run = Run(chat(), [[t("<thi")], [STOP]], model=PLAIN, parse_think_tags=True)

    assert run.events == [t("<thi"), STOP]


def test_tagged_thinking_is_hidden_and_not_searched_for_stops() -> None:
    request = chat(options={"stop": ["X"]})

    run = Run(request, [[t("<think>X</think>a")], [t("X")], [STOP]], model=PLAIN,
              parse_think_tags=True, hide_thinking=True, stop_here=True)  # fmt: skip

    assert run.events == [t("a"), Finish("stop_sequence", est(3, reasoning_tokens=1), "X")]


# -- checked formats (D55) -------------------------------------------------------------------------

JSON = chat(format="json")
SCHEMED = chat(format=SCHEMA)


def test_json_that_begins_well_is_streamed() -> None:
    run = Run(JSON, [[th("x")], [t(" \n")], [t('{"a"')], [t(":1}")], [STOP]], model=THINKER)

    assert run.batches == [[th("x")], [t(" \n"), t('{"a"')], [t(":1}")], [STOP]]
    assert run.notices == []


def test_text_instead_of_json_is_repeated_without_thinking() -> None:
    run = Run(SCHEMED, [[th("x")], [t("Sure")], [t("never")]], [[t('{"a":1}')], [STOP]],
              model=THINKER)  # fmt: skip

    assert [params.think for params in run.params] == [None, False]
    assert run.events == [th("x"), t('{"a":1}'), Finish("stop", est(2, reasoning_tokens=0) + USAGE)]
    assert run.upstreams.closed == [0]
    assert run.notices == []


def test_a_second_failure_is_given_as_it_is() -> None:
    run = Run(SCHEMED, [[t("Sure")]], [[t("Sor")], [t("ry")], [STOP]], model=THINKER)

    assert run.events == [t("Sor"), t("ry"), Finish("stop", est(1) + USAGE)]
    assert run.notices == ["response_format"]


@pytest.mark.parametrize("think", [None, False])
def test_a_model_that_does_not_think_is_asked_once(think: Any) -> None:
    run = Run(with_format(SCHEMA, think=think), [[t("Sure"), STOP]], model=PLAIN)

    assert run.events == [t("Sure"), STOP]
    assert run.notices == ["response_format"]


def test_text_instead_of_json_without_thinking_is_repeated_with_it() -> None:
    run = Run(with_format(SCHEMA, think=False), [[t("The answer is 42.")]],
              [[th("x")], [t('{"a":1}')], [STOP]], model=THINKER)  # fmt: skip

    assert [params.think for params in run.params] == [False, None]
    assert run.events == [t('{"a":1}'), Finish("stop", est(1) + USAGE)]
    assert run.notices == []


def test_json_that_stays_in_the_thinking_is_asked_for_without_thinking() -> None:
    run = Run(SCHEMED, [[th('{"a":1}')], [STOP]], [[t('{"a":1}')], [STOP]], model=THINKER)

    assert [params.think for params in run.params] == [None, False]
    assert run.events == [th('{"a":1}'), t('{"a":1}'), Finish("stop", TWICE)]


@pytest.mark.parametrize(
    "script", [[th("x"), Finish("length", USAGE)], [th("x"), called(), STOP], [STOP]],
    ids=["cut off", "a call", "nothing"],
)  # fmt: skip
def test_thinking_that_ends_otherwise_is_not_repeated(script: list[Event]) -> None:
    run = Run(SCHEMED, [script], model=THINKER)

    assert run.events == script


def test_thinking_alone_twice_is_given_as_it_is() -> None:
    run = Run(SCHEMED, [[th("x")], [STOP]], [[th("y")], [STOP]], model=THINKER)

    assert run.events == [th("x"), th("y"), Finish("stop", TWICE)]
    assert run.notices == ["response_format"]


def with_format(wanted: Any, **params: Any) -> ChatRequest:
    return chat(format=wanted, **params)


def test_an_empty_answer_passes() -> None:
    run = Run(JSON, [[t(" ")], [Finish("length", USAGE)]], model=THINKER)

    assert run.events == [t(" "), Finish("length", USAGE)]


def test_a_completion_is_checked_too() -> None:
    request = CompletionRequest("m", ("p",), Params(format="json"))

    run = Run(request, [[t("no")]], [[t("[1]")], [STOP]], model=THINKER)

    assert run.events == [t("[1]"), Finish("stop", est(1) + USAGE)]


def test_a_format_is_fitted_to_what_a_grammar_takes() -> None:
    given = {"type": "object", "properties": {
        "day": {"pattern": r"^\d+$"}, "name": {"pattern": r"^\p{L}+$"}}}  # fmt: skip

    run = Run(chat(format=given), [[t("{}"), STOP]], model=PLAIN)

    assert run.params[0].format["properties"] == {"day": {"pattern": "^[0-9]+$"}, "name": {}}
    assert run.notices == ["response_format:properties.name.pattern"]


FENCED = '```json\n{"a":1}\n```'


def test_a_fence_around_whole_json_is_removed() -> None:
    run = Run(SCHEMED, [[t("```js")], [t(FENCED[5:])], [STOP]], model=PLAIN, stream=False)

    assert run.events == [t('{"a":1}'), STOP]
    assert run.notices == []


def test_a_fence_cannot_be_removed_from_a_stream() -> None:
    run = Run(SCHEMED, [[t(FENCED), STOP]], model=PLAIN, stream=True)

    assert run.events == [t(FENCED), STOP]
    assert run.notices == ["response_format"]


def test_a_fence_around_nothing_useful_is_repeated_once() -> None:
    bad = [[t("```\nno\n```")], [STOP]]

    run = Run(SCHEMED, bad, [[t('{"a":1}')], [STOP]], model=THINKER, stream=False)
    last = Run(SCHEMED, bad, bad, model=THINKER, stream=False)

    assert run.events[0] == t('{"a":1}')
    assert last.events[0] == t("```\nno\n```")
    assert last.notices == ["response_format"]


def test_a_call_beside_a_format_passes() -> None:
    run = Run(chat(format="json", tools=[F]), [[called()], [STOP]], model=THINKER)

    assert run.events == [called(), STOP]


STARTS: list[tuple[Any, str, bool]] = [
    ("json", "{", True), ("json", "[", True), ("json", "x", False),
    ({"type": "object"}, "{", True), ({"type": "object"}, "[", False),
    ({"type": "array"}, "[", True), ({"type": "string"}, '"', True),
    ({"type": "number"}, "-", True), ({"type": "integer"}, "7", True),
    ({"type": "boolean"}, "t", True), ({"type": "null"}, "n", True),
    ({"type": ["object", "null"]}, "n", True), ({"type": ["object", "null"]}, "t", False),
    ({"anyOf": []}, "7", True), ({"anyOf": []}, "S", False), ({"type": []}, "{", True),
    ({"type": "odd"}, "{", True), ({"type": 5}, "{", True), ({}, "t", True),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "character", "fits"), STARTS)
def test_the_first_character_must_fit(wanted: Any, character: str, fits: bool) -> None:
    assert (character in structured_output.starts_of(wanted)) is fits


SATISFIED: list[tuple[str, Any, bool]] = [
    ("{}", "json", True), ("[]", "json", True), ("5", "json", False), ("x", "json", False),
    ('{"a":1}', SCHEMA, True), ("{}", SCHEMA, False), ("[1]", SCHEMA, False),
    ("5", {"type": "integer"}, True), ("5.5", {"type": "integer"}, False),
    ("5", {"type": "number"}, True), ("true", {"type": "integer"}, False),
    ("true", {"type": "boolean"}, True), ("null", {"type": ["string", "null"]}, True),
    ("null", {"type": ["string"]}, False), ("5", {"anyOf": []}, True), ("5", {"type": "odd"}, True),
    ("5", {"type": [5]}, True), ("{}", {"type": "object", "required": "a"}, True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted", "fits"), SATISFIED)
def test_the_top_level_must_fit(text: str, wanted: Any, fits: bool) -> None:
    assert structured_output.satisfies(text, wanted) is fits


# -- tools with a format (D14) ---------------------------------------------------------------------

BOTH = chat(format=SCHEMA, tools=[F])


def test_tools_are_offered_before_the_format() -> None:
    run = Run(BOTH, [[t("I call")], [called()], [t("!")], [STOP]], model=PLAIN)

    assert run.params[0].format is None
    assert run.upstreams.requests[0].tools == (F,)
    assert run.events == [t("I call"), called(), t("!"), STOP]
    assert run.calls == 1


@pytest.mark.parametrize("text", ['{"a": 1}', FENCED])
def test_text_that_fits_anyway_is_the_answer(text: str) -> None:
    run = Run(BOTH, [[t(text[:4]), t(text[4:])], [STOP]], model=PLAIN)

    assert "".join(e.text for e in run.events if isinstance(e, TextDelta)) in (
        '{"a": 1}',
        '{"a":1}',
    )
    assert run.events[-1] == STOP
    assert run.calls == 1


def test_text_that_does_not_fit_is_asked_for_again_with_the_format() -> None:
    run = Run(BOTH, [[th("x")], [t("Well")], [STOP]], [[t('{"a":1}')], [STOP]], model=PLAIN)

    assert run.upstreams.requests[1].tools == ()
    assert run.params[1].format == SCHEMA
    assert run.events == [th("x"), t('{"a":1}'), Finish("stop", TWICE)]


def test_a_failure_of_the_first_pass_is_told() -> None:
    run = Run(BOTH, [[t("a")], [th("x"), Failed(UpstreamError("died"))]], model=PLAIN)

    assert run.events[0] == th("x")
    assert run.error.message == "died"
    assert run.calls == 1


def test_on_a_thinking_model_both_go_together() -> None:
    run = Run(BOTH, [[t('{"a":1}')], [STOP]], model=THINKER)

    assert (run.params[0].format, run.upstreams.requests[0].tools) == (SCHEMA, (F,))


@pytest.mark.parametrize(
    ("setting", "wanted", "notices"),
    [("tools_only", None, ["response_format"]), ("both", SCHEMA, [])],
)
def test_the_setting_decides_what_is_sent(setting: Any, wanted: Any, notices: list[str]) -> None:
    behaviour = RuntimeSettings(tools_with_format=setting)

    run = Run(BOTH, [[t('{"a":1}')], [STOP]], behaviour=behaviour, model=PLAIN)

    assert run.params[0].format == wanted
    assert run.upstreams.requests[0].tools == (F,)
    assert run.notices == notices


# -- forced calls (D13) ----------------------------------------------------------------------------


def forcing(*tools: Tool, **more: Any) -> ChatRequest:
    return chat(Message("system", "S"), Message("user", "Hi"), tools=tools or (F,),
                tool_choice=REQUIRED, **more)  # fmt: skip


def test_a_model_that_calls_needs_one_pass() -> None:
    run = Run(forcing(), [[th("x")], [called()], [t("!")], [STOP]], model=PLAIN)

    assert run.events == [th("x"), called(), t("!"), Finish("tool_calls", USAGE)]
    first = run.upstreams.requests[0]
    assert first.messages[0] == Message("system", "S")
    assert first.messages[1].content == "Hi\n\nCall the function `f` now."
    assert first.tools == (F,)


def test_text_before_the_call_is_kept() -> None:
    run = Run(forcing(), [[t("Let me see")], [called()], [STOP]], model=PLAIN)

    assert run.events == [t("Let me see"), called(), Finish("tool_calls", USAGE)]


def test_a_model_that_chats_is_made_to_call() -> None:
    run = Run(forcing(logprobs=False), [[t("Hello!")], [STOP]], [[t('{"a"')], [t(": 2}")], [STOP]],
              model=THINKER)  # fmt: skip

    assert run.events == [ToolCallDone("", "f", '{"a":2}'), Finish("tool_calls", TWICE)]
    second = run.upstreams.requests[1]
    assert second.tools == ()
    assert (second.params.format, second.params.think) == (SCHEMA, False)
    assert "the function `f`" in second.messages[1].content
    assert "does f" in second.messages[1].content


def test_a_model_without_tools_goes_straight_to_the_second_pass() -> None:
    run = Run(forcing(), [[th("x")], [t('{"a":2}')], [STOP]], model=TOOLLESS)

    assert run.calls == 1
    assert run.params[0].format == SCHEMA
    assert run.params[0].think is None
    assert run.events == [th("x"), ToolCallDone("", "f", '{"a":2}'), Finish("tool_calls", USAGE)]


def test_one_of_several_functions_is_chosen_by_name() -> None:
    run = Run(forcing(F, G), [[t("Hi"), STOP]], [[t('{"name":"g","arguments":{}}'), STOP]],
              model=PLAIN)  # fmt: skip

    assert run.events == [ToolCallDone("", "g", "{}"), Finish("tool_calls", TWICE)]
    names = [one["properties"]["name"]["enum"] for one in run.params[1].format["anyOf"]]
    assert names == [["f"], ["g"]]
    assert "`f` or `g`" in run.upstreams.requests[0].messages[1].content


def test_the_arguments_of_a_forced_call_are_fitted_too() -> None:
    dated = Tool("f", "", {"type": "object", "properties": {"day": {"pattern": r"\p{N}"}}})
    request = chat(tools=[dated], tool_choice=REQUIRED)

    run = Run(request, [[t("no"), STOP]], [[t('{"day":"1"}'), STOP]], model=PLAIN)

    assert run.params[1].format["properties"] == {"day": {}}
    assert run.notices == ["tools:pattern"]


def tree(name: str) -> Tool:
    node = {"type": "array", "items": {"$ref": "#/$defs/N"}}
    properties = {"n": node}
    definitions = {"N": {**node, "description": name}}
    return Tool(name, "", {"type": "object", "properties": properties, "$defs": definitions})


def test_definitions_of_several_tools_do_not_meet() -> None:
    found = tool_choice.schema_of([tree("a"), tree("b"), G])

    arguments = [branch["properties"]["arguments"] for branch in found["anyOf"]]
    assert not any("$defs" in each for each in arguments)
    assert arguments[1]["properties"]["n"]["items"] == {"$ref": "#/$defs/b/N"}
    assert found["$defs"]["b"]["N"]["items"] == {"$ref": "#/$defs/b/N"}
    assert [each["N"]["description"] for each in found["$defs"].values()] == ["a", "b"]


def test_only_the_named_function_is_offered_and_taken() -> None:
    request = replace(forcing(F, G), tool_choice=ToolChoice("required", ("g",)))

    run = Run(request, [[called("f"), STOP]], [[t("{}"), STOP]], model=PLAIN)

    assert run.upstreams.requests[0].tools == (G,)
    assert run.events == [ToolCallDone("", "g", "{}"), Finish("tool_calls", TWICE)]


def test_an_answer_that_is_cut_off_ends_as_such() -> None:
    run = Run(forcing(), [[t("Hi"), STOP]], [[t('{"a"'), Finish("length", USAGE)]], model=PLAIN)
    early = Run(forcing(), [[called(), Finish("length", USAGE)]], model=PLAIN)

    assert run.events == [Finish("length", TWICE)]
    assert early.events == [called(), Finish("length", USAGE)]


def test_no_call_in_the_second_pass_is_a_failure() -> None:
    run = Run(forcing(), [[t("Hi"), STOP]], [[t("Hello"), STOP]], model=PLAIN)

    assert run.error.code == "tool_call_parse_error"
    assert len(run.events) == 1


MENDED: list[tuple[GatewayError, bool]] = [
    (CapabilityMissing("no tools", code="tools_not_supported"), True),
    (CapabilityMissing("no eyes", code="vision_not_supported"), False),
    (UpstreamError("unreadable call", code="tool_call_parse_error"), True),
    (UpstreamError("died"), False),
]


@pytest.mark.parametrize(("failure", "mended"), MENDED, ids=[f[0].message for f in MENDED])
def test_the_second_pass_mends_what_it_can(failure: GatewayError, mended: bool) -> None:
    run = Run(forcing(), [[Failed(failure)]], [[t('{"a":2}'), STOP]], model=UNKNOWN)

    assert run.calls == (2 if mended else 1)
    assert isinstance(run.events[-1], Finish if mended else Failed)


def test_a_failure_after_the_call_is_told() -> None:
    run = Run(forcing(), [[called()], [Failed(UpstreamError("died"))]], model=PLAIN)

    assert run.events[0] == called()
    assert run.error.message == "died"
    assert len(run.events) == 2


@pytest.mark.parametrize(
    ("script", "events"),
    [
        ([[t("Hi")], [STOP]], [t("Hi"), STOP]),
        ([[called()], [STOP]], [called(), Finish("tool_calls", USAGE)]),
    ],
)
def test_best_effort_asks_only_once(script: Any, events: list[Event]) -> None:
    run = Run(
        forcing(), script, behaviour=RuntimeSettings(forced_tool_choice="best_effort"), model=PLAIN
    )

    assert run.events == events


def test_the_demand_stands_at_the_last_user_or_tool_turn() -> None:
    history = chat(
        Message("user", "q"), Message("tool", "r"), Message("assistant", "a"),
        tools=[F], tool_choice=REQUIRED,
    )  # fmt: skip
    lonely = chat(Message("system", "S"), tools=[F], tool_choice=REQUIRED)

    asked = Run(history, [[called(), STOP]], model=PLAIN).upstreams.requests[0].messages
    added = Run(lonely, [[called(), STOP]], model=PLAIN).upstreams.requests[0].messages

    assert [m.content for m in asked] == ["q", "r\n\nCall the function `f` now.", "a"]
    assert added[1] == Message("user", "Call the function `f` now.")


def test_a_forced_call_may_be_the_only_one() -> None:
    run = Run(forcing(F, G, parallel_tool_calls=False), [[called("f")], [called("g")], [STOP]],
              model=PLAIN)  # fmt: skip

    assert run.events == [called("f"), Finish("tool_calls", est(0))]


CALLS: list[tuple[str, tuple[Tool, ...], ToolCallDone | None]] = [
    ('{"a":1}', (F,), ToolCallDone("", "f", '{"a":1}')),
    (FENCED, (F,), ToolCallDone("", "f", '{"a":1}')),
    ('{"name":"Zoë"}', (F,), ToolCallDone("", "f", '{"name":"Zoë"}')),
    ("[1]", (F,), None),
    ("", (F,), None),
    ('{"a":', (F,), None),
    ('{"name":"g","arguments":{"x":1}}', (F, G), ToolCallDone("", "g", '{"x":1}')),
    ('{"name":"h","arguments":{}}', (F, G), None),
    ('{"name":["g"],"arguments":{}}', (F, G), None),
    ('{"name":"g","arguments":"{}"}', (F, G), None),
]


@pytest.mark.parametrize(("text", "tools", "call"), CALLS)
def test_a_call_is_read_from_an_answer(
    text: str, tools: tuple[Tool, ...], call: ToolCallDone | None
) -> None:
    assert tool_choice.read_call(text, tools) == call


# -- for every kind of request ---------------------------------------------------------------------

KINDS = {
    "plain": chat(),
    "ladder": chat(think="high"),
    "stops": chat(options={"stop": ["END"]}),
    "single call": chat(tools=[F], parallel_tool_calls=False),
    "format": JSON,
    "tools and format": BOTH,
    "forced": forcing(),
}


events_of_an_answer = st.lists(
    st.lists(
        st.sampled_from(
            [t("a"), t("{"), t("}"), t("END"), t("```"), th("x"), called(), called("g")]
        ),
        max_size=3,
    ),
    max_size=5,
)
ends = st.sampled_from([STOP, Finish("length", USAGE), Failed(UpstreamError("died")), *REFUSED])


@given(
    st.sampled_from(list(KINDS.values())),
    st.lists(st.tuples(events_of_an_answer, ends), min_size=5, max_size=5),
    st.sampled_from([PLAIN, THINKER, UNKNOWN, TOOLLESS, GPT_OSS]),
    st.booleans(),
    st.booleans(),
)
def test_every_answer_has_exactly_one_end(
    request_: ChatRequest, answers: Any, of: Any, stream: bool, tags: bool
) -> None:
    scripts = [[*batches, [end]] for batches, end in answers]

    run = Run(request_, *scripts, model=of, stream=stream, parse_think_tags=tags, stop_here=True)

    assert isinstance(run.events[-1], Finish | Failed)
    assert not any(isinstance(event, Finish | Failed) for event in run.events[:-1])
    assert all(event.text for event in run.events if isinstance(event, TextDelta | ThinkingDelta))
    assert set(run.upstreams.closed) | set(run.upstreams.finished) == set(range(run.calls))
