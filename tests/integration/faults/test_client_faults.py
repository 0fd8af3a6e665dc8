"""Callers that leave, in every phase and in every way: Ollama is let go, the record says so."""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import ExitStack

import pytest

from fake_ollama import Script, error
from tests.integration.faults.site import RawCaller, Site, caller
from tests.support.process import until

pytestmark = pytest.mark.process

LONG = Script(content="Tide. " * 40, delay_s=0.05)
WAYS = ("fin", "rst", "half")


def in_line(site: Site, seconds: float = 10) -> None:
    """Wait until every call of the fake is over."""
    site.ollama.wait_idle(seconds)


def reached(site: Site, phase: str, streamed: bool, stack: ExitStack) -> RawCaller:
    """Give a caller whose call stands in `phase`."""
    ollama = site.ollama
    ollama.script("tern", LONG)
    gate = None
    if phase == "loading":
        gate = stack.enter_context(ollama.hold("tern", at="load"))
    elif phase == "prefill":
        gate = stack.enter_context(ollama.hold("tern", at=0))
    elif phase == "silent after some words":
        gate = stack.enter_context(ollama.hold("tern", at=3))
    found = stack.enter_context(caller(site, stream=streamed)).send()
    if gate is not None:
        gate.wait_reached()
    else:
        ollama.wait_for(lambda one: one.path == "/api/chat" and one.lines > 2)
    return found


PHASES = ("loading", "prefill", "silent after some words", "answering")
LEAVING = [(phase, True, way) for phase in PHASES for way in WAYS]
LEAVING += [(phase, False, "fin") for phase in PHASES]
LEAVING += [("answering", False, way) for way in ("rst", "half")]


@pytest.mark.parametrize(("phase", "streamed", "way"), LEAVING)
def test_a_caller_that_leaves_ends_the_call_upstream(one: Site, phase, streamed, way):
    """K1 to K4."""
    before = len(one.rows())
    with ExitStack() as stack:
        found = reached(one, phase, streamed, stack)
        found.leave(way)

        (gone,) = one.ollama.wait_disconnect(1)
        assert gone.path == "/api/chat"
        (row,) = until(lambda: settled_since(one, before), "the record")

    assert (row.status, row.finish, row.error_code) == (499, "client_closed", "client_closed")
    in_line(one)


def settled_since(site: Site, before: int):
    """Give the usage rows that have come, once they are settled."""
    rows = site.rows()[before:]
    return rows if all(settled(rows)) else []


def test_a_caller_that_sends_more_and_leaves_is_noticed(one: Site):
    """K5: unread bytes in front of the FIN hide it from a peek."""
    with ExitStack() as stack:
        reached(one, "silent after some words", True, stack).leave("pipelined")

        one.ollama.wait_disconnect(1)
    in_line(one)


def test_a_caller_that_leaves_while_queued_never_reaches_ollama(one: Site):
    with ExitStack() as stack:
        stack.enter_context(slots(one, 1))
        running = reached(one, "silent after some words", True, stack)
        waiting = [stack.enter_context(caller(one, stream=True)).send() for _ in range(3)]
        until(lambda: queued(one) == 3, "three calls in line")
        for found, way in zip(waiting, WAYS, strict=True):
            found.leave(way)

        until(lambda: queued(one) == 0, "an empty line")
        running.leave("fin")
        one.ollama.wait_disconnect(1)

    assert len(one.ollama.calls("/api/chat")) == 1
    in_line(one)


class slots:
    """Set the slots of the first server for a while."""

    def __init__(self, site: Site, number: int) -> None:
        self._site, self._number = site, number

    def __enter__(self) -> None:
        self._set(self._number)

    def __exit__(self, *exc: object) -> None:
        self._set(0)

    def _set(self, number: int) -> None:
        site = self._site
        site.change_servers(slots=number)


def queued(site: Site) -> int:
    """Give how many calls are admitted and not at Ollama yet."""
    open_rows = [row for row in site.rows() if row.settled_at is None]
    at_ollama = [one for one in site.ollama.calls("/api/chat") if not one.over]
    return len(open_rows) - len(at_ollama)


def test_a_caller_that_leaves_during_the_upload_causes_no_call(one: Site):
    """K7."""
    before = len(one.ollama.calls("/api/chat"))
    with caller(one) as found:
        found.sock.sendall(found.head(length=10_000) + found.data)
        found.leave("rst")

    assert one.chat().status_code == 200
    assert len(one.ollama.calls("/api/chat")) == before + 1


