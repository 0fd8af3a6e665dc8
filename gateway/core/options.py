"""Every option a call or an override may hold: what it must be, what it means, what happens
without it.

One row describes one option for everybody: dialects and overrides check with it, the console draws
its form from it, OpenAPI describes it. Ollama's own defaults are those of `api/types.go`
DefaultOptions. A wrongly typed option makes Ollama answer 500 and an unknown one only a line in its
log, so the gateway checks what it knows and passes on what it does not (F4, D46).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from gateway.core.chat import Think
from gateway.errors import Message

Kind: TypeAlias = Literal[
    "number", "integer", "flag", "limit", "stop",
    "think", "duration", "format", "milliseconds", "text", "choice", "steps",
]  # fmt: skip
Group: TypeAlias = Literal["sampling", "length", "runner", "answer", "prompt", "limits", "legacy"]


EFFORTS: Final[Mapping[str, Think]] = MappingProxyType(
    {
        "none": False, "off": False, "disabled": False,
        "minimal": False,
        "low": "low", "medium": "medium", "high": "high",
        "xhigh": "max", "max": "max", "ultra": "max",
    }
)  # fmt: skip
"""What an effort word means for `think`. `minimal` is "low" on gpt-oss, which cannot be switched
off (D10)."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `default` is in words: what happens when nobody says anything.

    `limit` is a number of tokens: at least 1, or -1 and -2 for "no limit" (D22). `stop` is a string
    or a list of them. `low` and `high` are inclusive. `embeddings` tells that it means something
    for embeddings too, `runner` that changing it makes Ollama load the model again.
    """

    group: Group
    name: str
    kind: Kind
    help: str
    default: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    runner: bool = False
    embeddings: bool = False


_sampling = partial(Option, "sampling")
_length = partial(Option, "length")
_runner = partial(Option, "runner", runner=True, embeddings=True)
_answer = partial(Option, "answer")
_prompt = partial(Option, "prompt")
_limits = partial(Option, "limits")
# Known to older servers only; newer ones ignore them.
_legacy = partial(Option, "legacy")

_OLLAMAS: Final = (
    _runner(
        "num_ctx",
        "integer",
        Message("Size of the context window in tokens; a change loads the model again."),
        Message("by memory: 4096 to 262144"),
        0,
    ),
    _length("num_predict", "limit", Message("Most tokens of an answer; -1 is no limit."), "-1"),
    _length(
        "num_keep",
        "integer",
        Message("Tokens kept from the start when the context shifts."),
        "4",
        -1,
    ),
    _sampling(
        "seed",
        "integer",
        Message("Start of the random numbers; the same seed repeats an answer."),
        Message("random"),
    ),
    _sampling(
        "temperature",
        "number",
        Message("Higher is more varied, 0 always takes the likeliest token."),
        "0.8",
        0,
    ),
    _sampling("top_k", "integer", Message("Choose among this many likeliest tokens."), "40", -1),
    _sampling(
        "top_p",
        "number",
        Message("Choose among the likeliest tokens up to this total probability."),
        "0.9",
        0,
        1,
    ),
    _sampling(
        "min_p",
        "number",
        Message("Drop tokens less likely than this share of the likeliest."),
        "0",
        0,
        1,
    ),
    _sampling("typical_p", "number", Message("Locally typical sampling; 1 is off."), "1", 0, 1),
    _sampling(
        "repeat_penalty",
        "number",
        Message("Above 1 makes repetition less likely."),
        Message("1.0 (older servers 1.1)"),
        0,
    ),
    _sampling(
        "repeat_last_n",
        "integer",
        Message("How far back repetition is looked for, in tokens; -1 is all."),
        "64",
        -1,
    ),
    _sampling(
        "presence_penalty", "number", Message("Makes tokens that have appeared less likely."), "0"
    ),
    _sampling(
        "frequency_penalty",
        "number",
        Message("Makes tokens less likely the more often they appeared."),
        "0",
    ),
    _length(
        "stop", "stop", Message("Texts that end the answer."), Message("those of the Modelfile")
    ),
    _runner(
        "num_batch",
        "integer",
        Message("Tokens of the prompt evaluated at once."),
        Message("512 to 2048"),
        0,
    ),
    _runner(
        "num_gpu",
        "integer",
        Message("Layers on the GPU; -1 is automatic, 0 is the processor only."),
        "-1",
        -1,
    ),
    _runner("main_gpu", "integer", Message("Which GPU holds small tensors."), Message("unset"), 0),
    _runner("num_thread", "integer", Message("Processor threads; 0 lets Ollama decide."), "0", 0),
    _runner(
        "use_mmap",
        "flag",
        Message("Map the model file into memory instead of reading it."),
        Message("unset"),
    ),
    _runner(
        "draft_num_predict",
        "integer",
        Message("Tokens guessed ahead by a draft model."),
        "4",
        0,
        embeddings=False,
    ),
    _legacy(
        "mirostat",
        "integer",
        Message("Mirostat sampling: 0 off, 1, 2. Servers before 0.7 only."),
        "0",
        0,
        2,
    ),
    _legacy(
        "mirostat_eta",
        "number",
        Message("Learning rate of Mirostat. Servers before 0.7 only."),
        "0.1",
        0,
    ),
    _legacy(
        "mirostat_tau", "number", Message("Target of Mirostat. Servers before 0.7 only."), "5", 0
    ),
    _legacy("tfs_z", "number", Message("Tail free sampling. Servers before 0.7 only."), "1"),
    _legacy(
        "penalize_newline",
        "flag",
        Message("Count line feeds as repetition. Servers before 0.7 only."),
        Message("true"),
    ),
    _legacy("numa", "flag", Message("NUMA support. Old servers only."), Message("false")),
    _legacy(
        "low_vram", "flag", Message("Save graphics memory. Old servers only."), Message("false")
    ),
    _legacy("f16_kv", "flag", Message("Half precision cache. Old servers only."), Message("true")),
    _legacy(
        "use_mlock",
        "flag",
        Message("Keep the model in memory. Old servers only."),
        Message("false"),
    ),
    _legacy(
        "vocab_only",
        "flag",
        Message("Load the vocabulary only. Old servers only."),
        Message("false"),
    ),
    _legacy(
        "logits_all",
        "flag",
        Message("Return logits of every token. Old servers only."),
        Message("false"),
    ),
)
_OWN: Final = (
    _answer(
        "think",
        "think",
        Message("Whether a model thinks: true, false, low, medium, high, max."),
        Message("Ollama thinks if the model can"),
    ),
    _runner(
        "keep_alive",
        "duration",
        Message("How long the model stays loaded: seconds or 5m, 1h; below 0 for ever."),
        Message("5m, or the server's own setting"),
        runner=False,
    ),
    _answer(
        "format",
        "format",
        Message('Shape of the answer: "json" or a JSON schema.'),
        Message("free text"),
    ),
    _prompt(
        "truncate",
        "flag",
        Message("Let Ollama cut a long prompt in silence; false makes it an error."),
        Message("false, unless context_policy is allow"),
        embeddings=True,
    ),
    _runner(
        "shift",
        "flag",
        Message("Go on when the context is full by dropping its beginning."),
        Message("true"),
        embeddings=False,
    ),
    _prompt(
        "context_policy",
        "choice",
        Message(
            "A prompt longer than the window: error refuses it, grow takes the next step, allow "
            "lets Ollama cut it in silence."
        ),
        Message("the gateway's setting"),
        choices=("error", "grow", "allow"),
    ),
    _prompt(
        "context_steps",
        "steps",
        Message("The only windows that requests get, in tokens, ascending, such as 8192, 32768."),
        Message("the window as asked for"),
    ),
    _prompt(
        "raw",
        "flag",
        Message("Send text completions without the model's template."),
        Message("by detection"),
    ),
    _limits(
        "timeout_ms",
        "milliseconds",
        Message("Time limit of the whole request in milliseconds; 0 is none."),
        Message("the gateway's setting"),
        0,
        86_400_000,
        embeddings=True,
    ),
    _answer(
        "exclude_reasoning",
        "flag",
        Message("Keep the thinking from callers unless they ask for it."),
        Message("false"),
    ),
    _prompt("system", "text", Message("System prompt of the gateway."), Message("none")),
    _prompt(
        "system_mode",
        "choice",
        Message("What happens when the request has a system prompt too."),
        Message("default"),
        choices=("default", "prepend", "append", "replace"),
    ),
    _limits(
        "max_tokens_cap",
        "integer",
        Message("Upper limit of num_predict, also when the request has none."),
        Message("none"),
        1,
        10**9,
    ),
    _limits(
        "max_num_ctx",
        "integer",
        Message("Upper limit of a request's num_ctx."),
        Message("none"),
        1,
        10**9,
        embeddings=True,
    ),
    _answer(
        "parse_think_tags",
        "flag",
        Message(
            "Treat text between <think> and </think> as thinking; "
            "opened: the template opens the tag."
        ),
        Message("the gateway's setting"),
        choices=("opened",),
    ),
    _answer(
        "reasoning_field",
        "choice",
        Message("Under which name callers get the thinking."),
        Message("the gateway's setting"),
        choices=("reasoning_content", "reasoning", "both"),
    ),
)

OPTIONS: Final[Mapping[str, Option]] = MappingProxyType({row.name: row for row in _OLLAMAS})
"""What goes into Ollama's `options`."""
NOT_AT_ROOT: Final = frozenset(
    {"numa", "low_vram", "f16_kv", "use_mlock", "vocab_only", "logits_all"}
)
"""At the root of a body these would be taken from clients that mean something else by them."""
KEYS: Final[Mapping[str, Option]] = MappingProxyType({row.name: row for row in (*_OLLAMAS, *_OWN)})
"""Every key an override may hold."""
SPELLINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "keepAlive": "keep_alive",
        "request_timeout": "timeout_ms",
        "requestTimeout": "timeout_ms",
        "timeoutMs": "timeout_ms",
        "timeout": "timeout_ms",
    }
)
"""Other spellings of keys, as other products write them."""
