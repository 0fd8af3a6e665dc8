"""From a caller's name to a model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_ollama import names as ollama_names
from gateway.core.catalog import Alias, Model
from gateway.errors import InvalidRequest, ModelNotFound
from gateway.policy import names, routing
from gateway.policy.routing import Index
from tests.policy.values import model

LLAMA = model("llama3.2:latest", id=1, aliases=("gpt-4o", "claude-*"))
QWEN = model("qwen3:8b", id=2, display_name="Qwen three", aliases=("claude-*haiku*", "Gpt-4O-mini"))
HF = model("hf.co/user/Model-GGUF:Q4_K_M", id=3)
BIG = model("Shared:1", id=4, display_name="Same")
SMALL = model("shared2:1", id=5, display_name="same")
OFF = model("off:1", id=6, enabled=False, aliases=("off-alias",))
GONE = model("gone:1", id=7, available=False)
CLOUD = model("gpt-oss:120b-cloud", id=8)
REMOTE = model("far:1", id=9, remote=True)
ALL = (LLAMA, QWEN, HF, BIG, SMALL, OFF, GONE, CLOUD, REMOTE)
INDEX = Index(ALL)

FOUND: dict[str, Any] = {
    "1 display name": ("Qwen three", QWEN, None),
    "1 the tagless original": ("llama3.2", LLAMA, None),
    "2 original": ("qwen3:8b", QWEN, None),
    "3 latest added": ("llama3.2", LLAMA, None),
    "2 with latest": ("llama3.2:latest", LLAMA, None),
    "4 latest taken away": ("Qwen three:latest", QWEN, None),
    "5 alias": ("gpt-4o", LLAMA, "gpt-4o"),
    "5 the longest pattern": ("claude-3-haiku", QWEN, "claude-*haiku*"),
    "5 pattern": ("claude-3-opus", LLAMA, "claude-*"),
    "6 case": ("QWEN THREE", QWEN, None),
    "6 case of the original": ("HF.CO/User/model-gguf:q4_k_m", HF, None),
    "6 case of an alias": ("GPT-4o-MINI", QWEN, "Gpt-4O-mini"),
    "6 case of a pattern": ("Claude-3-Opus", LLAMA, "claude-*"),
    "1 exact beats case": ("same", SMALL, None),
    "7 prefix": ("ollama/qwen3:8b", QWEN, None),
    "7 prefix, case": ("OpenAI/gpt-4o", LLAMA, "gpt-4o"),
    "7 library": ("library/llama3.2", LLAMA, None),
    "8 registry": ("registry.ollama.ai/library/llama3.2", LLAMA, None),
    "8 scheme": ("https://registry.ollama.ai/library/llama3.2:latest", LLAMA, None),
    "8 local": ("llama3.2:local", LLAMA, None),
    "8 local with tag": ("qwen3:8b:local", QWEN, None),
    "white space": (" \t llama3.2\n", LLAMA, None),
    "cloud": ("gpt-oss:120b-cloud", CLOUD, None),
}


@pytest.mark.parametrize(("name", "wanted", "alias"), FOUND.values(), ids=FOUND)
def test_a_name_finds_its_model(name: str, wanted: Model, alias: str | None) -> None:
    found = routing.resolve(name, INDEX)

    assert found.model == wanted
    assert (found.alias and found.alias.name) == alias


@pytest.mark.parametrize(
    "name",
    ["nobody", "off:1", "off-alias", "gone:1", "SAME", "qwen3", "qwen3:8b@sha256:00", "openai/x",
     "gpt-oss:120b-cloud:local", "far:1:local", "x" * 700, "a\x00b", "\u202egpt",
     "library/library/llama3.2"],
)  # fmt: skip
def test_a_name_that_means_nothing_is_404(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        routing.resolve(name, INDEX)

    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    assert caught.value.param == "model"
    assert caught.value.message.isprintable()


def test_unknown_disabled_and_unavailable_sound_the_same() -> None:
    texts = set()
    for name in ("nobody", "off:1", "gone:1"):
        with pytest.raises(ModelNotFound) as caught:
            routing.resolve(name, INDEX)
        texts.add(caught.value.message.replace(name, "X"))

    assert len(texts) == 1


@pytest.mark.parametrize(
    ("name", "code"),
    [(None, "missing_required_parameter"), ("", "missing_required_parameter"),
     ("  ", "missing_required_parameter"), (5, "invalid_type"), (["x"], "invalid_type")],
)  # fmt: skip
def test_a_model_must_be_named(name: Any, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        routing.resolve(name, INDEX)

    assert (caught.value.code, caught.value.param) == (code, "model")


def test_the_fallback_stands_in_for_unknown_names_only() -> None:
    assert routing.resolve("nobody", INDEX, " Qwen three ").model == QWEN
    assert routing.resolve("llama3.2", INDEX, "Qwen three").model == LLAMA
    with pytest.raises(ModelNotFound):
        routing.resolve("nobody", INDEX, "off:1")
    with pytest.raises(InvalidRequest):
        routing.resolve("", INDEX, "Qwen three")


def test_cloud_models_can_be_left_out() -> None:
    index = Index(ALL, allow_cloud=False)

    for name in ("gpt-oss:120b-cloud", "far:1"):
        with pytest.raises(ModelNotFound):
            routing.resolve(name, index)
    assert {one.id for one in index.models} == {1, 2, 3, 4, 5}


def test_an_alias_of_two_models_means_neither() -> None:
    index = Index([model("a:1", id=1, aliases=("x",)), model("b:1", id=2, aliases=("x",))])

    with pytest.raises(ModelNotFound):
        routing.resolve("x", index)


def test_two_spellings_of_one_original_are_ambiguous() -> None:
    index = Index([model("A:1", id=1, display_name="p"), model("a:1", id=2, display_name="q")])

    assert routing.resolve("a:1", index).model.id == 2
    with pytest.raises(ModelNotFound):
        routing.resolve("registry.ollama.ai/library/a:1", index)


def test_a_display_name_comes_before_an_alias() -> None:
    index = Index([model("a:1", id=1, aliases=(Alias("b"),)), model("b:1", id=2, display_name="b")])

    assert routing.resolve("b", index).model.id == 2


CASES = st.sampled_from([str, str.upper, str.lower, str.title])
AFFIXES = st.sampled_from(
    ["{}", " {} ", "library/{}", "registry.ollama.ai/library/{}",
     "https://registry.ollama.ai/library/{}", "{}:latest",
     "http://registry.ollama.ai/library/{}", "{}:local", "ollama/{}", "{}\u00a0", "\u3000{}",
     "{}:cloud", "{}-cloud", "me/{}", "{}@sha256:00", "ollama.com/library/{}"]
)  # fmt: skip


@given(st.sampled_from(["llama3.2", "llama3.2:latest", "qwen3:8b", "gpt-oss:120b-cloud"]),
       st.lists(AFFIXES, max_size=2), CASES)  # fmt: skip
def test_no_spelling_reaches_a_model_ollama_would_not_take_it_for(
    name: str, affixes: list[str], case: Any
) -> None:
    for affix in affixes:
        name = affix.format(name)
    found = INDEX.find(case(name).strip())
    if found is None or found.alias is not None:
        return

    wanted = case(name).strip()
    for prefix in routing.PREFIXES:
        if wanted.lower().startswith(prefix):
            wanted = wanted[len(prefix) :]
    base, source = ollama_names.split_source(wanted.partition("://")[2] or wanted)
    if source == "local":
        assert not found.model.name.endswith("-cloud")
    wanted_key = ollama_names.name_key(wanted.partition("://")[2] or wanted)
    # Some clients add `:latest` to every name, so it may stand behind any of ours too (step 4).
    shown = names.without_latest(wanted)
    keys = {wanted_key, ollama_names.name_key(base), ollama_names.name_key(shown)}
    assert ollama_names.name_key(found.model.name) in keys
