"""Every key an override may hold: what it must be, what it means, what happens without it.

One table for everybody: `overrides` checks with it, the console draws its form from it. What Ollama
itself knows about an option stands in `core.options`; here are the words for people, Ollama's own
defaults (`api/types.go` DefaultOptions), and the keys that are the gateway's (api-mapping 5.3).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from gateway.core.chat import Json
from gateway.core.options import OPTIONS

Kind: TypeAlias = Literal[
    "number", "integer", "flag", "limit", "stop",
    "think", "duration", "format", "milliseconds", "text", "choice", "object",
]  # fmt: skip
Group: TypeAlias = Literal["sampling", "length", "runner", "answer", "prompt", "limits", "legacy"]

MAX_KEEP_ALIVE_S: Final = 9e9
"""Beyond this Go's durations overflow."""
_DURATION: Final = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_LEVELS: Final[Mapping[str, Json]] = {
    "none": False, "off": False, "disabled": False, "minimal": "low",
    "low": "low", "medium": "medium", "high": "high",
    "xhigh": "max", "max": "max", "ultra": "max",
}  # fmt: skip
MAX_SYSTEM: Final = 200_000


class WrongValue(ValueError):
    """A value a key cannot have; the text completes "must be ..."."""


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
        "Treat text between <think> and </think> as thinking.",
        "the gateway's setting",
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


def check_value(rule: KeyRule, value: Json) -> Json:
    """Give the value in the type it goes out with. Raises WrongValue."""
    return _CHECKS[rule.kind](rule, value)


def check_option(name: str, value: Json) -> Json:
    """Give an entry of `options` in Ollama's type; one nobody knows as it is. Raises WrongValue."""
    rule = KEYS.get(name)
    return value if rule is None or not rule.is_option else check_value(rule, value)


def _number(rule: KeyRule, value: Json) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WrongValue("a number")
    return _in_range(rule, value)


def _integer(rule: KeyRule, value: Json) -> int:
    try:
        number = _number(KeyRule(rule.name, "number", rule.group, ""), value)
    except WrongValue:
        raise WrongValue("a whole number") from None
    if number != int(number):
        raise WrongValue("a whole number")
    if abs(number) >= 2**63:
        raise WrongValue("a number of at most 64 bits")
    return int(_in_range(rule, int(number)))


def _in_range(rule: KeyRule, value: float) -> float:
    if rule.low is not None and rule.high is not None and not rule.low <= value <= rule.high:
        raise WrongValue(f"from {rule.low:g} to {rule.high:g}")
    if rule.low is not None and value < rule.low:
        raise WrongValue(f"at least {rule.low:g}")
    return value


def _limit(rule: KeyRule, value: Json) -> int:
    number = _integer(rule, value)
    if number == 0 or number < -2:
        raise WrongValue("at least 1, or -1 for no limit")  # 0 means different things (D22)
    return number


def _flag(rule: KeyRule, value: Json) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise WrongValue("true or false")


def _stop(rule: KeyRule, value: Json) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise WrongValue("a text or a list of texts")
    return [text for text in texts if text]


def _think(rule: KeyRule, value: Json) -> Json:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    if word in _LEVELS:
        return _LEVELS[word]
    raise WrongValue("true, false, low, medium, high or max")


def _duration(rule: KeyRule, value: Json) -> float | str:
    if isinstance(value, str):
        text = value.strip()
        if _DURATION.fullmatch(text):
            return text
        if _NUMBER.fullmatch(text):
            value = float(text)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or abs(value) > MAX_KEEP_ALIVE_S
    ):
        raise WrongValue("seconds, or a duration such as 5m")
    return int(value) if value == int(value) else value


def _format(rule: KeyRule, value: Json) -> Json:
    if value == "json" or isinstance(value, dict):
        return value
    raise WrongValue('"json" or a JSON schema')


def _text(rule: KeyRule, value: Json) -> str:
    if not isinstance(value, str) or "\0" in value or len(value) > MAX_SYSTEM:
        raise WrongValue(f"a text of at most {MAX_SYSTEM} characters")
    return value


def _choice(rule: KeyRule, value: Json) -> str:
    if isinstance(value, str) and value in rule.choices:
        return value
    raise WrongValue("one of " + ", ".join(rule.choices))


_CHECKS: Final = {
    "number": _number,
    "integer": _integer,
    "flag": _flag,
    "limit": _limit,
    "stop": _stop,
    "think": _think,
    "duration": _duration,
    "format": _format,
    "milliseconds": _integer,
    "text": _text,
    "choice": _choice,
}

assert {rule.name for rule in KEYS.values() if rule.is_option} == set(OPTIONS)
