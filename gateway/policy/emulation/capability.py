"""Refuses what a model is known to be unable to do, before it is sent (D18).

Images and sounds are looked at in `media`.

Only what `/api/show` told counts: while nothing is known, the request goes through and Ollama
decides.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from gateway.core.catalog import Model
from gateway.core.chat import ChatRequest, Request
from gateway.errors import CapabilityMissing, InvalidRequest
from gateway.policy.emulation import thinking
from gateway.schemas.settings import RuntimeSettings

_VERSION: Final = re.compile(r"(\d{1,9})\.(\d{1,9})")
_DECISIONS_SINCE: Final = (0, 35)


def settle(request: Request, model: Model, think_from: str = "") -> Request:
    """Return a request the model can take; `think_from` is the layer `think` came from."""
    params = thinking.adapt(request.params, model)
    if not isinstance(request, ChatRequest):
        return replace(request, params=params)
    settled = without_unwanted_tools(request)
    if params is not settled.params:
        settled = replace(settled, params=params)
    asked = think_from == "request" and bool(params.think)
    return thinking.settle_prefill(settled, asked)


def check(request: Request, model: Model, behaviour: RuntimeSettings) -> None:
    """Raise CapabilityMissing for what the model cannot, InvalidRequest for a forced call
    where settings forbid those."""
    if model.can("completion") is False and model.can("embedding"):
        raise _missing(model, "chat", "only makes embeddings", "model")
    if model.can("completion") is False and model.can("decision"):
        raise _missing(model, "chat", "only answers decisions (/v1/decisions)", "model")
    if isinstance(request, ChatRequest):
        _check_tools(request, model, behaviour)
    elif request.suffix and model.can("insert") is False:
        raise _missing(model, "insert", "cannot fill in the middle", "suffix")


def check_decisions(model: Model) -> None:
    """Raise CapabilityMissing for a model that answers no typed questions."""
    if model.can("decision") is False:
        raise _missing(model, "decisions", "answers no decisions: choose a decision model", "model")


def knows_decisions(version: str) -> bool:
    """Whether an Ollama of this version answers decisions; one that does not tell may. Builds of
    developers are called 0.0.0."""
    found = _VERSION.match(version)
    numbers = tuple(map(int, found.groups())) if found else (0, 0)
    return numbers == (0, 0) or numbers >= _DECISIONS_SINCE


def without_unwanted_tools(request: ChatRequest) -> ChatRequest:
    """Return the request with the tools its `tool_choice` leaves: none, the named ones, or all."""
    choice = request.tool_choice
    if choice.mode == "none":
        return replace(request, tools=()) if request.tools else request
    if not choice.names:
        return request
    return replace(
        request, tools=tuple(tool for tool in request.tools if tool.name in choice.names)
    )


def _check_tools(request: ChatRequest, model: Model, behaviour: RuntimeSettings) -> None:
    mode = request.tool_choice.mode
    if mode == "required" and behaviour.forced_tool_choice == "reject":
        raise InvalidRequest(
            "Forcing a tool call is switched off on this gateway.",
            param="tool_choice",
            code="unsupported_value",
        )
    if not request.tools or mode == "none" or model.can("tools") is not False:
        return
    if mode == "required" and behaviour.forced_tool_choice == "emulate":
        return  # made with `format`, which needs no such capability (D13)
    # Clients look for these words, which are Ollama's, and go on without tools.
    raise _missing(model, "tools", "does not support tools", "tools")


def _missing(model: Model, capability: str, what: str, param: str) -> CapabilityMissing:
    return CapabilityMissing(
        f"The model '{model.display_name}' {what}.", code=f"{capability}_not_supported", param=param
    )
