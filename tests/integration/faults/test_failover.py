"""Several servers: one dies, hangs or comes back, and callers notice as little as can be."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from fake_ollama import Script
from tests.integration.faults.site import RawCaller, Site, Streamed, caller
from tests.support.process import until

pytestmark = pytest.mark.process

TEXT = "Low tide at six."


def served(site: Site) -> list[int]:
    """Give how many chats each server has had."""
    return [len(ollama.calls("/api/chat")) for ollama in site.ollamas]


def spread(site: Site) -> None:
    """Load the model on every server, and wait until conversations go to all of them.

    A server that has the model in memory is preferred, so one call after the other would all go to
    the first that has loaded it.
    """
    for ollama in site.ollamas:
        body = {"model": "tern", "keep_alive": -1}
        requests.post(f"{ollama.url}/api/generate", json=body, timeout=10).raise_for_status()
    until(lambda: all(site.is_back(ollama) for ollama in site.ollamas), "all servers to be used")


def one_call(site: Site, number: int) -> int:
    messages = [{"role": "user", "content": f"Conversation {number}"}]
    return site.chat(messages=messages).status_code


def test_conversations_spread_and_stay(three: Site):
    spread(three)
    where: dict[int, set[str]] = {}
    for _ in range(3):
        for number in range(9):
            messages = [{"role": "user", "content": f"Conversation {number}"}]
            answer = three.chat(messages=messages)
            where.setdefault(number, set()).add(answer.headers["x-gateway-server"])

    assert all(len(servers) == 1 for servers in where.values())
    assert len({next(iter(servers)) for servers in where.values()}) > 1


@pytest.mark.parametrize("fault", ["reset", "queue_full"])
def test_a_call_that_could_not_begin_begins_elsewhere(three: Site, fault):
    spread(three)
    for ollama in three.ollamas[:2]:
        ollama.script("tern", Script(fault=fault))
    three.ollamas[2].script("tern", Script(content=TEXT))

    answers = [three.chat() for _ in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 6
    row = three.row(answers[0].headers["x-request-id"])
    assert (row.status, row.upstream_calls <= 3) == (200, True)


def test_a_frozen_server_loses_its_calls_to_the_others(three: Site):
    """U20: it accepts connections and never answers, as a stopped process does."""
    spread(three)
    frozen = three.ollamas[0]
    frozen.freeze()
    with ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(lambda number: one_call(three, number), range(24)))
    before = served(three)[0]
    until(lambda: three.is_known_dead(frozen), "the frozen server to be known")
    more = [one_call(three, number) for number in range(12)]
    later = served(three)[0]
    frozen.thaw()

    assert set(codes) == {200}
    assert set(more) == {200}
    assert later == before


def test_killing_one_of_three_under_a_hundred_streams(three: Site):
    spread(three)
    victim = three.ollamas[1]
    for ollama in three.ollamas:
        ollama.script("tern", Script(content="Tide. " * 30, first_delay_s=0.1, delay_s=0.03))
    three.change_servers(slots=64)
    earlier = victim.requests[-1].number
    started = threading.Barrier(101)

    def stream(number: int) -> Streamed:
        started.wait(30)
        messages = [{"role": "user", "content": f"Stream {number}"}]
        return three.stream(messages=messages)

    with ThreadPoolExecutor(100) as pool:
        futures = [pool.submit(stream, number) for number in range(100)]
        started.wait(30)
        victim.wait_for(lambda one: one.number > earlier and one.lines > 3)
        victim.stop()
        results = [future.result() for future in futures]
    victim.start()
    for ollama in three.ollamas:
        ollama.script("tern", Script(content=TEXT))

    broken = [one for one in results if not one.is_complete]
    assert {one.status for one in results} == {200}
    assert all(one.error is not None and one.text for one in broken)
    assert 0 < len(broken) < 100
    spread(three)
    three.change_servers(slots=0)


def test_a_dead_server_gets_no_calls_and_then_some_again(three: Site):
    spread(three)
    victim = three.ollamas[2]
    victim.stop()
    codes = [one_call(three, number) for number in range(30)]
    victim.start()

    assert codes == [200] * 30
    spread(three)


def test_the_queue_is_fair_between_keys(three: Site):
    """Two keys on one slot, one flooding: the other waits for no more than its own turn."""
    other = three.gateway.issue_key("second")
    first = three.ollamas[0]
    for ollama in three.ollamas[1:]:
        ollama.stop()
    three.change_servers(slots=1)
    until(lambda: three.is_back(first), "the first server to be used")
    first.script("tern", Script(content=TEXT))
    with first.hold("tern", at=0) as gate, caller(three) as running:
        running.send()
        gate.wait_reached()
        before = len(first.calls("/api/chat"))
        flood = [RawCaller(three).send() for _ in range(40)]
        until(lambda: three.open_calls() == 41, "the flood to wait")
        late = RawCaller(three)
        late.data = late.data.replace(b"Tide?", b"Mine!")
        late.sock.sendall(
            late.head().replace(three.gateway.key.encode(), other.encode()) + late.data
        )
        until(lambda: three.open_calls() == 42, "the second key to wait")
    late.read_until(b"Low tide")
    order = [b"Mine!" in one.body for one in first.calls("/api/chat")[before:]]
    for found in (*flood, late):
        found.close()
    for ollama in three.ollamas[1:]:
        ollama.start()
    three.change_servers(slots=0)

    assert order.index(True) <= 1
