"""What is known about a call before it is admitted."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from gateway.calls.prepare import PreparedCall, Preparer
from gateway.core.chat import Call, ChatRequest, Media, Message
from gateway.policy.estimate import Factors
from gateway.schemas.key import Key
from gateway.schemas.settings import RuntimeSettings
from tests.policy.values import model


def prepared(*media: Media) -> PreparedCall:
    request = ChatRequest("llama3.2", (Message("user", "Read this:", media=media),))
    key = Key(1, "k", "sk-")
    return PreparedCall(Call(request), key, model("llama3.2"), request, 10, 10, reservation=110)


def preparer(text: str) -> Preparer:
    """Return a preparer for whom every file holds this text."""

    def fetch_all(request: ChatRequest) -> tuple[ChatRequest, tuple[str, ...]]:
        if not request.messages[0].media:
            return request, ()
        message = replace(request.messages[0], content=text, media=())
        return replace(request, messages=(message,)), ()

    fetcher: Any = SimpleNamespace(fetch_all=fetch_all)
    catalog: Any = None
    return Preparer(RuntimeSettings, catalog, Factors(), fetcher)


def test_the_text_of_a_fetched_file_counts() -> None:
    before = prepared(Media("file", url="http://files/tides.txt"))
    after = preparer("low tide at six " * 1_200)._fetch_media(before)

    assert sum(after.size.units) > 2_000
    assert after.estimate > 2_500
    assert after.reservation - after.estimate == 100  # what the answer may take stays


def test_a_request_without_links_is_left_alone() -> None:
    before = prepared()

    assert preparer("")._fetch_media(before) is before
