"""Which images, sounds and files reach the model, and what becomes of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.chat import ChatRequest, CompletionRequest, Media, Message, Unreadable
from gateway.errors import CapabilityMissing, InvalidRequest
from gateway.policy import media
from gateway.schemas.settings import RuntimeSettings
from tests.policy.values import chat, model

A, U = Message("assistant", "yo"), Message("user", "hi")
RESULT = Message("tool", "done")
IMAGE = Media("image", "QQ==", param="messages[0].content[1].image_url")
SOUND = Media("audio", "QQ==", param="messages[0].content[1].input_audio")
BROKEN = Unreadable(InvalidRequest("broken", param="p"), "[image omitted]", "messages[0]:image")
BLIND = model("m:1", display_name="Em", capabilities="completion")
SEEING = model("m:1", capabilities="completion vision audio")


def settle(
    *messages: Message, of: Any = SEEING, **settings: Any
) -> tuple[list[Message], list[str]]:
    request, left_out = media.settle(chat(*messages), of, RuntimeSettings(**settings))
    assert isinstance(request, ChatRequest)
    return list(request.messages), list(left_out)


NEWEST = {
    "one user turn": ((U,), 0),
    "after the assistant": ((U, A, U), 2),
    "two user turns": ((U, A, U, U), 2),
    "after a tool result": ((U, A, RESULT, U), 4),
    "the assistant last": ((U, A), 2),
    "a reminder last": ((U, A, U, Message("system", "s")), 2),
}


@pytest.mark.parametrize(("messages", "at"), NEWEST.values(), ids=NEWEST)
def test_the_newest_turn_is_the_users_own(messages: tuple[Message, ...], at: int) -> None:
    assert media.newest_turn(messages) == at


UNUSABLE: dict[str, tuple[Message, Any, dict[str, Any], str, str | None, str]] = {
    "image": (Message("user", "see", media=(IMAGE,)), BLIND, {}, "vision_not_supported",
              "messages", "[image omitted: this model cannot see images]"),
    "sound": (Message("user", "see", media=(SOUND,)), BLIND, {}, "audio_not_supported",
              "messages", "[audio omitted: this model cannot hear sounds]"),
    "large": (Message("user", "see", media=(replace(IMAGE, data="A" * 2_000_000),)), SEEING,
              {"max_image_mb": 1}, "image_too_large", IMAGE.param,
              "[image omitted: larger than 1 MB]"),
    "broken": (Message("user", "see", unreadable=(BROKEN,)), SEEING, {}, "invalid_value", "p",
               "[image omitted]"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("turn", "of", "settings", "code", "param", "note"), UNUSABLE.values(), ids=UNUSABLE
)
class TestUnusable:
    def test_in_the_newest_turn_is_refused(
        self, turn: Message, of: Any, settings: Any, code: str, param: str, note: str
    ) -> None:
        with pytest.raises(InvalidRequest) as caught:
            settle(A, turn, of=of, **settings)

        assert (caught.value.code, caught.value.param) == (code, param)

    @pytest.mark.parametrize("after", [(A, U), (A,)], ids=["two turns later", "answered"])
    def test_in_history_becomes_a_note(
        self, after: Any, turn: Message, of: Any, settings: Any, code: str, param: str, note: str
    ) -> None:
        messages, left_out = settle(turn, *after, of=of, **settings)

        assert messages == [Message("user", f"see\n{note}"), *after]
        assert len(left_out) == 1

    def test_in_a_tool_result_becomes_a_note(
        self, turn: Message, of: Any, settings: Any, code: str, param: str, note: str
    ) -> None:
        messages, left_out = settle(U, A, replace(turn, role="tool"), of=of, **settings)

        assert messages[2] == Message("tool", f"see\n{note}")
        assert len(left_out) == 1

    def test_beside_a_tool_result_becomes_a_note(
        self, turn: Message, of: Any, settings: Any, code: str, param: str, note: str
    ) -> None:
        messages, _ = settle(U, A, RESULT, turn, of=of, **settings)

        assert messages[3] == Message("user", f"see\n{note}")

    def test_of_the_assistant_leaves_no_words_it_did_not_write(
        self, turn: Message, of: Any, settings: Any, code: str, param: str, note: str
    ) -> None:
        messages, left_out = settle(U, replace(turn, role="assistant"), U, of=of, **settings)

        assert messages[1] == Message("assistant", "see")
        assert len(left_out) == 1


def test_a_refusal_begins_with_the_words_agents_know() -> None:
    with pytest.raises(CapabilityMissing) as caught:
        settle(Message("user", media=(IMAGE,)), of=BLIND)

    assert caught.value.message == "Could not process image: the model 'Em' cannot see images."


def test_of_too_many_images_the_newest_are_kept() -> None:
    shots = [Message("user", f"{n}", media=(replace(IMAGE, data=f"{n}"),)) for n in range(5)]
    turns = [turn for shot in shots for turn in (shot, A)]

    messages, left_out = settle(*turns, max_images=2)

    assert [item.data for message in messages for item in message.media] == ["3", "4"]
    assert messages[0].content == "0\n[image omitted: only the newest 2 are kept]"
    assert len(left_out) == 3


def test_images_that_cannot_be_used_take_no_place_of_others() -> None:
    shots = [replace(IMAGE, data=data) for data in ("1", "2", "A" * 2_000_000)]
    turns = [turn for shot in shots for turn in (Message("user", media=(shot,)), A)]

    messages, left_out = settle(*turns, max_images=2, max_image_mb=1)

    assert [item.data for message in messages for item in message.media] == ["1", "2"]
    assert len(left_out) == 1


def test_too_many_in_the_newest_turn_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="holds 3 images; at most 2"):
        settle(U, A, Message("user", media=(IMAGE,) * 3), max_images=2)


def test_a_turn_of_which_nothing_is_left_is_left_out() -> None:
    unknown = Message("user", unreadable=(replace(BROKEN, note=""),))

    assert settle(U, unknown, A, U) == ([U, A, U], ["messages[0]:image"])


def test_what_is_not_known_to_be_missing_is_sent() -> None:
    turn = Message("user", media=(IMAGE, SOUND))

    assert settle(turn, of=model("m:1")) == ([turn], [])


@pytest.mark.parametrize(
    ("of", "most", "code"), [(BLIND, 9, "vision_not_supported"), (SEEING, 0, "invalid_value")]
)
def test_a_completion_has_no_history(of: Any, most: int, code: str) -> None:
    request = CompletionRequest("m", ("p",), media=(Media("image", "QQ==", param="images[0]"),))

    with pytest.raises(InvalidRequest) as caught:
        media.settle(request, of, RuntimeSettings(max_images=most))

    assert caught.value.code == code


GONE = Media("image", url="https://a.example/gone.png", param="messages[0].content[0].image_url")


def gone(item: Media) -> str:
    raise InvalidRequest("404", param=item.param, code="failed_to_download_image")


def test_an_address_that_is_gone_does_not_end_a_conversation() -> None:
    request = chat(Message("user", "see", media=(GONE,)), A, U)

    filled, left_out = media.fill(request, gone)

    assert isinstance(filled, ChatRequest)
    note = "[image omitted: it could not be fetched]"
    assert filled.messages == (Message("user", f"see\n{note}"), A, U)
    assert left_out == (GONE.param,)


def test_an_address_in_the_newest_turn_must_be_there() -> None:
    with pytest.raises(InvalidRequest):
        media.fill(chat(U, A, Message("user", media=(GONE,))), gone)


def test_a_picture_is_loaded_in_any_turn() -> None:
    filled, left_out = media.fill(chat(Message("user", media=(GONE,)), A, U), lambda item: "QQ==")

    assert [item.data for item in media.all_media(filled)] == ["QQ=="]
    assert left_out == ()
