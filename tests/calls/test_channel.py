"""The channel between the producers of a call and the greenlet that writes to the client."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from gateway.calls.channel import MAX_BATCHES, MAX_CHARACTERS, PIECE_CHARACTERS, Channel
from gateway.core.events import Batch, Event, Ping, TextDelta, ThinkingDelta, ToolCallDone
from gateway.errors import ClientGone, GatewayError
from gateway.runtime import tasks
from gateway.runtime.tasks import Task
from tests.calls.places import is_inside, until

BROKEN = GatewayError("broken")
GONE = ClientGone("gone")


def batch(text: str = "x", choice: int = 0) -> Batch:
    return choice, (TextDelta(text),)


def full() -> Channel:
    """Return a channel that takes no more."""
    channel = Channel()
    for number in range(MAX_BATCHES):
        channel.put(batch(str(number)))
    return channel


def waiting(work: Callable[[], Any], function: str) -> Task[Any]:
    """Start work and wait until it waits in a function of the channel."""
    task = tasks.spawn(work)
    until(lambda: is_inside(task, function), function)
    return task


def test_batches_come_out_together_in_their_order() -> None:
    channel = Channel()
    for number in range(3):
        channel.put(batch(str(number), choice=number))

    assert channel.get() == [batch("0", 0), batch("1", 1), batch("2", 2)]
    assert (channel.put_count, channel.taken) == (3, 1)


def test_the_consumer_waits_for_a_batch() -> None:
    channel = Channel()
    consumer = waiting(channel.get, "get")
    assert channel.is_reading

    channel.put(batch())

    assert consumer.wait(10)
    assert consumer.result() == [batch()]
    assert not channel.is_reading


EVENTS: dict[str, Event] = {
    "text": TextDelta("x" * MAX_CHARACTERS),
    "thinking": ThinkingDelta("x" * MAX_CHARACTERS),
    "a call": ToolCallDone("1", "name", "x" * MAX_CHARACTERS),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_it_is_bounded_by_characters(event: Event) -> None:
    channel = Channel()

    channel.put((0, (event,)))

    assert channel.is_full


def test_it_is_bounded_by_batches() -> None:
    channel = full()

    assert channel.is_full
    channel.get()
    assert not channel.is_full


def test_a_producer_waits_for_room() -> None:
    channel = full()
    producer = waiting(lambda: channel.put(batch("last")), "put")
    first = channel.get()

    assert producer.wait(10)
    assert first is not None
    assert len(first) == MAX_BATCHES
    assert channel.get() == [batch("last")]


def test_several_producers_wait_for_room_in_turn() -> None:
    channel = full()
    texts = [str(number) for number in range(3 * MAX_BATCHES)]
    producers = [tasks.spawn(channel.put, batch(text, choice=1)) for text in texts]
    until(lambda: all(is_inside(one, "put") for one in producers), "all producers")
    found: list[Batch] = []
    while len(found) < len(texts) + MAX_BATCHES:
        found += channel.get() or []
        assert len(channel._batches) <= MAX_BATCHES

    assert all(one.wait(10) for one in producers)
    assert {events for _, events in found[MAX_BATCHES:]} == {batch(text)[1] for text in texts}


def test_an_interrupted_producer_puts_nothing() -> None:
    channel = full()
    producer = waiting(lambda: channel.put(batch("last")), "put")

    producer.interrupt("enough")

    assert producer.wait(10)
    assert channel.put_count == MAX_BATCHES


def test_an_interrupted_consumer_reads_no_more() -> None:
    channel = Channel()
    consumer = waiting(channel.get, "get")

    consumer.interrupt("enough")

    assert consumer.wait(10)
    assert not channel.is_reading


# -- the end ---------------------------------------------------------------------------------------


def test_what_was_put_is_read_before_the_end() -> None:
    channel = full()
    channel.finish()

    assert len(channel.get() or []) == MAX_BATCHES
    assert channel.get() is None
    assert channel.get() is None


def test_what_was_put_is_read_before_an_error() -> None:
    channel = full()
    channel.finish(BROKEN)

    assert len(channel.get() or []) == MAX_BATCHES
    for _ in range(2):
        with pytest.raises(GatewayError) as caught:
            channel.get()
        assert caught.value is BROKEN


def test_a_client_that_is_gone_reads_nothing_more() -> None:
    channel = full()
    channel.finish(GONE)

    with pytest.raises(ClientGone):
        channel.get()


ENDS: dict[str, tuple[GatewayError | None, GatewayError | None]] = {
    "well, then an error": (None, BROKEN),
    "an error, then well": (BROKEN, None),
    "two errors": (BROKEN, GONE),
    "gone, then an error": (GONE, BROKEN),
}


@pytest.mark.parametrize(("first", "second"), ENDS.values(), ids=ENDS)
def test_the_first_end_counts(first: GatewayError | None, second: GatewayError | None) -> None:
    channel = Channel()

    channel.finish(first)
    channel.finish(second)

    assert channel.ended
    assert end_of(channel) is first


def test_the_first_end_keeps_what_was_put() -> None:
    channel = full()

    channel.finish(BROKEN)
    channel.finish(GONE)

    assert len(channel.get() or []) == MAX_BATCHES


def test_the_end_never_waits_for_room() -> None:
    channel = full()
    ended = tasks.spawn(channel.finish, BROKEN)

    assert ended.wait(10)
    assert channel.ended


@pytest.mark.parametrize("error", [None, BROKEN, GONE], ids=["well", "error", "gone"])
def test_a_producer_that_waits_for_room_returns_at_the_end(error: GatewayError | None) -> None:
    channel = full()
    producers = [waiting(lambda: channel.put(batch("last")), "put") for _ in range(3)]

    channel.finish(error)

    assert all(producer.wait(10) for producer in producers)
    assert channel.put_count == MAX_BATCHES


def test_a_consumer_that_waits_learns_of_the_end() -> None:
    channel = Channel()
    consumer = waiting(channel.get, "get")

    channel.finish(BROKEN)

    assert consumer.wait(10)
    with pytest.raises(GatewayError):
        consumer.result()


def test_what_is_put_after_the_end_is_dropped() -> None:
    channel = Channel()
    channel.finish()

    channel.put(batch())

    assert channel.get() is None
    assert channel.put_count == 0


# -- pings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loud", [True, False])
def test_a_ping_is_given_to_a_consumer_that_waits(loud: bool) -> None:
    channel = Channel(lambda: "queued 2/5")
    consumer = waiting(channel.get, "get")

    channel.nudge(loud=loud)

    assert consumer.wait(10)
    assert consumer.result() == [(0, (Ping(loud, "queued 2/5"),))]
    assert channel.put_count == 0


def test_the_note_of_a_ping_is_written_when_it_is_taken() -> None:
    places = iter(["2/5", "1/4"])
    note = next(places)
    channel = Channel(lambda: note)
    channel.nudge(loud=False)
    note = next(places)

    assert channel.get() == [(0, (Ping(False, "1/4"),))]


def test_a_ping_that_arrives_with_a_batch_gives_the_batch() -> None:
    channel = Channel()
    consumer = waiting(channel.get, "get")

    channel.nudge(loud=True)
    channel.put(batch())

    assert consumer.wait(10)
    assert consumer.result() == [batch()]
    channel.finish()
    assert channel.get() is None


def test_no_ping_is_asked_for_while_batches_wait() -> None:
    channel = Channel()
    channel.put(batch())

    channel.nudge(loud=True)

    assert channel.get() == [batch()]
    channel.finish()
    assert channel.get() is None


def test_no_ping_comes_after_the_end() -> None:
    channel = Channel()
    channel.nudge(loud=False)
    channel.finish()
    channel.nudge(loud=True)

    assert channel.get() is None


def end_of(channel: Channel) -> GatewayError | None:
    """Return the error a channel ends with."""
    try:
        assert channel.get() is None
    except GatewayError as error:
        return error
    return None


@pytest.mark.parametrize("kind", [TextDelta, ThinkingDelta])
def test_a_long_text_waits_in_pieces_and_is_held_once(
    kind: type[TextDelta] | type[ThinkingDelta],
) -> None:
    channel, text = Channel(), "abcdefgh" * (1 << 20)
    call = ToolCallDone("", "look", "{}")
    tracemalloc.start()
    producer = waiting(lambda: channel.put((1, (kind(text), call))), "put")
    held_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    groups = []
    while not producer.wait(0) or channel.put_count > sum(map(len, groups)):
        groups.append(channel.get())

    found = [event for group in groups for choice, events in group for event in events]
    assert held_bytes < MAX_CHARACTERS + 4 * PIECE_CHARACTERS
    assert {choice for group in groups for choice, _ in group} == {1}
    assert found[-1] == call
    assert "".join(event.text for event in found[:-1]) == text
    assert max(len(event.text) for event in found[:-1]) == PIECE_CHARACTERS
    assert max(map(len, groups)) <= MAX_CHARACTERS / PIECE_CHARACTERS + 1


def test_a_long_tool_call_stays_whole() -> None:
    channel = Channel()
    call = ToolCallDone("", "look", "x" * (2 * MAX_CHARACTERS))
    channel.put((0, (call,)))

    assert channel.get() == [(0, (call,))]
