"""Every key an override may hold: what it must be, what it means, what happens without it.

One table for everybody: `overrides` checks with it, the console draws its form from it. What Ollama
itself knows about an option stands in `core.options`; here are the words for people, Ollama's own
defaults (`api/types.go` DefaultOptions), and the keys that are the gateway's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from gateway.core.options import OPTIONS

Kind: TypeAlias = Literal[
    "number", "integer", "flag", "limit", "stop",
    "think", "duration", "format", "milliseconds", "text", "choice", "object",
]  # fmt: skip
Group: TypeAlias = Literal["sampling", "length", "runner", "answer", "prompt", "limits", "legacy"]


@dataclass(frozen=True, slots=True)
class KeyRule:
    """One key of an override. `default` is in words: what happens when nobody says anything.

    `embeddings` tells that the key means something for embeddings too, `runner` that changing it
    makes Ollama load the model again.
    """

    name: str
    kind: Kind
    group: Group
    help: str
    default: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    runner: bool = False
    embeddings: bool = False

    @property
    def is_option(self) -> bool:
        """Whether it goes into Ollama's `options`."""
        return self.name in OPTIONS


_TEXTS: Final[tuple[tuple[str, Group, str, str], ...]] = (
    (
        "num_ctx",
        "runner",
        "Size of the context window in tokens; a change loads the model again.",
        "by memory: 4096 to 262144",
    ),
    ("num_predict", "length", "Most tokens of an answer; -1 is no limit.", "-1"),
    ("num_keep", "length", "Tokens kept from the start when the context shifts.", "4"),
    ("seed", "sampling", "Start of the random numbers; the same seed repeats an answer.", "random"),
    (
        "temperature",
        "sampling",
        "Higher is more varied, 0 always takes the likeliest token.",
        "0.8",
    ),
    ("top_k", "sampling", "Choose among this many likeliest tokens.", "40"),
    ("top_p", "sampling", "Choose among the likeliest tokens up to this total probability.", "0.9"),
    ("min_p", "sampling", "Drop tokens less likely than this share of the likeliest.", "0"),
    ("typical_p", "sampling", "Locally typical sampling; 1 is off.", "1"),
    (
        "repeat_penalty",
        "sampling",
        "Above 1 makes repetition less likely.",
        "1.0 (older servers 1.1)",
    ),
    (
        "repeat_last_n",
        "sampling",
        "How far back repetition is looked for, in tokens; -1 is all.",
        "64",
    ),
    ("presence_penalty", "sampling", "Makes tokens that have appeared less likely.", "0"),
    (
        "frequency_penalty",
        "sampling",
        "Makes tokens less likely the more often they appeared.",
        "0",
    ),
    ("stop", "length", "Texts that end the answer.", "those of the Modelfile"),
    ("num_batch", "runner", "Tokens of the prompt evaluated at once.", "512 to 2048"),
    ("num_gpu", "runner", "Layers on the GPU; -1 is automatic, 0 is the processor only.", "-1"),
    ("main_gpu", "runner", "Which GPU holds small tensors.", "unset"),
    ("num_thread", "runner", "Processor threads; 0 lets Ollama decide.", "0"),
    ("use_mmap", "runner", "Map the model file into memory instead of reading it.", "unset"),
    ("draft_num_predict", "runner", "Tokens guessed ahead by a draft model.", "4"),
    ("mirostat", "legacy", "Mirostat sampling: 0 off, 1, 2. Servers before 0.7 only.", "0"),
    ("mirostat_eta", "legacy", "Learning rate of Mirostat. Servers before 0.7 only.", "0.1"),
    ("mirostat_tau", "legacy", "Target of Mirostat. Servers before 0.7 only.", "5"),
    ("tfs_z", "legacy", "Tail free sampling. Servers before 0.7 only.", "1"),
    (
        "penalize_newline",
        "legacy",
        "Count line feeds as repetition. Servers before 0.7 only.",
        "true",
    ),
    ("numa", "legacy", "NUMA support. Old servers only.", "false"),
    ("low_vram", "legacy", "Save graphics memory. Old servers only.", "false"),
    ("f16_kv", "legacy", "Half precision cache. Old servers only.", "true"),
    ("use_mlock", "legacy", "Keep the model in memory. Old servers only.", "false"),
    ("vocab_only", "legacy", "Load the vocabulary only. Old servers only.", "false"),
    ("logits_all", "legacy", "Return logits of every token. Old servers only.", "false"),
)
_FOR_EMBEDDINGS: Final = frozenset(
    {"num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap"}
)


def _option(name: str, group: Group, text: str, default: str) -> KeyRule:
    rule = OPTIONS[name]
    return KeyRule(
        name,
        rule.kind,
        group,
        text,
        default,
        rule.low,
        rule.high,
        runner=rule.runner,
        embeddings=name in _FOR_EMBEDDINGS,
    )


_OWN: Final[tuple[KeyRule, ...]] = (
    KeyRule(
        "think",
        "think",
        "answer",
        "Whether a model thinks: true, false, low, medium, high, max.",
        "Ollama thinks if the model can",
    ),
    KeyRule(
        "keep_alive",
        "duration",
        "runner",
        "How long the model stays loaded: seconds or 5m, 1h; below 0 for ever.",
        "5m, or the server's own setting",
        embeddings=True,
    ),
    KeyRule(
        "format", "format", "answer", 'Shape of the answer: "json" or a JSON schema.', "free text"
    ),
    KeyRule(
        "truncate",
        "flag",
        "prompt",
        "Drop old messages of a long prompt; false makes it an error (for agents).",
        "true",
        embeddings=True,
    ),
    KeyRule(
        "shift",
        "flag",
        "runner",
        "Go on when the context is full by dropping its beginning.",
        "true",
        runner=True,
    ),
    KeyRule(
        "raw",
        "flag",
        "prompt",
        "Send text completions without the model's template.",
        "by detection",
    ),
    KeyRule(
        "timeout_ms",
        "milliseconds",
        "limits",
        "Time limit of the whole call in milliseconds; 0 is none.",
        "the gateway's setting",
        0,
        86_400_000,
        embeddings=True,
    ),
    KeyRule(
        "exclude_reasoning",
        "flag",
        "answer",
        "Keep the thinking from callers unless they ask for it.",
        "false",
    ),
    KeyRule("system", "text", "prompt", "System prompt of the gateway.", "none"),
    KeyRule(
        "system_mode",
        "choice",
        "prompt",
        "What happens when the request has a system prompt too.",
        "default",
        choices=("default", "prepend", "append", "replace"),
    ),
    KeyRule(
        "max_tokens_cap",
        "integer",
        "limits",
        "Upper limit of num_predict, also when the request has none.",
        "none",
        1,
        10**9,
    ),
    KeyRule(
        "max_num_ctx",
        "integer",
        "limits",
        "Upper limit of a request's num_ctx.",
        "none",
        1,
        10**9,
        embeddings=True,
    ),
    KeyRule(
        "parse_think_tags",
        "flag",
        "answer",
        "Treat text between <think> and </think> as thinking; opened: the template opens the tag.",
        "the gateway's setting",
        choices=("opened",),
    ),
    KeyRule(
        "reasoning_field",
        "choice",
        "answer",
        "Under which name callers get the thinking.",
        "the gateway's setting",
        choices=("reasoning_content", "reasoning", "both"),
    ),
)

KEYS: Final[Mapping[str, KeyRule]] = MappingProxyType(
    {rule.name: rule for rule in (*(_option(*text) for text in _TEXTS), *_OWN)}
)
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


assert {rule.name for rule in KEYS.values() if rule.is_option} == set(OPTIONS)
