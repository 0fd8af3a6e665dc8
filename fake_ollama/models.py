"""The models a fake server pretends to have."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

from fake_ollama.names import Name, parse_name, split_source

Path = Literal["native", "rendered"]
TemplateRule = Literal["system_first", "alternate", "needs_user"]

GO_TEMPLATE = "{{ .Prompt }}"
JINJA_TEMPLATE = (
    "{%- for message in messages %}<|{{ message.role }}|>{{ message.content }}{%- endfor %}"
)

_GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class FakeModel:
    """One model on disk.

    ``path`` chooses which of Ollama's two ways of running it is played: *native* (the GGUF's own
    chat template, tool calls in the last line) or *rendered* (finished prompt, tool calls in lines
    of their own). ``tags_capabilities`` is what ``/api/tags`` claims instead of what Ollama itself
    would (``listed_capabilities``); ``()`` leaves the field out. ``remote`` models run elsewhere;
    ``ignores_format`` plays runners that do not know structured output. ``weights`` is the blob
    that derived models share: models of one blob share one runner. ``template_rules`` name the
    orders of turns that the chat template insists on (``templates``).
    """

    name: str
    capabilities: tuple[str, ...] = ("completion",)
    path: Path = "native"
    context_length: int = 8192
    embedding_length: int = 4096
    size: int = 4 * _GB
    digest: str = ""
    family: str = "llama"
    families: tuple[str, ...] | None = None
    parameter_size: str = "8.0B"
    parameter_count: int = 8_030_261_248
    quantization: str = "Q4_K_M"
    template: str = ""
    system: str = ""
    license: str = ""
    parameters: tuple[tuple[str, str | int | float], ...] = ()
    slots: int = 1
    tags_capabilities: tuple[str, ...] | None = None
    remote: bool = False
    remote_host: str = "https://ollama.com:443"
    remote_model: str = ""
    gpt_oss: bool = False
    ignores_format: bool = False
    dims: int = 0
    load_delay_s: float = 0.0
    modified_at: str = "2026-08-20T07:01:02.512934817+01:00"
    parent_model: str = ""
    weights: str = ""
    template_rules: tuple[TemplateRule, ...] = ()

    @property
    def parsed(self) -> Name:
        """The whole name. Raises ValueError for a name Ollama would refuse."""
        name = parse_name(self.name)
        if name is None:
            raise ValueError(f"not a model name: {self.name!r}")
        return name

    @property
    def short(self) -> str:
        return self.parsed.short

    @property
    def key(self) -> str:
        return self.parsed.key

    @property
    def hex_digest(self) -> str:
        return self.digest or hashlib.sha256(f"manifest {self.key}".encode()).hexdigest()

    @property
    def blob(self) -> str:
        return self.weights or hashlib.sha256(f"weights {self.key}".encode()).hexdigest()

    @property
    def listed_capabilities(self) -> tuple[str, ...]:
        """What ``/api/tags`` claims: not what the GGUF's own template adds, nor what it embeds."""
        if self.tags_capabilities is not None:
            return self.tags_capabilities
        if not self.can("completion"):
            return ("completion",)
        unseen = {"tools", "thinking"} if self.path == "native" else set()
        return tuple(one for one in self.capabilities if one not in unseen)

    @property
    def shown_template(self) -> str:
        """What ``/api/show`` calls the template: on the native path the Jinja of the GGUF."""
        native = self.path == "native" and self.can("completion")
        return self.template or (JINJA_TEMPLATE if native else GO_TEMPLATE)

    @property
    def base_name(self) -> str:
        """The name on the other side of a remote model."""
        return self.remote_model or split_source(self.short)[0]

    @property
    def vector_length(self) -> int:
        return self.dims or self.embedding_length

    @property
    def parallel(self) -> int:
        """Slots of its runner: embedding-only models have one, whatever was asked for."""
        return self.slots if self.can("completion") else 1

    def can(self, capability: str) -> bool:
        return capability in self.capabilities


