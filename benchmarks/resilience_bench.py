"""What callers notice of servers that die and of callers that leave; real gateway, fake Ollamas.

    python -m benchmarks.resilience_bench [--disconnects 2000] [--rounds 5]

*Disconnects*: callers leave in every phase (queued, loading, prefill, silent, answering), streamed
and whole, by FIN, RST and half-close. Measured from leaving to the moment the fake sees its
connection closed; afterwards sockets and records that are still open are counted.

*Kills*: one of three servers is killed under 100 streams, again and again. Counted are answers that
are whole, ended with an explicit error, or failed though they had not begun; measured are the time
of the last call the dead server was tried with and the time until it gets calls again.

*Fairness*: one key floods the line, another comes late; counted is its place.
"""

from __future__ import annotations

import argparse
import queue
import random
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from sqlalchemy import select

from fake_ollama import FakeOllama, Script
from gateway.store.tables import RequestLogRow
from tests.integration.faults.site import RawCaller, Site, Streamed
from tests.support.process import until

PHASES = ("queued", "loading", "prefill", "silent", "answering")
WAYS = ("fin", "rst", "half")
CALLERS = 12
STREAMS = 100


def disconnects(site: Site, count: int) -> None:
    """Leave `count` times and print how long Ollama kept working for nobody."""
    before = site.sockets()
    for phase in PHASES:
        took_s = sorted(leave_in(site, phase, count // len(PHASES)))
        print(
            f"{phase:<12}{len(took_s):6} left   p50 {statistics.median(took_s) * 1000:6.0f} ms"
            f"   p99 {took_s[int(len(took_s) * 0.99)] * 1000:6.0f} ms"
            f"   max {took_s[-1] * 1000:6.0f} ms"
        )
    site.change_servers(slots=64)
    site.ollama.wait_idle(30)
    until(lambda: site.open_calls() == 0, "all records", 30)
    site.chat()
    time.sleep(2)
    print(f"sockets before {before}, after {site.sockets()}; open records {site.open_calls()}")


def leave_in(site: Site, phase: str, count: int) -> list[float]:
    """Let callers leave in one phase; give the seconds until their call ended."""
    ollama = site.ollama
    ollama.release()
    ollama.script("tern", Script(content="Tide. " * 200, delay_s=0.02))
    site.change_servers(slots=1 if phase == "queued" else 64)
    points = {"loading": 0, "prefill": 0, "silent": 3, "queued": 0}
    gate = ollama.hold("tern", at=points[phase]) if phase in points else None
    running = RawCaller(site, stream=True).send() if phase == "queued" else None
    if gate is not None and running is not None:
        gate.wait_reached()
    jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(count):
        jobs.put(number)
    took: list[float] = []

    def work() -> None:
        while True:
            try:
                number = jobs.get_nowait()
            except queue.Empty:
                return
            took.append(leave_once(site, phase, number))

    threads = [threading.Thread(target=work) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if running is not None:
        running.close()
    if gate is not None:
        gate.release()
    ollama.wait_idle(30)
    return took


def leave_once(site: Site, phase: str, number: int) -> float:
    """Leave once; give the seconds until it was noticed."""
    mark = f"caller-{phase}-{number}"
    messages = [{"role": "user", "content": mark}]
    caller = RawCaller(site, stream=bool(number % 2), messages=messages, user=mark).send()
    way = WAYS[number % len(WAYS)]
    if phase == "queued":
        until(lambda: open_row(site, mark), "a queued call", 30)
        left_s = time.monotonic()
        caller.leave(way)
        until(lambda: not open_row(site, mark), "the queued call to end", 30)
        caller.close()
        return time.monotonic() - left_s
    call = site.ollama.wait_for(lambda one: mark.encode() in one.body, timeout=30)
    if phase in {"silent", "answering"}:
        site.ollama.board.wait_for(lambda: call.lines > 2, 30, "some lines")
    time.sleep(random.uniform(0, 0.05))
    left_s = time.monotonic()
    caller.leave(way)
    site.ollama.board.wait_for(lambda: call.disconnected, 30, "the call to end")
    took_s = time.monotonic() - left_s
    caller.close()
    return took_s


def open_row(site: Site, mark: str) -> bool:
    """Whether the call marked so is admitted and not settled."""
    query = select(RequestLogRow.id).where(
        RequestLogRow.end_user == mark, RequestLogRow.settled_at.is_(None)
    )
    with site.database.read() as session:
        return session.scalar(query) is not None


def kills(site: Site, rounds: int) -> None:
    """Kill a server under load, again and again."""
    whole = ended = failed = 0
    last_call_s, back_s = [], []
    site.change_servers(slots=64)
    for number in range(rounds):
        victim = site.ollamas[number % len(site.ollamas)]
        warm(site)
        results, stopped_s = one_kill(site, victim)
        whole += sum(one.is_complete for one in results)
        ended += sum(one.error is not None and one.status == 200 for one in results)
        failed += sum(one.status != 200 for one in results)
        last_call_s.append(quiet_after(site, stopped_s))
        victim.start()
        started_s = time.monotonic()
        for ollama in site.ollamas:
            ollama.script("tern", Script(content="Tide. "))
        load(victim)
        until(lambda v=victim: is_tried(site, v), "the server to be used again", 30)
        back_s.append(time.monotonic() - started_s)
    print(f"{rounds} kills under {STREAMS} streams: {whole} whole, {ended} ended with an error,")
    print(f"  {failed} failed before they began; tried after its death at most", end=" ")
    print(f"{max(last_call_s):.2f} s, used again after at most {max(back_s):.2f} s")


def warm(site: Site) -> None:
    """Have the model in the memory of every server, and known to be there."""
    for ollama in site.ollamas:
        ollama.reset()
        ollama.script("tern", Script(content="Tide. "))
        load(ollama)
    until(lambda: all(is_tried(site, ollama) for ollama in site.ollamas), "all servers", 30)


def load(ollama: FakeOllama) -> None:
    """Bring the model into a server's memory, behind the gateway's back."""
    body = {"model": "tern", "keep_alive": -1}
    requests.post(f"{ollama.url}/api/generate", json=body, timeout=10).raise_for_status()


def is_tried(site: Site, ollama: FakeOllama) -> bool:
    """Whether some of 24 calls at once go to a server."""
    before = len(ollama.calls("/api/chat"))
    with ThreadPoolExecutor(24) as pool:
        list(pool.map(lambda n: ask(site, n), range(24)))
    return len(ollama.calls("/api/chat")) > before


def ask(site: Site, number: int) -> int:
    """Make one call; give its status."""
    return site.chat(messages=[{"role": "user", "content": f"Warm {number}"}]).status_code


def one_kill(site: Site, victim: FakeOllama) -> tuple[list[Streamed], float]:
    """Run the streams and kill the server in their midst."""
    for ollama in site.ollamas:
        ollama.script("tern", Script(content="Tide. " * 40, first_delay_s=0.3, delay_s=0.03))
    earlier = victim.requests[-1].number

    def stream(number: int) -> Streamed:
        time.sleep(number * 0.01)
        return site.stream(messages=[{"role": "user", "content": f"Stream {number}"}])

    with ThreadPoolExecutor(STREAMS) as pool:
        futures = [pool.submit(stream, number) for number in range(STREAMS)]
        victim.wait_for(lambda one: one.number > earlier and one.lines > 3, timeout=30)
        victim.stop()
        stopped_s = time.monotonic()
        results = [future.result() for future in futures]
    return results, stopped_s


def quiet_after(site: Site, stopped_s: float) -> float:
    """Give how long after its death the record says the server was last given a call."""
    died_at = time.time() - (time.monotonic() - stopped_s)
    tried = [
        row.created_at.timestamp() + (row.queue_ms or 0) / 1000 - died_at
        for row in site.rows()
        if row.error_code in {"upstream_unreachable", "no_upstream_available"}
    ]
    return max([0.0, *tried])


def fairness(site: Site) -> None:
    """Let one key flood the line and another come late."""
    other = site.gateway.issue_key("second")
    first = site.ollama
    first.reset()
    for ollama in site.ollamas[1:]:
        ollama.stop()
    site.change_servers(slots=1)
    until(lambda: ask(site, 0) == 200, "one server", 30)
    first.script("tern", Script(content="Low tide"))
    gate = first.hold("tern", at=0)
    callers = [RawCaller(site).send()]
    gate.wait_reached()
    before = len(first.calls("/api/chat"))
    callers += [RawCaller(site).send() for _ in range(100)]
    until(lambda: site.open_calls() == 101, "the flood", 30)
    late = RawCaller(site)
    late.data = late.data.replace(b"Tide?", b"Mine!")
    late.sock.sendall(late.head().replace(site.gateway.key.encode(), other.encode()) + late.data)
    until(lambda: site.open_calls() == 102, "the second key", 30)
    gate.release()
    late.read_until(b"Low tide")
    calls = first.calls("/api/chat")[before:]
    place = next(n for n, call in enumerate(calls, 1) if b"Mine!" in call.body)
    for caller in (*callers, late):
        caller.close()
    print(f"a key that comes after a flood of 100 is served as number {place} of the line")


def main() -> None:
    """Run all three and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--disconnects", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    settings = {"sse_comment_interval_s": 1, "stream_commit_ms": 500}
    with tempfile.TemporaryDirectory() as folder, Site(Path(folder), 1, **settings) as site:
        disconnects(site, given.disconnects)
    with tempfile.TemporaryDirectory() as folder, Site(Path(folder), 3, **settings) as site:
        kills(site, given.rounds)
        fairness(site)


if __name__ == "__main__":
    main()
