"""Lines of Ollama's own API: what golden files and comparisons with the fake do not show."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.core.events import Failed, Finish, Ping, TextDelta, ThinkingDelta, Usage
from gateway.dialects import API_CHAT, API_EMBED, API_EMBEDDINGS, API_GENERATE
from gateway.dialects.base import Dialect
from gateway.errors import GatewayError, UpstreamError
from tests.dialects.making import envelope, reading

MESSAGES = [{"role": "user", "content": "Hi"}]
ANSWERING = {
    "chat": (API_CHAT, {"model": "m", "messages": MESSAGES}),
    "generate": (API_GENERATE, {"model": "m", "prompt": "Hi"}),
}
SAID_NOTHING = {
    "chat": {"message": {"role": "assistant", "content": ""}},
    "generate": {"response": ""},
}


def lines(dialect: Dialect, body: dict[str, Any], *events: Any, **around: Any) -> list[Any]:
    """Return the lines of an answer, without their heads."""
    writer = dialect.writer(envelope(dialect.parse(body, reading()), **around))
    found = [orjson.loads(line) for line in writer.write((0, events)).splitlines()]
    for line in found:
        line.pop("model", None), line.pop("created_at", None)
    return found


@pytest.mark.parametrize("name", ANSWERING)
@pytest.mark.parametrize(
    ("setting", "count"), [("comments_and_chunks", 1), ("comments", 0), ("off", 0)]
)
def test_a_long_wait_is_a_line_that_says_nothing(name: str, setting: Any, count: int) -> None:
    dialect, body = ANSWERING[name]

    found = lines(dialect, body, Ping(), sse_keepalive=setting)

    assert found == [{**SAID_NOTHING[name], "done": False}] * count


@pytest.mark.parametrize("name", ANSWERING)
def test_nothing_follows_an_end_or_a_failure(name: str) -> None:
    dialect, body = ANSWERING[name]
    late = TextDelta("late")

    (end,) = lines(dialect, body, Finish("stop_sequence", Usage(3, 4)), late)
    failed = lines(dialect, body, Failed(UpstreamError("It broke.")), late)

    assert end == {
        **SAID_NOTHING[name],
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 3,
        "eval_count": 4,
    }
    assert failed == [{"error": "It broke."}]


@pytest.mark.parametrize("name", ANSWERING)
def test_half_a_character_does_not_break_a_line(name: str) -> None:
    dialect, body = ANSWERING[name]

    found = lines(dialect, body, TextDelta("a\ud83e"), ThinkingDelta("b\ud83e"))

    assert "a\ufffd" in str(found[0])
    assert "b\ufffd" in str(found[1])


@pytest.mark.parametrize("keep_alive", [0, 0.0, "0", "0s", "0h0m0s", "-0s", " 0 "])
@pytest.mark.parametrize("dialect", [API_CHAT, API_GENERATE, API_EMBED, API_EMBEDDINGS],
                         ids=lambda dialect: dialect.name)  # fmt: skip
def test_a_model_is_unloaded_by_no_key(dialect: Any, keep_alive: Any) -> None:
    with pytest.raises(GatewayError) as refused:
        dialect.parse({"model": "m", "keep_alive": keep_alive}, reading())

    assert refused.value.status in (400, 403)


SOUNDS = {"wav": "UklGRiQAAABXQVZF", "mp3 with a tag": "SUQzBAAAAAAA", "mp3": "//uQZAAAAAAA"}


@pytest.mark.parametrize("sound", SOUNDS.values(), ids=SOUNDS)
def test_a_sound_among_the_images_is_a_sound(sound: str) -> None:
    body = {"model": "m", "messages": [{**MESSAGES[0], "images": [sound]}]}

    (media,) = API_CHAT.parse(body, reading()).request.messages[0].media

    assert media.kind == "audio"
