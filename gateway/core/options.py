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

Kind: TypeAlias = Literal[
    "number", "integer", "flag", "limit", "stop",
    "think", "duration", "format", "milliseconds", "text", "choice",
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
        "Size of the context window in tokens; a change loads the model again.",
        "by memory: 4096 to 262144",
        0,
    ),
    _length("num_predict", "limit", "Most tokens of an answer; -1 is no limit.", "-1"),
    _length("num_keep", "integer", "Tokens kept from the start when the context shifts.", "4", -1),
    _sampling(
        "seed", "integer", "Start of the random numbers; the same seed repeats an answer.", "random"
    ),
    _sampling(
        "temperature",
        "number",
        "Higher is more varied, 0 always takes the likeliest token.",
        "0.8",
        0,
    ),
    _sampling("top_k", "integer", "Choose among this many likeliest tokens.", "40", -1),
    _sampling(
        "top_p",
        "number",
        "Choose among the likeliest tokens up to this total probability.",
        "0.9",
        0,
        1,
    ),
    _sampling(
        "min_p", "number", "Drop tokens less likely than this share of the likeliest.", "0", 0, 1
    ),
    _sampling("typical_p", "number", "Locally typical sampling; 1 is off.", "1", 0, 1),
    _sampling(
        "repeat_penalty",
        "number",
        "Above 1 makes repetition less likely.",
        "1.0 (older servers 1.1)",
        0,
    ),
    _sampling(
        "repeat_last_n",
        "integer",
        "How far back repetition is looked for, in tokens; -1 is all.",
        "64",
        -1,
    ),
    _sampling("presence_penalty", "number", "Makes tokens that have appeared less likely.", "0"),
    _sampling(
        "frequency_penalty", "number", "Makes tokens less likely the more often they appeared.", "0"
    ),
    _length("stop", "stop", "Texts that end the answer.", "those of the Modelfile"),
    _runner("num_batch", "integer", "Tokens of the prompt evaluated at once.", "512 to 2048", 0),
    _runner(
        "num_gpu",
        "integer",
        "Layers on the GPU; -1 is automatic, 0 is the processor only.",
        "-1",
        -1,
    ),
    _runner("main_gpu", "integer", "Which GPU holds small tensors.", "unset", 0),
    _runner("num_thread", "integer", "Processor threads; 0 lets Ollama decide.", "0", 0),
    _runner("use_mmap", "flag", "Map the model file into memory instead of reading it.", "unset"),
    _runner(
        "draft_num_predict",
        "integer",
        "Tokens guessed ahead by a draft model.",
        "4",
        0,
        embeddings=False,
    ),
    _legacy(
        "mirostat", "integer", "Mirostat sampling: 0 off, 1, 2. Servers before 0.7 only.", "0", 0, 2
    ),
    _legacy(
        "mirostat_eta", "number", "Learning rate of Mirostat. Servers before 0.7 only.", "0.1", 0
    ),
    _legacy("mirostat_tau", "number", "Target of Mirostat. Servers before 0.7 only.", "5", 0),
    _legacy("tfs_z", "number", "Tail free sampling. Servers before 0.7 only.", "1"),
    _legacy(
        "penalize_newline",
        "flag",
        "Count line feeds as repetition. Servers before 0.7 only.",
        "true",
    ),
    _legacy("numa", "flag", "NUMA support. Old servers only.", "false"),
    _legacy("low_vram", "flag", "Save graphics memory. Old servers only.", "false"),
    _legacy("f16_kv", "flag", "Half precision cache. Old servers only.", "true"),
    _legacy("use_mlock", "flag", "Keep the model in memory. Old servers only.", "false"),
    _legacy("vocab_only", "flag", "Load the vocabulary only. Old servers only.", "false"),
    _legacy("logits_all", "flag", "Return logits of every token. Old servers only.", "false"),
)
_OWN: Final = (
    _answer(
        "think",
        "think",
        "Whether a model thinks: true, false, low, medium, high, max.",
        "Ollama thinks if the model can",
    ),
    _runner(
        "keep_alive",
        "duration",
        "How long the model stays loaded: seconds or 5m, 1h; below 0 for ever.",
        "5m, or the server's own setting",
        runner=False,
    ),
    _answer("format", "format", 'Shape of the answer: "json" or a JSON schema.', "free text"),
    _prompt(
        "truncate",
        "flag",
        "Drop old messages of a long prompt; false makes it an error (for agents).",
        "true",
        embeddings=True,
    ),
    _runner(
        "shift",
        "flag",
        "Go on when the context is full by dropping its beginning.",
        "true",
        embeddings=False,
    ),
    _prompt("raw", "flag", "Send text completions without the model's template.", "by detection"),
    _limits(
        "timeout_ms",
        "milliseconds",
        "Time limit of the whole call in milliseconds; 0 is none.",
        "the gateway's setting",
        0,
        86_400_000,
        embeddings=True,
    ),
    _answer(
        "exclude_reasoning",
        "flag",
        "Keep the thinking from callers unless they ask for it.",
        "false",
    ),
    _prompt("system", "text", "System prompt of the gateway.", "none"),
    _prompt(
        "system_mode",
        "choice",
        "What happens when the request has a system prompt too.",
        "default",
        choices=("default", "prepend", "append", "replace"),
    ),
    _limits(
        "max_tokens_cap",
        "integer",
        "Upper limit of num_predict, also when the request has none.",
        "none",
        1,
        10**9,
    ),
    _limits(
        "max_num_ctx",
        "integer",
        "Upper limit of a request's num_ctx.",
        "none",
        1,
        10**9,
        embeddings=True,
    ),
    _answer(
        "parse_think_tags",
        "flag",
        "Treat text between <think> and </think> as thinking; opened: the template opens the tag.",
        "the gateway's setting",
        choices=("opened",),
    ),
    _answer(
        "reasoning_field",
        "choice",
        "Under which name callers get the thinking.",
        "the gateway's setting",
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
