"""Official SDK clients before a real gateway."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.support.process import Gateway

TIMEOUT_S = 20.0


@pytest.fixture
def client(live: Gateway) -> Iterator[openai.OpenAI]:
    """openai-python, without retries, so that each error is seen once."""
    with openai.OpenAI(
        base_url=f"{live.url}/v1", api_key=live.key, max_retries=0, timeout=TIMEOUT_S
    ) as made:
        yield made


@pytest.fixture
def claude(live: Gateway) -> Iterator[anthropic.Anthropic]:
    """anthropic-python, without retries."""
    with anthropic.Anthropic(
        base_url=live.url, api_key=live.key, max_retries=0, timeout=TIMEOUT_S
    ) as made:
        yield made


@pytest.fixture(scope="module")
def untidy() -> Iterator[None]:
    """Collect what frameworks leave open at the end of their own tests, not in somebody else's."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
