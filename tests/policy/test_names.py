"""Names as Ollama reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_ollama import names as ollama_names
from gateway.policy import names
from gateway.policy.names import Name

PARSED: list[tuple[str, Name]] = [
    ("llama3", Name("registry.ollama.ai", "library", "llama3", "latest")),
    ("llama3:8b", Name("registry.ollama.ai", "library", "llama3", "8b")),
    ("me/llama3", Name("registry.ollama.ai", "me", "llama3", "latest")),
    ("hf.co/u/m-GGUF:Q4_K_M", Name("hf.co", "u", "m-GGUF", "Q4_K_M")),
    ("localhost:5000/u/m", Name("localhost:5000", "u", "m", "latest")),
    ("https://registry.ollama.ai/library/llama3",
     Name("registry.ollama.ai", "library", "llama3", "latest")),
    ("_x:_y", Name("registry.ollama.ai", "library", "_x", "_y")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name"), PARSED)
def test_a_name_is_parsed_with_its_defaults(text: str, name: Name) -> None:
    assert names.parse_name(text) == name


@pytest.mark.parametrize(
    "text",
    ["", " ", "a b", "a!", "m@sha256:abc", "/m", "m:", ":x", "a//b", "é", "ｌｌａｍａ", "a\u00a0",
     "-m", ".m", "m:-x", "a/b/c/d", "x" * 81, "x" * 700, "a.b/c"],
)  # fmt: skip
def test_what_is_no_name_is_none(text: str) -> None:
    assert names.parse_name(text) is None


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("Llama3", "Llama3:latest"),
        ("library/llama3:8b", "llama3:8b"),
        ("Registry.Ollama.ai/LIBRARY/llama3", "llama3:latest"),
        ("me/m", "me/m:latest"),
        ("hf.co/library/m:Q4", "hf.co/library/m:Q4"),
    ],
)
def test_the_short_form_is_that_of_the_lists(text: str, short: str) -> None:
    name = names.parse_name(text)

    assert name is not None
    assert name.short == short


@given(st.from_regex(r"\A([a-zA-Z0-9_.:/@-]|https://){0,40}\Z"))
def test_names_agree_with_the_fake_ollama(text: str) -> None:
    ours, theirs = names.parse_name(text), ollama_names.parse_name(text)

    if "://" in text:
        return  # the fake serves requests, in which Ollama refuses a scheme
    assert (ours is None) == (theirs is None)
    if ours is not None and theirs is not None:
        assert (ours.key, ours.short.lower()) == (theirs.key, theirs.short.lower())


@pytest.mark.parametrize(
    ("text", "cloud"),
    [("m:cloud", True), ("m:120b-cloud", True), ("m:120B-Cloud", True), ("m-cloud", False),
     ("cloud", False), ("m:cloudy", False), ("no name!", False)],
)  # fmt: skip
def test_cloud_names_are_known(text: str, cloud: bool) -> None:
    assert names.is_cloud(text) is cloud


@pytest.mark.parametrize(
    ("text", "tagless", "tagged"),
    [("m", "m", False), ("m:latest", "m", True), ("m:LATEST", "m", True), ("m:8b", "m:8b", True),
     ("host:5000/u/m", "host:5000/u/m", False)],
)  # fmt: skip
def test_tags_are_seen(text: str, tagless: str, tagged: bool) -> None:
    assert (names.without_latest(text), names.has_tag(text)) == (tagless, tagged)


def test_an_invalid_name_is_compared_as_it_is() -> None:
    assert names.key_of("A b") == "a b"
    assert names.key_of("A") == "registry.ollama.ai/library/a:latest"


MATCHES: list[tuple[str, str, bool]] = [
    ("*", "", True),
    ("*", "anything", True),
    ("abc", "ABC", True),
    ("abc", "abcd", False),
    ("a*", "abc", True),
    ("a*", "bac", False),
    ("*c", "abc", True),
    ("*c", "cb", False),
    ("a*c", "abc", True),
    ("a*c", "ac", True),
    ("a*c", "acb", False),
    ("aa*aa", "aaa", False),
    ("*b*", "abc", True),
    ("*haiku*", "claude-3-haiku-2", True),
    ("a*b*c", "aXbXc", True),
    ("a*b*c", "aXcXb", False),
    ("a**c", "abc", True),
    ("a?c", "abc", False),
    ("[a]*", "abc", False),
    ("a.c", "abc", False),
]


@pytest.mark.parametrize(("pattern", "text", "fits"), MATCHES)
def test_a_star_stands_for_anything(pattern: str, text: str, fits: bool) -> None:
    assert names.matches(pattern, text) is fits


def test_case_can_matter() -> None:
    assert names.matches("GPT-*", "gpt-4")
    assert not names.matches("GPT-*", "gpt-4", case=True)


@given(st.lists(st.sampled_from(["a", "b", "*"]), max_size=8), st.text("ab", max_size=10))
def test_patterns_mean_what_a_regular_expression_would(parts: list[str], text: str) -> None:
    import re

    pattern = "".join(parts)
    expression = "".join(".*" if part == "*" else part for part in parts)

    assert names.matches(pattern, text) is (re.fullmatch(expression, text) is not None)
