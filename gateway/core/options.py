"""The options Ollama knows: type and range of each, one table for everybody who checks one.

A wrongly typed option makes Ollama answer 500 and an unknown one only a line in its log, so the
gateway checks what it knows and passes on what it does not (F4, D46).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from gateway.core.chat import Think

EFFORTS: Mapping[str, Think] = MappingProxyType(
    {
        "none": False, "off": False, "disabled": False,
        "minimal": False,
        "low": "low", "medium": "medium", "high": "high",
        "xhigh": "max", "max": "max", "ultra": "max",
    }
)  # fmt: skip
"""What an effort word means for `think`. `minimal` is "low" on gpt-oss, which cannot be switched
off (D10)."""

Kind: TypeAlias = Literal["number", "integer", "flag", "limit", "stop"]


@dataclass(frozen=True, slots=True)
class OptionRule:
    """What a value must be.

    `limit` is a number of tokens: at least 1, or -1 and -2 for "no limit" (D22). `stop` is a
    string or a list of them. `low` and `high` are inclusive. `runner` marks options whose change
    makes Ollama load the model again.
    """

    kind: Kind
    low: float | None = None
    high: float | None = None
    runner: bool = False


OPTIONS: Mapping[str, OptionRule] = MappingProxyType(
    {
        "num_ctx": OptionRule("integer", 0, runner=True),
        "num_predict": OptionRule("limit"),
        "num_keep": OptionRule("integer", -1),
        "seed": OptionRule("integer"),
        "temperature": OptionRule("number", 0),
        "top_k": OptionRule("integer", -1),
        "top_p": OptionRule("number", 0, 1),
        "min_p": OptionRule("number", 0, 1),
        "typical_p": OptionRule("number", 0, 1),
        "repeat_penalty": OptionRule("number", 0),
        "repeat_last_n": OptionRule("integer", -1),
        "presence_penalty": OptionRule("number"),
        "frequency_penalty": OptionRule("number"),
        "stop": OptionRule("stop"),
        "num_batch": OptionRule("integer", 0, runner=True),
        "num_gpu": OptionRule("integer", -1, runner=True),
        "main_gpu": OptionRule("integer", 0, runner=True),
        "num_thread": OptionRule("integer", 0, runner=True),
        "use_mmap": OptionRule("flag", runner=True),
        "draft_num_predict": OptionRule("integer", 0, runner=True),
        # Known to older servers only; newer ones ignore them.
        "mirostat": OptionRule("integer", 0, 2),
        "mirostat_eta": OptionRule("number", 0),
        "mirostat_tau": OptionRule("number", 0),
        "tfs_z": OptionRule("number"),
        "penalize_newline": OptionRule("flag"),
        "numa": OptionRule("flag"),
        "low_vram": OptionRule("flag"),
        "f16_kv": OptionRule("flag"),
        "use_mlock": OptionRule("flag"),
        "vocab_only": OptionRule("flag"),
        "logits_all": OptionRule("flag"),
    }
)
