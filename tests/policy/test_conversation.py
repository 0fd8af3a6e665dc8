"""Conversations in the order that every chat template takes."""

from __future__ import annotations

import pytest

from gateway.core.chat import Media, Message, ToolCall
from gateway.policy.conversation import alternating, ordered, with_user_turn

S, U, A = Message("system", "be kind"), Message("user", "hi"), Message("assistant", "yo")
LATE = Message("system", "be short")
NOTE = "<system-reminder>\nbe short\n</system-reminder>"
CALLING = Message("assistant", tool_calls=(ToolCall("1", "ls", {}),))
RESULT = Message("tool", "a.txt", tool_call_id="1", tool_name="ls")

ORDERS: dict[str, tuple[list[Message], list[Message]]] = {
    "plain": ([S, U, A, U], [S, U, A, U]),
    "one system turn alone": ([S], [S]),
    "two system turns first": ([S, LATE, U], [Message("system", "be kind\n\nbe short"), U]),
    "after a user turn": ([U, LATE], [Message("user", f"hi\n{NOTE}")]),
    "after the assistant": ([U, A, LATE], [U, A, Message("user", NOTE)]),
    "between assistant and user": ([U, A, LATE, U], [U, A, Message("user", f"{NOTE}\nhi")]),
    "after a tool result": (
        [U, CALLING, RESULT, LATE],
        [U, CALLING, Message("tool", f"a.txt\n{NOTE}", tool_call_id="1", tool_name="ls")],
    ),
    "between a call and its result": (
        [U, CALLING, LATE, RESULT],
        [U, CALLING, Message("tool", f"a.txt\n{NOTE}", tool_call_id="1", tool_name="ls")],
    ),
    "a reminder already": ([U, Message("system", NOTE)], [Message("user", f"hi\n{NOTE}")]),
    "an empty one": ([U, Message("system", " "), A], [U, A]),
    "two user turns": ([S, U, Message("user", "there")], [S, Message("user", "hi\nthere")]),
    "two assistant turns": ([U, A, A, U], [U, Message("assistant", "yo\nyo"), U]),
    "a turn to continue": ([U, A, A], [U, Message("assistant", "yoyo")]),
    "a call nobody answered": ([U, CALLING, A, U], [U, CALLING, A, U]),
    "two results": ([U, CALLING, RESULT, RESULT], [U, CALLING, RESULT, RESULT]),
}


@pytest.mark.parametrize(("given", "expected"), ORDERS.values(), ids=ORDERS)
def test_an_order_every_template_takes(given: list[Message], expected: list[Message]) -> None:
    assert list(ordered(tuple(given))) == expected


def test_an_ordered_conversation_stays_ordered() -> None:
    for _, expected in ORDERS.values():
        assert list(ordered(tuple(expected))) == expected


def test_later_system_turns_can_join_the_first() -> None:
    assert ordered((S, U, LATE), hoist=True) == (Message("system", "be kind\n\nbe short"), U)


def test_joined_turns_lose_nothing() -> None:
    picture = Media("image", "QQ==")
    file = Media("file", url="https://files.example/a.txt", at=2)
    first = Message("user", "see", media=(picture,))
    second = Message("user", "read", media=(file,))

    (joined,) = ordered((first, second))

    assert joined.content == "see\nread"
    assert joined.media == (picture, Media("file", url=file.url, at=6))


def test_a_file_that_is_all_of_a_turn_stands_between_its_neighbours() -> None:
    file = Media("file", url="https://files.example/a.txt")

    (joined,) = ordered((U, Message("user", media=(file,)), U))

    assert joined.content == "hi\nhi"
    assert [item.at for item in joined.media] == [2]


def test_thinking_and_calls_of_joined_turns_are_kept() -> None:
    thought = Message("assistant", "I look", thinking="hm")

    (_, joined, _) = ordered((U, thought, CALLING, RESULT))

    assert (joined.content, joined.thinking) == ("I look", "hm")
    assert joined.tool_calls == CALLING.tool_calls


NO_USER = {
    "system alone": ((S,), (Message("user", "be kind"),)),
    "system and a turn to continue": ((S, A), (Message("user", "be kind"), A)),
    "with a user": ((S, U), (S, U)),
    "no system": ((A,), (A,)),
    "nothing": ((), ()),
}


@pytest.mark.parametrize(("given", "expected"), NO_USER.values(), ids=NO_USER)
def test_somebody_asks(given: tuple[Message, ...], expected: tuple[Message, ...]) -> None:
    assert with_user_turn(given) == expected


TURNS = {
    "plain": ((S, U, A, U), (S, U, A, U)),
    "a user after a result": (
        (S, U, CALLING, RESULT, U),
        (S, U, CALLING, RESULT, Message("assistant", "OK."), U),
    ),
    "an answer after a result": ((U, CALLING, RESULT, A, U), (U, CALLING, RESULT, A, U)),
    "the assistant first": ((S, A, U), (S, Message("user", "."), A, U)),
}


@pytest.mark.parametrize(("given", "expected"), TURNS.values(), ids=TURNS)
def test_a_turn_stands_in_where_one_is_missing(
    given: tuple[Message, ...], expected: tuple[Message, ...]
) -> None:
    found = alternating(given)

    assert found == expected
    assert alternating(found) == found
