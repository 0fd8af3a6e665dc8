"""What the monitor does about the calls of a process, by a clock that is told."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from gateway.calls import monitor as monitor_module
from gateway.calls.channel import MAX_BATCHES, Channel
from gateway.calls.monitor import STALE_S, Monitor
from gateway.core.events import Ping, TextDelta
from gateway.errors import ClientGone, GatewayError, UpstreamTimeout
from gateway.runtime import tasks
from gateway.schemas.settings import RuntimeSettings
from tests.calls.places import until
from tests.services.fleets import Seconds

BEHAVIOUR = RuntimeSettings(
    stream_commit_ms=10_000,
    sse_comment_interval_s=15,
    sse_chunk_interval_s=60,
    client_write_timeout_s=60,
)
INTERVAL_S = 0.25
LATE = UpstreamTimeout("late")
BATCH = (0, (TextDelta("x"),))


class Call:
    """A call in progress, as far as the monitor knows one."""

    def __init__(self, sock: socket.socket | None = None, *, stream: bool = True) -> None:
        self.caller = SimpleNamespace(sock=sock)
        self.prepared = SimpleNamespace(call=SimpleNamespace(stream=stream))
        self.channel = Channel()
        self.consumer = SimpleNamespace(dead=False)
        self.committed = False
        self.reason: GatewayError | None = None
        self.attempts: list[Any] = []
        self.tasks: list[Any] = []
        self.closed = tasks.Event()

    def cancel(self, reason: GatewayError) -> None:
        if self.reason is None:
            self.reason = reason
            self.channel.finish(reason)

    def close(self) -> None:
        self.closed.set()


class Attempt:
    """An attempt that is overdue as told, and writes down how it is ended."""

    def __init__(self, error: GatewayError | None = None) -> None:
        self.error = error
        self.asked: list[tuple[float, bool]] = []
        self.aborted: list[GatewayError] = []

    def overdue(self, now_s: float, *, is_held_up: bool) -> GatewayError | None:
        self.asked.append((now_s, is_held_up))
        return self.error

    def abort(self, error: GatewayError) -> None:
        self.aborted.append(error)


class Still(Monitor):
    """A monitor that looks when told."""

    def _loop(self) -> None:
        tasks.Event().wait()


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def monitor(clock: Seconds) -> Iterator[Still]:
    found = Still(lambda: BEHAVIOUR, INTERVAL_S, clock)
    yield found
    end(found)


def end(monitor: Monitor) -> None:
    """End the loop of a monitor."""
    for task in (monitor._task, monitor.loop):
        if task is not None:
            task.interrupt("the test is over")
            assert task.wait(10)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection: our end, and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, theirs:
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


# -- clients that leave ----------------------------------------------------------------------------


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


LEAVING: dict[str, Callable[[socket.socket], None]] = {
    "closed": lambda sock: sock.close(),
    "reset": reset,
    "closed for writing": lambda sock: sock.shutdown(socket.SHUT_WR),
}


def any_system(monkeypatch: pytest.MonkeyPatch, clock: Seconds, system: str) -> Still:
    """Return a monitor on a system with or without POLLRDHUP."""
    if system == "peeks":
        monkeypatch.setattr(monitor_module, "POLLRDHUP", None)
    elif monitor_module.POLLRDHUP is None:
        pytest.skip("this system has no POLLRDHUP")
    return Still(lambda: BEHAVIOUR, INTERVAL_S, clock)


@pytest.mark.parametrize("system", ["POLLRDHUP", "peeks"])
@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING)
def test_a_client_that_leaves_ends_its_call(
    monkeypatch: pytest.MonkeyPatch,
    clock: Seconds,
    pair: Pair,
    leave: Callable[[socket.socket], None],
    system: str,
) -> None:
    monitor = any_system(monkeypatch, clock, system)
    ours, theirs = pair
    call = Call(ours)
    monitor.watch(call)  # type: ignore[arg-type]
    monitor.look()
    assert call.reason is None

    leave(theirs)

    until(lambda: monitor.look() or call.reason, "the call to be cancelled")
    assert isinstance(call.reason, ClientGone)
    end(monitor)


@pytest.mark.parametrize("system", ["POLLRDHUP", "peeks"])
def test_a_client_that_sends_its_next_request_is_still_there(
    monkeypatch: pytest.MonkeyPatch, clock: Seconds, pair: Pair, system: str
) -> None:
    monitor = any_system(monkeypatch, clock, system)
    ours, theirs = pair
    call = Call(ours)
    monitor.watch(call)  # type: ignore[arg-type]

    theirs.sendall(b"GET / HTTP/1.1\r\n")
    until(lambda: ours.recv(1, socket.MSG_PEEK), "the request")
    for _ in range(3):
        monitor.look()

    assert call.reason is None
    assert ours.recv(100) == b"GET / HTTP/1.1\r\n"
    end(monitor)


@pytest.mark.parametrize(("system", "is_seen"), [("POLLRDHUP", True), ("peeks", False)])
def test_only_a_peek_misses_a_client_that_leaves_a_request_behind(
    monkeypatch: pytest.MonkeyPatch, clock: Seconds, pair: Pair, system: str, is_seen: bool
) -> None:
    monitor = any_system(monkeypatch, clock, system)
    ours, theirs = pair
    call = Call(ours)
    monitor.watch(call)  # type: ignore[arg-type]

    theirs.sendall(b"G")
    theirs.close()
    until(lambda: ours.recv(1, socket.MSG_PEEK), "the request")
    for _ in range(3):
        monitor.look()
    seen = call.reason is not None
    assert ours.recv(1) == b"G"

    assert seen is is_seen
    until(lambda: monitor.look() or call.reason, "the call to be cancelled")
    end(monitor)


def test_a_client_is_asked_about_once_it_has_left(monitor: Still, pair: Pair) -> None:
    ours, theirs = pair
    call = Call(ours)
    monitor.watch(call)  # type: ignore[arg-type]
    theirs.close()
    until(lambda: monitor.look() or call.reason, "the call to be cancelled")

    monitor.look()
    monitor.unwatch(call)  # type: ignore[arg-type]

    assert len(monitor) == 0
    assert monitor._poll.poll(0) == []


def test_a_call_without_a_connection_is_watched_too(monitor: Still, clock: Seconds) -> None:
    call = Call(None)
    call.attempts.append(Attempt(LATE))
    monitor.watch(call)  # type: ignore[arg-type]

    monitor.look()

    assert call.attempts[0].aborted == [LATE]


def test_a_watch_belongs_to_the_call_and_not_to_its_connection(monitor: Still, pair: Pair) -> None:
    ours, theirs = pair
    first, second = Call(ours), Call(ours)
    monitor.watch(first)  # type: ignore[arg-type]
    monitor.unwatch(first)  # type: ignore[arg-type]
    monitor.watch(second)  # type: ignore[arg-type]
    monitor.unwatch(first)  # type: ignore[arg-type]

    theirs.close()

    until(lambda: monitor.look() or second.reason, "the call to be cancelled")
    assert first.reason is None


# -- pings -----------------------------------------------------------------------------------------


def pings(
    monitor: Monitor, clock: Seconds, call: Call, seconds: float, every_s: float = INTERVAL_S
) -> list[tuple[float, bool]]:
    """Let time pass, with a consumer that takes what comes; give when pings came, in seconds from
    now, and whether they were loud."""
    found = []
    start_s = clock.now_s
    for step in range(1, round(seconds / every_s) + 1):
        clock.now_s = start_s + step * every_s
        monitor.look()
        if call.channel._ping is not None:
            ((_, (ping,)),) = call.channel.get() or []
            assert isinstance(ping, Ping)
            found.append((clock.now_s - start_s, ping.loud))
    return found


def test_a_stream_without_a_token_begins_by_a_ping(monitor: Still, clock: Seconds) -> None:
    call = Call()
    monitor.watch(call)  # type: ignore[arg-type]

    found = pings(monitor, clock, call, 9.75)

    assert found == [(9.75, False)]  # a look later would be too late


def test_a_stream_that_is_silent_gets_pings_on_time(monitor: Still, clock: Seconds) -> None:
    call = Call()
    call.committed = True
    monitor.watch(call)  # type: ignore[arg-type]

    found = pings(monitor, clock, call, 130.0)

    every_s = 14.75
    louds = [False, False, False, True]  # at least one a minute
    assert found == [(every_s * (n + 1), louds[n % 4]) for n in range(8)]


def test_every_token_begins_the_silence_anew(monitor: Still, clock: Seconds) -> None:
    call = Call()
    call.committed = True
    monitor.watch(call)  # type: ignore[arg-type]
    found = []
    for _ in range(5):
        found += pings(monitor, clock, call, 14.0)
        call.channel.put(BATCH)
        call.channel.get()
        monitor.look()

    assert found == []
    assert pings(monitor, clock, call, 15.0) == [(14.75, False)]


def test_an_answer_in_one_piece_gets_no_pings(monitor: Still, clock: Seconds) -> None:
    call = Call(stream=False)
    monitor.watch(call)  # type: ignore[arg-type]

    assert pings(monitor, clock, call, 100.0) == []


# -- time limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_an_attempt_that_is_overdue_is_ended_and_not_the_call(
    monitor: Still, clock: Seconds, stream: bool
) -> None:
    call = Call(stream=stream)
    late, well = Attempt(LATE), Attempt()
    call.attempts += [late, well]
    monitor.watch(call)  # type: ignore[arg-type]

    monitor.look()

    assert (late.aborted, well.aborted) == ([LATE], [])
    assert call.reason is None
    assert late.asked == [(clock.now_s, False)]


def test_a_client_that_is_too_slow_holds_its_server_up(monitor: Still, clock: Seconds) -> None:
    call = Call()
    call.attempts.append(Attempt())
    for _ in range(MAX_BATCHES):
        call.channel.put(BATCH)
    monitor.watch(call)  # type: ignore[arg-type]

    monitor.look()

    assert call.attempts[0].asked == [(clock.now_s, True)]


# -- clients that take nothing ---------------------------------------------------------------------


def test_a_client_that_takes_nothing_is_shut_down(
    monitor: Still, clock: Seconds, pair: Pair
) -> None:
    ours, theirs = pair
    call = Call(ours)
    call.committed = True
    monitor.watch(call)  # type: ignore[arg-type]
    writer = tasks.spawn(write_for_ever, ours)
    call.channel.put(BATCH)
    clock.tick(59.9)
    monitor.look()
    assert call.reason is None

    clock.tick(0.1)
    monitor.look()

    assert isinstance(call.reason, ClientGone)
    assert writer.wait(10)
    assert isinstance(writer.result(), OSError)
    assert ours.fileno() >= 0  # it is the server's to close
    until(lambda: is_at_end(theirs), "the client to see the end")


def test_a_client_is_not_slow_while_there_is_nothing_to_take(
    monitor: Still, clock: Seconds, pair: Pair
) -> None:
    call = Call(pair[0])
    call.committed = True
    monitor.watch(call)  # type: ignore[arg-type]
    consumer = tasks.spawn(call.channel.get)
    until(lambda: call.channel.is_reading, "the consumer")

    clock.tick(1_000)
    monitor.look()

    assert call.reason is None
    call.channel.finish()
    assert consumer.wait(10)


def test_a_cancelled_call_whose_client_takes_nothing_is_shut_down(
    monitor: Still, pair: Pair
) -> None:
    ours, theirs = pair
    call = Call(ours)
    call.committed = True
    monitor.watch(call)  # type: ignore[arg-type]
    monitor.look()
    writer = tasks.spawn(write_for_ever, ours)
    call.cancel(GatewayError("over"))

    monitor.look()
    is_patient = not is_at_end(theirs)
    monitor.look()

    assert is_patient
    assert writer.wait(10)
    until(lambda: is_at_end(theirs), "the client to see the end")


def test_a_cancelled_call_that_writes_its_end_is_left_alone(monitor: Still, pair: Pair) -> None:
    ours, theirs = pair
    call = Call(ours)
    call.committed = True
    monitor.watch(call)  # type: ignore[arg-type]
    monitor.look()
    call.channel.put(BATCH)
    call.cancel(GatewayError("over"))
    for _ in range(3):
        call.channel.taken += 1  # it takes what is left
        monitor.look()

    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)


# -- calls that do not end -------------------------------------------------------------------------


def test_a_producer_that_does_not_end_is_interrupted_again(monitor: Still) -> None:
    swallowed: list[bool] = []

    def stubborn() -> None:
        while len(swallowed) < 3:
            try:
                tasks.Event().wait()
            except tasks.Cancelled:
                swallowed.append(True)

    call = Call()
    task = tasks.spawn(stubborn)
    call.tasks.append(task)
    monitor.watch(call)  # type: ignore[arg-type]
    until(lambda: task._begun, "the work to begin")
    call.cancel(GatewayError("over"))
    task.interrupt("over")

    for count in (1, 2):
        until(lambda count=count: len(swallowed) >= count, "the interrupt")
        monitor.look()

    assert task.wait(10)


def test_a_call_whose_consumer_is_dead_is_closed(monitor: Still) -> None:
    call = Call()
    call.consumer.dead = True
    monitor.watch(call)  # type: ignore[arg-type]

    monitor.look()

    assert call.closed.wait(10)


# -- the monitor itself ----------------------------------------------------------------------------


def test_one_call_that_raises_does_not_stop_the_others(
    monitor: Still, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> GatewayError | None:
        raise RuntimeError("broken")

    calls = [Call(), Call(pair[0]), Call()]
    calls[0].attempts.append(SimpleNamespace(overdue=broken))
    calls[1].cancel = broken  # type: ignore[method-assign]
    calls[2].attempts.append(Attempt(LATE))
    for call in calls:
        monitor.watch(call)  # type: ignore[arg-type]
    pair[1].close()

    until(lambda: monitor.look() or "connection failed" in caplog.text, "the client to be gone")

    assert calls[2].attempts[0].aborted[0] is LATE
    assert "looking at an active call failed" in caplog.text


def test_it_looks_by_itself_and_goes_on_when_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    looks: list[int] = []

    def behaviour() -> RuntimeSettings:
        looks.append(1)
        if len(looks) == 1:
            raise RuntimeError("broken")
        return BEHAVIOUR

    monitor = Monitor(behaviour, 0.001)
    call = Call()
    call.consumer.dead = True
    monitor.watch(call)  # type: ignore[arg-type]

    assert call.closed.wait(10)
    assert "looking at the active calls failed" in caplog.text
    end(monitor)


def test_a_loop_that_was_killed_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    monitor = Monitor(lambda: BEHAVIOUR, 0.001)
    monitor.watch(Call())  # type: ignore[arg-type]
    call = Call()
    monitor.watch(call)  # type: ignore[arg-type]
    for _ in range(3):  # until the loop has begun
        gevent.sleep(0)
    assert monitor.loop is not None

    monitor.loop.interrupt("killed by a test")
    assert monitor.loop.wait(10)
    call.consumer.dead = True

    assert call.closed.wait(10)
    assert "the call monitor ended and is started again" in caplog.text
    end(monitor)


def test_it_is_late_when_it_has_not_looked_at_its_calls(monitor: Still, clock: Seconds) -> None:
    assert not monitor.is_late
    clock.tick(1_000)
    assert not monitor.is_late  # there is nothing to look at
    call = Call()
    monitor.watch(call)  # type: ignore[arg-type]
    assert not monitor.is_late

    clock.tick(STALE_S + 0.1)
    late = monitor.is_late
    monitor.look()

    assert late
    assert not monitor.is_late
    clock.tick(STALE_S + 0.1)
    monitor.unwatch(call)  # type: ignore[arg-type]
    assert not monitor.is_late


def write_for_ever(sock: socket.socket) -> OSError:
    """Write until that fails; give the failure."""
    try:
        while True:
            sock.sendall(b"x" * 65_536)
    except OSError as error:
        return error


def is_at_end(sock: socket.socket) -> bool:
    """Read what is there; tell whether the connection has ended."""
    sock.setblocking(False)
    try:
        while sock.recv(1 << 20):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    return True
