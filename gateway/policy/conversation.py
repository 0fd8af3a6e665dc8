"""Puts a conversation into an order that every chat template takes; nothing of it is lost.

Templates differ in what they refuse: some raise unless the only system turn comes first, some
unless user and assistant alternate, some without any user turn; others lose a second system turn
without a word. So what goes to Ollama is:

    system      at most one turn, the first; system turns at the start are joined
    reminders   system turns further on stay where they are, inside the user or tool turn before
                them or the user turn after them: the prompt cache of what stands before holds (D40)
    turns       neighbours of one role become one turn
    user        a conversation without any user turn sends its system turn as the user's
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from gateway.core.chat import Media, Message, Role

_REMINDER = "<system-reminder>"
_FILLERS: Mapping[Role, str] = {"user": ".", "assistant": "OK."}


def ordered(messages: tuple[Message, ...], hoist: bool = False) -> tuple[Message, ...]:
    """Return the conversation with one leading system turn and no neighbours of one role.

    With `hoist`, later system turns join the first one instead of staying as reminders. Texts of
    joined turns are apart by a line; a turn of the assistant at the very end, which the model is to
    continue, is joined without a gap.
    """
    if _is_ordered(messages):
        return messages
    system: list[Message] = []
    turns: list[Message] = []
    reminders: list[str] = []
    for message in (*messages, None):
        if message is not None and message.role == "system":
            text = message.content
            if hoist or not turns:
                system.append(message)
            elif text.strip():
                is_marked = text.lstrip().startswith(_REMINDER)
                reminders.append(text if is_marked else f"{_REMINDER}\n{text}\n</system-reminder>")
            continue
        if reminders and turns[-1].role != "assistant":
            turns[-1] = _with_texts(turns[-1], reminders)
        elif reminders and message is not None and message.role == "tool":
            # A turn between a call and its result would part them.
            message = _with_texts(message, reminders)
        else:
            turns += [Message("user", text) for text in reminders]
        reminders = []
        if message is not None:
            turns.append(message)
    return (*_joined(system, "\n\n"), *_without_neighbours(turns))


def with_user_turn(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the conversation with its system turn as the user's where no other user turn is."""
    if not messages or messages[0].role != "system" or any(m.role == "user" for m in messages):
        return messages
    return (replace(messages[0], role="user"), *messages[1:])


def alternating(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the conversation with a short turn wherever user and assistant do not alternate."""
    turns: list[Message] = []
    expected: Role = "user"
    for message in messages:
        if message.role == "user" or (message.role == "assistant" and not message.tool_calls):
            if message.role != expected:
                turns.append(Message(expected, _FILLERS[expected]))
            expected = "assistant" if message.role == "user" else "user"
        turns.append(message)
    return tuple(turns)


def _is_ordered(messages: Sequence[Message]) -> bool:
    return not any(
        after.role == "system" or _are_one(before, after) for before, after in pairwise(messages)
    )


def _are_one(before: Message, after: Message) -> bool:
    """Whether two neighbours are one turn: results of tools stay apart, and so does what follows a
    call that nobody answered."""
    return before.role == after.role != "tool" and not before.tool_calls


def _without_neighbours(turns: Sequence[Message]) -> list[Message]:
    runs: list[list[Message]] = []
    for turn in turns:
        if runs and _are_one(runs[-1][-1], turn):
            runs[-1].append(turn)
        else:
            runs.append([turn])
    joined: list[Message] = []
    for run in runs:
        is_prefill = run is runs[-1] and run[0].role == "assistant"
        joined += _joined(run, "" if is_prefill else "\n")
    return joined


def _joined(turns: Sequence[Message], gap: str) -> list[Message]:
    """Return several turns of one role as one turn, none as none."""
    if len(turns) < 2:
        return list(turns)
    texts: list[str] = []
    length = 0
    media: list[Media] = []
    for turn in turns:
        begin = length + len(gap) if texts and turn.content else length
        media += [replace(item, at=begin + item.at if item.at else length) for item in turn.media]
        if turn.content:
            texts.append(turn.content)
            length = begin + len(turn.content)
    changed = replace(
        turns[0],
        content=gap.join(texts),
        thinking="\n".join(filter(None, (turn.thinking for turn in turns))),
        media=tuple(media),
        tool_calls=tuple(call for turn in turns for call in turn.tool_calls),
    )
    return [changed]


def _with_texts(turn: Message, texts: Sequence[str]) -> Message:
    return replace(turn, content="\n".join(filter(None, (turn.content, *texts))))
