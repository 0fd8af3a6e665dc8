"""Short ways to write the values policies look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.core.catalog import Alias, Model
from gateway.core.chat import Call, ChatRequest, Message, Params, Request, Tool
from gateway.core.events import Event, Failed
from gateway.errors import GatewayError
from gateway.policy.emulation.plans import Enough, Sink
from gateway.schemas.key import Key


def model(name: str = "llama3.2:latest", **fields: Any) -> Model:
    fields.setdefault("id", abs(hash(name)) % 10_000)
    fields.setdefault("display_name", name.removesuffix(":latest"))
    if isinstance(fields.get("capabilities"), str):
        fields["capabilities"] = frozenset(fields["capabilities"].split())
    aliases = fields.pop("aliases", ())
    made = tuple(alias if isinstance(alias, Alias) else Alias(alias) for alias in aliases)
    return Model(name=name, aliases=made, **fields)


def key(**fields: Any) -> Key:
    return Key(id=1, name="k", prefix="sk-o2a-xx", **fields)


def chat(*messages: Message, tools: Iterable[Tool] = (), **params: Any) -> ChatRequest:
    more = {
        name: params.pop(name)
        for name in ("tool_choice", "parallel_tool_calls", "n", "media_param")
        if name in params
    }
    return ChatRequest(
        "m", messages or (Message("user", "Hi"),), Params(**params), tools=tuple(tools), **more
    )


@dataclass
class Plan:
    """What fidelity knows of a prepared call."""

    request: Request
    model: Model = field(default_factory=model)
    estimate: int = 7
    hide_thinking: bool = False
    parse_think_tags: Any = False
    stop_here: bool = False
    stream: bool = True

    @property
    def call(self) -> Call:
        return Call(self.request, stream=self.stream, stop_here=self.stop_here)


class Upstreams:
    """Plays upstream calls from scripts, in order; remembers requests, and which were closed."""

    def __init__(self, *scripts: Sequence[Sequence[Event]]) -> None:
        self.requests: list[Any] = []
        self.closed: list[int] = []
        self.finished: list[int] = []
        self._scripts = scripts

    def __call__(self, request: Request, sink: Sink) -> None:
        number = len(self.requests)
        self.requests.append(request)
        for events in self._scripts[number]:
            failed = [event for event in events if isinstance(event, Failed)]
            events = [event for event in events if not isinstance(event, Failed)]
            try:
                if events:
                    sink(events)
            except (Enough, GatewayError):
                self.closed.append(number)
                raise
            if failed:
                self.finished.append(number)
                raise failed[0].error
        self.finished.append(number)

    @property
    def params(self) -> list[Params]:
        return [request.params for request in self.requests]


def flat(batches: Iterable[Sequence[Event]]) -> list[Event]:
    return [event for events in batches for event in events]


def options(**values: Any) -> Mapping[str, Any]:
    return values
