"""How far token estimates are off, before a model's vocabulary is learned and after 20 calls.

    python -m benchmarks.estimates FOLDER [tokenizer.json ...]

FOLDER holds a folder of UTF-8 texts for each kind: `FOLDER/english/*`, `FOLDER/code/*` and so
on. Each text is one prompt. It is counted by the tokenizers that are installed (`dashscope`: Qwen;
`mistral-common`: Mistral's two) and by each `tokenizer.json` given (package `tokenizers`), which is
called after the folder its package has. A model learns from 20 texts and the others are estimated,
ten times, with other texts each time.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from gateway.core.chat import ChatRequest, Message
from gateway.policy import estimate
from gateway.policy.estimate import Factors, Size

CALLS = 20
REPEATS = 10
TEMPLATE_TOKENS = 8  # what a template adds to one message

Counter = Callable[[str], int]
Prompt = tuple[str, Size, int]  # kind, size, true tokens


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    texts = list(read(Path(sys.argv[1])))
    if not texts:
        sys.exit(f"{sys.argv[1]} holds no texts: FOLDER/KIND/FILE is looked for.")
    sizes = [estimate.size(ChatRequest("m", (Message("user", text),))) for _, text in texts]
    kinds = sorted({kind for kind, _ in texts})
    print("Median and 95th percentile of the error, in per cent.\n")
    print(f"| tokenizer | learned from | {' | '.join(kinds)} |")
    print(f"|---|---|{'---|' * len(kinds)}")
    for name, counter in counters(sys.argv[2:]):
        prompts = [
            (kind, size, counter(text) + TEMPLATE_TOKENS)
            for (kind, text), size in zip(texts, sizes, strict=True)
        ]
        for order in ("nothing", "a mixture", *kinds):
            errors = measure(prompts, kinds, order)
            cells = [f"{middle:.1f} / {most:.1f}" for middle, most in errors]
            print(f"| {name} | {order} | {' | '.join(cells)} |", flush=True)


def read(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the kind and the text of each file."""
    for path in filter(Path.is_file, sorted(folder.glob("*/*"))):
        yield path.parent.name, path.read_text("utf-8", "replace")


def counters(files: list[str]) -> Iterator[tuple[str, Counter]]:
    """Yield the name of each tokenizer there is, and what counts with it."""
    makers: dict[str, Callable[[], Counter]] = {
        "Qwen": _qwen,
        "Mistral Tekken": _tekken,
        "Mistral v3": _sentencepiece,
    }
    makers |= {Path(file).resolve().parents[1].name: partial(_json, file) for file in files}
    for name, make in makers.items():
        try:
            yield name, make()
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)


def measure(prompts: list[Prompt], kinds: list[str], order: str) -> list[tuple[float, float]]:
    """Return median and 95th percentile of the error of each kind, in per cent."""
    errors: dict[str, list[float]] = {kind: [] for kind in kinds}
    for seed in range(1 if order == "nothing" else REPEATS):
        learned = _calls(prompts, kinds, order, random.Random(seed))
        factors = Factors()
        for _, size, tokens in learned:
            factors.learn("m", size, tokens)
        for prompt in prompts:
            kind, size, tokens = prompt
            if prompt not in learned:
                errors[kind].append(abs(size.tokens(factors.of("m")) / tokens - 1) * 100)
    return [(statistics.median(found), _percentile95(found)) for found in errors.values()]


def _calls(
    prompts: list[Prompt], kinds: list[str], order: str, chance: random.Random
) -> list[Prompt]:
    """Return the prompts a model learns from: `CALLS`, but at most half of each kind."""
    if order == "nothing":
        return []
    taught = kinds if order == "a mixture" else [order]
    calls: list[Prompt] = []
    for kind in taught:
        there = [prompt for prompt in prompts if prompt[0] == kind]
        calls += chance.sample(there, min(CALLS // len(taught), len(there) // 2))
    chance.shuffle(calls)
    return calls


def _percentile95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]


def _qwen() -> Counter:
    tokenizer: Any = import_module("dashscope.tokenizers").get_tokenizer("qwen-turbo")
    return lambda text: len(tokenizer.encode(text))


def _tekken() -> Counter:
    tekken: Any = import_module("mistral_common.tokens.tokenizers.tekken").Tekkenizer
    tokenizer = tekken.from_file(_mistral_file("tekken_240911.json"))
    return lambda text: len(tokenizer.encode(text, bos=False, eos=False))


def _sentencepiece() -> Counter:
    module: Any = import_module("mistral_common.tokens.tokenizers.sentencepiece")
    file = _mistral_file("mistral_instruct_tokenizer_240323.model.v3")
    tokenizer = module.SentencePieceTokenizer(file)
    return lambda text: len(tokenizer.encode(text, bos=False, eos=False))


def _mistral_file(name: str) -> str:
    package = import_module("mistral_common")
    return str(Path(package.__path__[0]) / "data" / name)


def _json(file: str) -> Counter:
    tokenizer: Any = import_module("tokenizers").Tokenizer.from_file(file)
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


if __name__ == "__main__":
    main()
