"""Roles of models: which names ask for one, what a key answers them with, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import Forbidden, InvalidFields, ModelNotFound
from gateway.policy import roles
from gateway.policy.routing import Index
from tests.policy.values import key, model

BIG = model("qwen3:32b", id=1, aliases=("thinker", "claude-*"))
SMALL = model("qwen3:4b", id=2, display_name="Small one")
WRITER = model("haiku-writer:7b", id=3)
OFF = model("off:1", id=4, enabled=False)
INDEX = Index((BIG, SMALL, WRITER, OFF))

NAMES = [
    ("claude-opus-4-1-20250805", "opus"),
    ("claude-3-5-haiku-20241022", "haiku"),
    ("anthropic/claude-sonnet-4-5", "sonnet"),
    ("Claude-Sonnet-4", "sonnet"),
    ("opus", "opus"),
    ("claude-opus-4-8[1m]", "opus"),
    ("small-fast", "small_fast"),
    ("SMALL_FAST", "small_fast"),
    ("sub-agent:latest", "sub_agent"),
    ("my_sub_agent", "sub_agent"),
    ("magnum-opus", "opus"),
    ("opusculum", None),
    ("haiku4", None),
    ("smallfast", None),
    ("qwen3:4b", None),
    ("x" * 700 + "-opus", None),
]


def test_a_role_is_a_word_of_the_name() -> None:
    found = [(name, roles.role_of(name)) for name, _ in NAMES]

    assert found == NAMES


RESOLVED: list[tuple[str, dict[str, Any], str, str]] = [
    ("the key's model before a pattern", {"opus_model": "qwen3:4b"}, "claude-opus-4", "qwen3:4b"),
    ("a pattern where the key has none", {"haiku_model": "qwen3:4b"}, "claude-opus-4", "qwen3:32b"),
    ("haiku for small-fast", {"haiku_model": "qwen3:4b"}, "small-fast", "qwen3:4b"),
    ("small-fast for haiku", {"small_fast_model": "qwen3:4b"}, "claude-haiku-4-5", "qwen3:4b"),
    (
        "its own where both are there",
        {"haiku_model": "qwen3:4b", "small_fast_model": "thinker"},
        "small_fast",
        "qwen3:32b",
    ),
    ("a sub-agent", {"sub_agent_model": "qwen3:4b"}, "sub_agent", "qwen3:4b"),
    ("a display name, in any case", {"opus_model": "SMALL ONE"}, "opus", "qwen3:4b"),
    ("a model of that name", {"haiku_model": "qwen3:4b"}, "Haiku-Writer:7B", "haiku-writer:7b"),
    ("one that is switched off", {"opus_model": "off:1"}, "claude-opus-4", "qwen3:32b"),
    ("one that is gone", {"opus_model": "gone:1"}, "claude-opus-4", "qwen3:32b"),
    (
        "one that the key may not use",
        {"opus_model": "qwen3:4b", "deny": ("qwen3:4b",)},
        "claude-opus-4",
        "qwen3:32b",
    ),
    (
        "the other role where its own is gone",
        {"haiku_model": "gone:1", "small_fast_model": "qwen3:4b"},
        "claude-haiku-4-5",
        "qwen3:4b",
    ),
    ("white space", {"opus_model": "qwen3:4b"}, " opus\n", "qwen3:4b"),
    ("no role", {"opus_model": "qwen3:4b"}, "thinker", "qwen3:32b"),
]


@pytest.mark.parametrize(("fields", "name", "wanted"), [row[1:] for row in RESOLVED],
                         ids=[row[0] for row in RESOLVED])  # fmt: skip
def test_a_role_goes_to_the_model_of_the_key(
    fields: dict[str, Any], name: str, wanted: str
) -> None:
    assert roles.resolve(name, key(**fields), INDEX).model.name == wanted


def test_the_alias_of_a_role_keeps_its_override() -> None:
    found = roles.resolve("opus", key(opus_model="thinker"), INDEX)

    assert found.alias is not None
    assert found.alias.name == "thinker"


def test_a_name_is_refused_as_ever_where_the_key_has_no_model_for_its_role() -> None:
    with pytest.raises(ModelNotFound):
        roles.resolve("haiku", key(opus_model="qwen3:4b"), INDEX)
    with pytest.raises(Forbidden):
        roles.resolve("claude-opus-4", key(allow=("qwen3:4b",)), INDEX)


def test_the_fallback_model_of_the_settings_comes_last() -> None:
    rights = key(opus_model="qwen3:4b")

    assert roles.resolve("opus", rights, INDEX, "thinker").model is SMALL
    assert roles.resolve("sonnet", rights, INDEX, "thinker").model is BIG


def test_models_that_cannot_be_called_are_told() -> None:
    rights = key(
        allow=("qwen3:4b", "off:1"), opus_model="thinker", haiku_model="qwen3:4b",
        small_fast_model="off:1", sub_agent_model="gone:1",
    )  # fmt: skip

    assert roles.ignored(rights, INDEX) == ("opus", "small_fast", "sub_agent")
    assert roles.answered(key(haiku_model="qwen3:4b")) == ("haiku", "small_fast")


def test_a_saved_role_names_its_model_so_that_a_new_display_name_does_no_harm() -> None:
    rights = key(opus_model="small ONE", haiku_model="Thinker", sonnet_model="off:1")
    settled = roles.settled(rights, ("opus", "haiku", "sonnet"), (*INDEX.models, OFF))

    assert (settled.opus_model, settled.haiku_model) == ("qwen3:4b", "thinker")
    assert settled.sonnet_model == "off:1"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"opus_model": "gone:1"}, "'opus_model' names a model that does not exist."),
    ({"opus_model": "claude-x"}, "'opus_model' names a model that does not exist."),
    (
        {"opus_model": "qwen3:4b", "allow": ("qwen3:32b",)},
        "'opus_model' names a model that this key may not use.",
    ),
]


@pytest.mark.parametrize(("fields", "sentence"), REFUSED)
def test_a_model_that_could_not_answer_is_refused_with_its_field(
    fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidFields) as caught:
        roles.settled(key(**fields), ("opus",), INDEX.models)

    assert caught.value.message == sentence
    assert caught.value.param == "opus_model"


def test_only_what_a_change_names_is_looked_at() -> None:
    before = key(opus_model="gone:1", haiku_model="qwen3:4b")
    fewer = key(opus_model="gone:1", haiku_model="qwen3:4b", allow=("thinker",))
    other = key(opus_model="thinker", haiku_model="")
    every = {f"{role}_model" for role in roles.ROLES}

    assert roles.to_settle(before, before, every) == ()
    assert roles.to_settle(before, other, every) == ("opus",)
    assert roles.to_settle(before, fewer, {"allow"}) == ()
    assert roles.to_settle(before, fewer, every | {"allow"}) == ("opus", "haiku")


NEAR = model("llama3.2:latest", id=11)
NEAR_TOO = model("llama3.2:1b", id=12)
FAR = model("qwen3:8b", id=13, display_name="Qwen three")
SIMILAR: list[tuple[str, dict[str, Any], str]] = [
    ("lama3.2", {}, " Did you mean 'llama3.2' or 'llama3.2:1b'?"),
    ("LAMA3.2:latest", {"allow": ("llama3.2",)}, " Did you mean 'llama3.2'?"),
    ("qwen-three", {}, " Did you mean 'Qwen three'?"),
    ("lama3.2", {"allow": ("Qwen three",)}, ""),
    ("gpt-4o", {}, ""),
    ("l" * 100, {}, ""),
]


def test_an_unknown_name_is_answered_with_similar_ones_of_the_key() -> None:
    for name, rules, told in SIMILAR:
        with pytest.raises(ModelNotFound) as caught:
            roles.resolve(name, key(**rules), Index((NEAR, NEAR_TOO, FAR)))

        assert caught.value.message.endswith(f"not available here.{told}"), name
