"""What a model is known to be unable to do."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.chat import CompletionRequest, Message, Params, Tool, ToolChoice
from gateway.errors import CapabilityMissing, InvalidRequest
from gateway.policy.emulation import capability
from gateway.schemas.settings import RuntimeSettings
from tests.policy.values import chat, model

F, G = Tool("f"), Tool("g")
REQUIRED = ToolChoice("required")

REFUSED: dict[str, Any] = {
    "tools": ("completion", chat(tools=[F]), RuntimeSettings(), "tools_not_supported", "tools"),
    "tools, asked for": ("completion", chat(tools=[F], tool_choice=REQUIRED),
     RuntimeSettings(forced_tool_choice="best_effort"), "tools_not_supported", "tools"),
    "suffix": ("completion", CompletionRequest("m", ("p",), suffix="s"), RuntimeSettings(),
     "insert_not_supported", "suffix"),
    "chat": ("embedding", chat(), RuntimeSettings(), "chat_not_supported", "model"),
    "completion": ("embedding", CompletionRequest("m", ("p",)), RuntimeSettings(),
     "chat_not_supported", "model"),
    "chat of decisions": ("decision", chat(), RuntimeSettings(), "chat_not_supported", "model"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("can", "request_", "behaviour", "code", "param"), REFUSED.values(), ids=REFUSED
)
def test_what_cannot_be_done_is_refused(
    can: str, request_: Any, behaviour: RuntimeSettings, code: str, param: str
) -> None:
    of = model("m:1", display_name="Em", capabilities=can)

    with pytest.raises(CapabilityMissing) as caught:
        capability.check(request_, of, behaviour)

    assert (caught.value.status, caught.value.code, caught.value.param) == (400, code, param)
    assert "'Em'" in caught.value.message


ACCEPTED: dict[str, Any] = {
    "tools of a model that can": ("completion tools", chat(tools=[F])),
    "tools nobody wants called": ("completion", chat(tools=[F], tool_choice=ToolChoice("none"))),
    "tools made with format": ("completion", chat(tools=[F], tool_choice=REQUIRED)),
    "suffix": ("completion insert", CompletionRequest("m", ("p",), suffix="s")),
    "no suffix": ("completion", CompletionRequest("m", ("p",))),
    "nothing known": (None, chat(tools=[F])),
    "neither completion nor embedding": ("", chat()),
}


@pytest.mark.parametrize(("can", "request_"), ACCEPTED.values(), ids=ACCEPTED)
def test_what_may_work_is_let_through(can: str | None, request_: Any) -> None:
    capability.check(request_, model("m:1", capabilities=can), RuntimeSettings())


def test_forced_calls_can_be_switched_off() -> None:
    behaviour = RuntimeSettings(forced_tool_choice="reject")
    of = model("m:1", capabilities="completion tools")

    with pytest.raises(InvalidRequest) as caught:
        capability.check(chat(tools=[F], tool_choice=REQUIRED), of, behaviour)

    assert (caught.value.code, caught.value.param) == ("unsupported_value", "tool_choice")


@pytest.mark.parametrize(
    ("tools", "choice", "left"),
    [
        ([F, G], ToolChoice(), ["f", "g"]),
        ([F, G], ToolChoice("none"), []),
        ([], ToolChoice("none"), []),
        ([F, G], ToolChoice("auto", ("g",)), ["g"]),
        ([F, G], ToolChoice("required", ("f",)), ["f"]),
    ],
)
def test_the_choice_leaves_its_tools(
    tools: list[Tool], choice: ToolChoice, left: list[str]
) -> None:
    found = capability.without_unwanted_tools(chat(tools=tools, tool_choice=choice))

    assert [tool.name for tool in found.tools] == left


def test_a_request_is_settled_for_its_model() -> None:
    of = model("m:1", capabilities="completion tools")
    prefill = chat(Message("user", "q"), Message("assistant", "a"), think="high")

    settled = capability.settle(prefill, of, "request")

    assert settled.params.think is False
    assert capability.settle(chat(think=True), of).params.think is None


def test_a_wish_to_think_survives_a_prefill() -> None:
    of = model("m:1", capabilities="completion thinking")
    prefill = chat(Message("user", "q"), Message("assistant", "a"), think="high")

    assert capability.settle(prefill, of, "request").params.think == "high"
    assert capability.settle(prefill, of, "model").params.think is False


def test_a_completion_is_settled_too() -> None:
    request = CompletionRequest("m", ("p",), Params(think=True))

    settled = capability.settle(request, model("m:1", capabilities="completion"))

    assert settled == CompletionRequest("m", ("p",))


@pytest.mark.parametrize("can", ["completion", "embedding", ""])
def test_a_model_without_the_capability_decides_nothing(can: str) -> None:
    with pytest.raises(CapabilityMissing) as caught:
        capability.check_decisions(model("m:1", capabilities=can))

    assert (caught.value.code, caught.value.param) == ("decisions_not_supported", "model")


@pytest.mark.parametrize("can", ["decision", "completion decision", None])
def test_a_model_that_may_decide_is_asked(can: str | None) -> None:
    capability.check_decisions(model("m:1", capabilities=can))


VERSIONS = {
    "": True, "0.34.9": False, "0.35.0": True, "0.35.0-rc1": True, "0.4.1": False, "1.0.0": True,
    "0.0.0": True, "main": True,
}  # fmt: skip


@pytest.mark.parametrize(("version", "knows"), VERSIONS.items(), ids=VERSIONS)
def test_an_old_server_knows_no_decisions(version: str, knows: bool) -> None:
    assert capability.knows_decisions(version) is knows