def test_a_caller_that_never_reads_is_let_go(one: Site):
    """K6: what it does not take fills the socket; after the write limit the call ends."""
    one.change(client_write_timeout_s=1)
    try:
        one.ollama.script("tern", Script(content=["x" * 8000] * 4000))
        with caller(one, stream=True) as found:
            found.send()
            one.ollama.wait_disconnect(1, timeout=15)
            assert one.chat(max_tokens=5).status_code == 200
    finally:
        one.change(client_write_timeout_s=60)
    in_line(one)


def test_a_caller_that_never_reads_a_whole_answer_is_let_go(one: Site):
    """K6: no model waits for it any more, yet its answer, its socket and its greenlet must go."""
    one.change(client_write_timeout_s=1)
    try:
        one.ollama.script("tern", Script(content=["x" * 8000] * 2500))
        before = one.sockets()
        with caller(one) as found:
            found.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            found.send()
            until(lambda: one.ollama.calls("/api/chat"), "the call")
            in_line(one)
            until(lambda: one.open_calls() == 0, "the record")
            assert one.sockets() > before
            until(lambda: one.sockets() <= before + 1, "the end of the connection", 20)
    finally:
        one.change(client_write_timeout_s=60)


def test_a_slow_reader_of_a_whole_answer_gets_all_of_it(one: Site):
    """What counts is that something is taken, not how long the whole takes."""
    one.change(client_write_timeout_s=1)
    try:
        one.ollama.script("tern", Script(content=["x" * 8000] * 300))
        with caller(one) as found:
            found.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            found.send()
            for _ in range(12):
                time.sleep(0.25)  # the reader's own pace, three times the limit in all
                found.received += found.sock.recv(65536)
            body = found.read_until(b'"usage"')
    finally:
        one.change(client_write_timeout_s=60)

    assert body.count(b"x") >= 300 * 8000


@pytest.mark.slow
def test_repeated_calls_are_recorded_one_by_one(one: Site):
    """K9: an SDK repeats a failed call; each try is a record, none is counted twice."""
    import openai

    one.ollama.script("tern", Script(fault=error(503, "Service Unavailable")))
    before = len(one.rows())
    client = openai.OpenAI(base_url=f"{one.gateway.url}/v1", api_key=one.gateway.key, max_retries=2)
    with client, pytest.raises(openai.InternalServerError):
        client.with_options(timeout=60).chat.completions.create(
            model="tern", messages=[{"role": "user", "content": "Tide?"}]
        )

    rows = until(
        lambda: found if len(found := one.rows()[before:]) == 3 and all(settled(found)) else None,
        "three records",
    )
    assert [row.status for row in rows] == [503, 503, 503]
    assert len({row.request_id for row in rows}) == 3
    assert not any(row.counted for row in rows)


def settled(rows) -> list[bool]:
    return [row.settled_at is not None for row in rows]


@pytest.mark.slow
def test_three_hundred_callers_that_leave_at_random_leave_nothing_behind(one: Site):
    """K8; the benchmark does the same with thousands and measures times."""
    one.ollama.script("tern", Script(content="Tide. " * 10, first_delay_s=0.02, delay_s=0.01))
    one.chat(max_tokens=1)
    until(lambda: one.sockets() < 60, "connections at rest")
    before = one.sockets()
    chance = random.Random(7)

    def visit(count: int, rest_s: list[float], ways: list[str], streamed: list[bool]) -> None:
        for number in range(count):
            found = RawCaller(one, stream=streamed[number]).send()
            time.sleep(rest_s[number])
            found.leave(ways[number])
            found.close()

    threads = [
        threading.Thread(
            target=visit,
            args=(
                30,
                [chance.uniform(0, 0.6) for _ in range(30)],
                [chance.choice(WAYS) for _ in range(30)],
                [chance.random() < 0.5 for _ in range(30)],
            ),
        )
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    in_line(one, 20)
    until(lambda: all(settled(one.rows())), "all records")
    assert {row.status for row in one.rows()[-300:]} == {200, 499}
    assert one.chat().status_code == 200
    until(lambda: one.sockets() <= before + 24, "sockets at rest")
    log = one.log()
    assert "Traceback" not in log, log[log.index("Traceback") - 300 :][:3000]
