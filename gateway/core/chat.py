"""What a caller asks for, in Ollama's words: the middle between the dialects and the wire.

Mappings inside these values are never changed in place; a changed request is a
`dataclasses.replace`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from gateway.errors import InvalidRequest

Json: TypeAlias = Any
"""Something `json.loads` may give; nothing is known of it until `dialects/shared/reading.py` has
looked."""

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
Think: TypeAlias = bool | Literal["low", "medium", "high", "max"]
EMPTY: Mapping[str, Json] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Media:
    """An image or a sound beside a message: bare base64 in `data`, or an http(s) `url` still to
    be fetched.

    A `file` is always still to be fetched and then becomes text, under its `name`, where `at`
    characters of the message's own text come before it. `param` is where it stood in the caller's
    body, for errors.
    """

    kind: Literal["image", "audio", "file"]
    data: str = ""
    url: str = ""
    param: str | None = None
    name: str = ""
    at: int = 0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of a message that cannot be used, instead of the media or text it stands for.

    In the user's newest turn it is refused with `error`. Anywhere else it becomes `note`, a text
    for the model ("" leaves nothing behind), and `path` is told in `x-gateway-ignored`: agents
    repeat their history with every call, and a refusal there would end their session.
    """

    error: InvalidRequest
    note: str
    path: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model made earlier; `arguments` is the object itself."""

    id: str
    name: str
    arguments: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `tool_call_id` and `tool_name` belong to role `tool`."""

    role: Role
    content: str = ""
    thinking: str = ""
    media: tuple[Media, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    tool_name: str = ""
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """A function on offer. `parameters` is already normalised (docs/contract/tools.md), `kind`
    tells how the call goes back.

    `name` is what the model sees; `client_name` and `namespace` what the caller calls it, where
    that differs.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Json] = field(
        default_factory=lambda: {"type": "object", "properties": {}}
    )
    kind: Literal["function", "custom"] = "function"
    client_name: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`auto`, `none` or `required`; a named function is `required` with that one tool in `names`.
    () means every tool."""

    mode: Literal["auto", "none", "required"] = "auto"
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Params:
    """Everything that steers an answer, in Ollama's names. None or absent: not said, so the next
    lower layer decides.

    `options` are Ollama's `options`. `format` is "json" or a schema object. `keep_alive` is
    seconds or a Go duration.
    `timeout_ms` bounds the whole upstream call, 0 is none. `hide_thinking` is visibility only:
    the model thinks all the same. `effort` is the caller's own word, lower case, where `think`
    came from an effort: "minimal" reads as `think=False` but is "low" on gpt-oss (D10).
    """

    options: Mapping[str, Json] = field(default_factory=lambda: EMPTY)
    think: Think | None = None
    format: Json = None
    keep_alive: float | str | None = None
    truncate: bool | None = None
    shift: bool | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    timeout_ms: int | None = None
    hide_thinking: bool | None = None
    raw: bool | None = None
    effort: str = ""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation to continue (`/api/chat`)."""

    model: str
    messages: tuple[Message, ...]
    params: Params = Params()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    n: int = 1
    media_param: str = "messages"

    @property
    def choices(self) -> int:
        """How many answers are wanted."""
        return self.n


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A text to complete (`/api/generate`), once a prompt, `n` times each. `context` is what
    Ollama gave back of an earlier answer: tokens that go before the prompt."""

    model: str
    prompts: tuple[str, ...]
    params: Params = Params()
    suffix: str = ""
    system: str | None = None
    template: str | None = None
    media: tuple[Media, ...] = ()
    context: tuple[int, ...] = ()
    n: int = 1

    @property
    def choices(self) -> int:
        """How many answers are wanted: prompt index x n + i."""
        return len(self.prompts) * self.n


Request: TypeAlias = ChatRequest | CompletionRequest


@dataclass(frozen=True, slots=True)
class Call:
    """What a dialect read from one body: the request, and what only the answer needs.

    `ignored` are field paths for `x-gateway-ignored` (D2); `end_user` goes to the log, cut to 64
    characters; `extra` is the dialect's own (frozen value or mapping), untouched by everybody else.
    `stop_here` tells that the gateway, not Ollama, must match stop strings (`/v1/messages`, D41).
    `default_think` is used when neither request nor override says anything (D25, D38), and so are
    `default_raw` (D24) and `default_truncate`. `format_param` is where the caller wrote the format
    of the answer. `loads` tells that there is no prompt: the model is only brought into memory.
    """

    request: Request
    stream: bool = False
    include_usage: bool = False
    ignored: tuple[str, ...] = ()
    end_user: str = ""
    default_think: Think | None = None
    default_raw: bool | None = None
    default_truncate: bool | None = None
    format_param: str = "response_format"
    stop_here: bool = False
    loads: bool = False
    extra: Any = None
    body: Mapping[str, Json] = field(default_factory=lambda: EMPTY)

    @property
    def model(self) -> str:
        """The client's own spelling of the model."""
        return self.request.model


@dataclass(frozen=True, slots=True)
class Envelope:
    """What an answer carries around the model's words. A dialect has neither clock nor dice: they
    come in here.

    `seed` is 24+ random hex digits for this answer, from which ids of calls, items and messages are
    made; `created` is unix seconds; `prompt_estimate` the tokens of the prompt as estimated (D42);
    `request_id` is the `req_...` of the log. `clock` gives unix seconds when asked, for the time of
    completion; None: it is worked out from Ollama's durations.
    """

    seed: str
    created: int
    call: Call
    request_id: str = ""
    prompt_estimate: int = 0
    reasoning_field: Literal["reasoning_content", "reasoning", "both"] = "reasoning_content"
    usage_on_finish_chunk: bool = True
    sse_keepalive: Literal["comments_and_chunks", "comments", "off"] = "comments_and_chunks"
    choices: int = 1
    clock: Callable[[], int] | None = None


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts to embed (`/api/embed`). `loads` tells that the caller gave none, and only wants the
    model in memory."""

    model: str
    inputs: tuple[str, ...]
    params: Params = field(default_factory=Params)
    dimensions: int | None = None
    encoding: Literal["float", "base64"] = "float"
    ignored: tuple[str, ...] = ()
    end_user: str = ""
    loads: bool = False


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors in input order (float, [n, d]) and what they cost in tokens and nanoseconds."""

    vectors: Sequence[Sequence[float]]
    prompt_tokens: int
    total_ns: int = 0
    load_ns: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """One typed question. `instructions` is a text, or JSON that the model reads as text.

    `criteria` are of a `choice` its options, each with what it means or None where its name says
    it; of a `noul` (how likely is it true?) what `false` and `true` mean, None for nothing in
    particular; of a `score` its levels, from the lowest to the highest.
    """

    kind: Literal["choice", "noul", "score"]
    instructions: Json
    criteria: Mapping[str, str | None] | tuple[str, ...] | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """Under which keys the answer has probabilities: options, or numbers of levels."""
        if isinstance(self.criteria, tuple):
            return tuple(map(str, range(len(self.criteria))))
        return tuple(self.criteria or ())


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """Questions about one state, by name (`/v1/systemone`).

    `state` is a text, or JSON that the model reads as text. `extra` is the dialect's own.
    """

    model: str
    state: Json
    questions: Mapping[str, Question]
    params: Params = field(default_factory=Params)
    ignored: tuple[str, ...] = ()
    end_user: str = ""
    extra: Any = None


@dataclass(frozen=True, slots=True)
class Decisions:
    """The answers by the name of their question, in the order of the questions: as Ollama gave
    them, each found to fit its question."""

    answers: Mapping[str, Mapping[str, Json]]
    prompt_tokens: int
    completion_tokens: int


Sendable: TypeAlias = Request | EmbedRequest | DecisionRequest
"""What can be sent to Ollama."""