QWEN3 = FakeModel(
    "qwen3:8b",
    ("completion", "tools", "thinking"),
    path="rendered",
    context_length=40_960,
    size=5_225_388_164,
    family="qwen3",
    parameter_size="8.2B",
    parameter_count=8_190_735_360,
    parameters=(("temperature", 0.6), ("top_k", 20), ("stop", "<|im_end|>"), ("top_p", 0.95)),
    license="Apache License Version 2.0",
)
LLAMA = FakeModel(
    "llama3.2:latest",
    ("completion", "tools"),
    path="native",
    context_length=131_072,
    embedding_length=3072,
    size=2_019_393_189,
    parameter_size="3.2B",
    parameter_count=3_212_749_888,
    parameters=(("stop", "<|eot_id|>"), ("stop", "<|start_header_id|>")),
)
DEEPSEEK_R1 = FakeModel(
    "deepseek-r1:8b",
    ("completion", "tools", "thinking"),
    path="native",
    context_length=131_072,
    size=5_225_376_047,
    family="qwen3",
    parameter_size="8.2B",
    parameter_count=8_190_735_360,
)
GPT_OSS = FakeModel(
    "gpt-oss:20b",
    ("completion", "tools", "thinking"),
    path="rendered",
    context_length=131_072,
    embedding_length=2880,
    size=13_793_441_244,
    family="gptoss",
    parameter_size="20.9B",
    parameter_count=20_914_757_184,
    quantization="MXFP4",
    gpt_oss=True,
)
CODER = FakeModel(
    "qwen2.5-coder:7b",
    ("completion", "tools", "insert"),
    path="rendered",
    context_length=32_768,
    embedding_length=3584,
    size=4_683_087_561,
    family="qwen2",
    parameter_size="7.6B",
    parameter_count=7_615_616_512,
)
LLAVA = FakeModel(
    "llava:7b",
    ("completion", "vision"),
    path="rendered",
    context_length=32_768,
    size=4_733_363_377,
    families=("llama", "clip"),
    parameter_size="7B",
    parameter_count=7_241_732_096,
    quantization="Q4_0",
)
GEMMA = FakeModel(
    "gemma3:4b",
    ("completion", "vision"),
    path="native",
    context_length=131_072,
    embedding_length=2560,
    size=3_338_801_804,
    family="gemma3",
    parameter_size="4.3B",
    parameter_count=4_299_915_632,
)
NOMIC = FakeModel(
    "nomic-embed-text:latest",
    ("embedding",),
    context_length=2048,
    embedding_length=768,
    dims=768,
    size=274_302_450,
    family="nomic-bert",
    parameter_size="137M",
    parameter_count=136_727_040,
    quantization="F16",
)
MINILM = FakeModel(
    "all-minilm:latest",
    ("embedding",),
    context_length=256,
    embedding_length=384,
    dims=384,
    size=45_960_996,
    family="bert",
    parameter_size="23M",
    parameter_count=22_565_376,
    quantization="F16",
)
NIMBLE = FakeModel(
    "nimble:latest",
    ("decision",),
    context_length=8192,
    embedding_length=1536,
    size=986_061_892,
    family="qwen2",
    parameter_size="1.5B",
    parameter_count=1_543_714_304,
)
HF = FakeModel(
    "hf.co/user/Model-GGUF:Q4_K_M",
    ("completion",),
    path="native",
    context_length=16_384,
    size=2_200_000_112,
    tags_capabilities=(),
)
CLOUD = FakeModel(
    "deepseek-v3.1:671b-cloud",
    ("completion", "tools", "thinking"),
    path="rendered",
    context_length=163_840,
    embedding_length=7168,
    size=382,
    family="deepseek2",
    parameter_size="671.0B",
    parameter_count=671_026_419_200,
    quantization="FP8_E4M3",
    remote=True,
    ignores_format=True,
)
VOXTRAL = FakeModel(
    "voxtral:3b",
    ("completion", "audio"),
    path="native",
    context_length=32_768,
    embedding_length=3072,
    size=3_100_000_448,
    parameter_size="3.5B",
    parameter_count=3_500_000_256,
)
TINY = FakeModel(
    "tinyllama:latest",
    ("completion",),
    path="rendered",
    context_length=2048,
    embedding_length=2048,
    size=637_700_138,
    parameter_size="1B",
    parameter_count=1_100_048_384,
    quantization="Q4_0",
)

DEFAULT_MODELS: tuple[FakeModel, ...] = (
    QWEN3,
    LLAMA,
    DEEPSEEK_R1,
    GPT_OSS,
    CODER,
    LLAVA,
    GEMMA,
    NOMIC,
    MINILM,
    NIMBLE,
    HF,
    CLOUD,
    VOXTRAL,
    TINY,
)
"""One model of every kind a gateway must know how to treat."""

PULLABLE: tuple[FakeModel, ...] = (
    FakeModel("mistral:7b", ("completion", "tools"), path="rendered", context_length=32_768),
    FakeModel("phi4:14b", ("completion",), path="rendered", size=9 * _GB, context_length=16_384),
    FakeModel("smollm2:135m", ("completion",), size=270_898_672, context_length=8192),
    FakeModel(
        "mxbai-embed-large:latest",
        ("embedding",),
        context_length=512,
        embedding_length=1024,
        dims=1024,
        size=669_615_493,
        family="bert",
    ),
)
"""What the fake registry offers besides the models already on disk."""


def demo_models() -> tuple[FakeModel, ...]:
    """The default set with loads that take as long as a fast disk would need."""
    return tuple(
        model
        if model.remote
        else replace(model, load_delay_s=round(0.2 + model.size / (6 * _GB), 2))
        for model in DEFAULT_MODELS
    )
