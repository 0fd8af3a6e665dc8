"""The form of our secrets: random, checksummed, and never shown whole again."""

from __future__ import annotations

import re
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.secrets import (
    KEY_PREFIX,
    TOKEN_PREFIX,
    digest,
    is_well_formed,
    new_secret,
    shown_end,
    shown_prefix,
)


@given(st.binary(min_size=32, max_size=32), st.sampled_from([KEY_PREFIX, TOKEN_PREFIX]))
def test_a_new_secret_is_well_formed(noise: bytes, prefix: str) -> None:
    secret = new_secret(prefix, lambda count: noise)

    assert re.fullmatch(re.escape(prefix) + "[0-9A-Za-z]{49}", secret)
    assert is_well_formed(secret, prefix)


@given(st.integers(7, 55), st.sampled_from("0Aa9Zz"))
def test_a_changed_character_is_noticed(place: int, other: str) -> None:
    secret = new_secret(KEY_PREFIX, secrets.token_bytes)
    changed = secret[:place] + other + secret[place + 1 :]

    assert changed == secret or not is_well_formed(changed, KEY_PREFIX)


@pytest.mark.parametrize("text", ["", "sk-o2a-", "sk-o2a-" + "é" * 49, "sk-o2a-" + "\0" * 49])
def test_other_texts_are_not(text: str) -> None:
    assert not is_well_formed(text, KEY_PREFIX)


def test_what_is_shown_does_not_give_the_secret_away() -> None:
    secret = new_secret(KEY_PREFIX, secrets.token_bytes)

    assert (shown_prefix(secret), shown_end(secret)) == (secret[:9], secret[-4:])
    for foreign in ("abcdefgh", "sk-0123456789abcdef0123456789abcdef"):
        shown = shown_prefix(foreign) + shown_end(foreign)
        assert len(shown) <= len(foreign) / 2


def test_digests_differ_and_have_32_bytes() -> None:
    assert digest("a") != digest("b")
    assert len(digest("漢\ud800")) == 32
