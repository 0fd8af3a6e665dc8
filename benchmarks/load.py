"""The load generator: its own process, one epoll, a plan as JSON on stdin, figures on stdout.

Two kinds of plan. `streams` opens many calls over a ramp and counts the tokens of each to its end.
`calls` keeps a few connections busy, each sending its next call when the last was answered. The
plan brings the whole HTTP request, so nothing here knows a dialect; `echo` says how often each
token stands in the answer, where the end of a stream repeats the text.

Parsing is a count of `@`, one for every token of the fast fake Ollama, and a search for the stamps
behind them. A stream has failed unless its status was 200, its end came, every token arrived and
the last piece said that the answer was complete.
"""

from __future__ import annotations

import gc
import re
import select
import socket
import subprocess
import sys
import time
from array import array
from collections import Counter
from typing import Any

import orjson

from benchmarks import measure

Figures = dict[str, Any]

_STAMP = re.compile(rb"@(\d{14})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNK_EDGE = re.compile(rb"\r\n[0-9a-fA-F]+\r\n")
# The last frame of chat, Ollama, Messages; of Responses what stands behind the repeated text.
_ENDS = (b"[DONE]", b'"done":true', b"message_stop", b'"output_tokens_details"')
_TAIL = 600
LATE_US = 100_000
_ERRORS = select.EPOLLHUP | select.EPOLLERR


def drive(plan: Figures) -> Figures:
    """Run a plan in a process of its own and return its figures; called by the scenarios."""
    ready = plan | {"request": plan["request"].decode("latin-1")}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=orjson.dumps(ready),
        stdout=subprocess.PIPE,
        check=True,
        timeout=plan["timeout_s"] + 60,
    )
    figures: Figures = orjson.loads(done.stdout)
    return figures


class Call:
    """One connection and the answer it is reading."""

    __slots__ = (
        "begun_us",
        "body",
        "first_us",
        "head",
        "left",
        "offset",
        "sock",
        "status",
        "tail",
        "tokens",
    )

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.begin()

    def begin(self) -> None:
        """Forget the last answer."""
        self.offset = 0  # how much of the request has left
        self.begun_us = time.monotonic_ns() // 1_000
        self.first_us = 0
        self.head: bytearray | None = bytearray()  # until the header is whole
        self.left = -1  # body bytes to come; -1: chunked
        self.status = 0
        self.tokens = 0
        self.tail = b""
        self.body = 0

    def feed(self, data: bytes, now_us: int, delays: array[int] | None) -> bool:
        """Take what arrived; True when the answer is complete."""
        if self.head is not None:
            rest = self._take_head(data)
            if not rest:
                return rest is not None and self.left == 0
            data = rest
        self.body += len(data)
        found = data.count(b"@")
        if found:
            self.tokens += found
            if not self.first_us:
                self.first_us = now_us
            if delays is not None:
                delays.extend([now_us - int(stamp) for stamp in _STAMP.findall(data)])
        self.tail = (self.tail + data)[-_TAIL:] if len(data) < _TAIL else data[-_TAIL:]
        if self.left < 0:
            return self.tail.endswith(b"\r\n0\r\n\r\n")
        self.left -= len(data)
        return self.left <= 0

    def _take_head(self, data: bytes) -> bytes | None:
        """Return what follows the header, None while it is not whole."""
        head = (self.head or bytearray()) + data
        end = head.find(b"\r\n\r\n")
        if end < 0:
            self.head = head
            return None
        self.status = int(head[9:12])
        length = _LENGTH.search(head[: end + 2])
        self.left = int(length[1]) if length else -1
        self.head = None
        return bytes(head[end + 4 :])

    def fault(self, tokens: int | None, least_bytes: int = 0) -> str:
        """Say what is wrong with a complete answer; empty when all is well."""
        if self.status != 200:
            return f"status {self.status}"
        if self.body < least_bytes:
            return "too short"
        if tokens is not None and self.tokens != tokens:
            return "tokens missing" if self.tokens < tokens else "tokens repeated"
        if tokens is not None and self.left < 0:
            tail = _CHUNK_EDGE.sub(b"", self.tail)
            if not any(end in tail for end in _ENDS):
                return "no end"
        return ""


class Load:
    """What both kinds of plan share: sockets, sending, faults, samples of the target."""

    def __init__(self, plan: Figures) -> None:
        self.plan = plan
        self.request = plan["request"].encode("latin-1")
        self.port: int = plan["port"]
        self.pid: int | None = plan.get("pid")
        self.echo: int = plan.get("echo", 1)
        self.tokens: int | None = plan["tokens"] * self.echo if plan.get("tokens") else None
        self.poll = select.epoll()
        self.calls: dict[int, Call] = {}
        self.faults: Counter[str] = Counter()
        self.delays: array[int] | None = array("q") if plan.get("latency") else None
        self.firsts = array("q")
        self.received = 0

    def connect(self) -> Call:
        """Start a connection; the request leaves when the socket can be written."""
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect_ex(("127.0.0.1", self.port))
        call = Call(sock)
        self.calls[sock.fileno()] = call
        self.poll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
        return call

    def turn(self, call: Call, mask: int) -> bool:
        """Do what epoll says the socket is ready for; True when the answer is complete."""
        if mask & select.EPOLLOUT and not mask & _ERRORS and call.offset < len(self.request):
            self.send(call)
        return bool(mask & (select.EPOLLIN | _ERRORS)) and self.receive(call)

    def send(self, call: Call) -> None:
        """Send what the socket takes of the request, then only listen."""
        try:
            call.offset += call.sock.send(memoryview(self.request)[call.offset :])
        except BlockingIOError:
            return
        except ConnectionError:
            self.drop(call, "refused")
            return
        if call.offset == len(self.request):
            self.poll.modify(call.sock.fileno(), select.EPOLLIN)

    def receive(self, call: Call) -> bool:
        """Read once; True when the answer is complete. A broken connection is dropped."""
        try:
            data = call.sock.recv(1 << 17)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        if not data:
            self.drop(call, "cut" if call.status else "no answer")
            return False
        before = call.tokens
        done = call.feed(data, time.monotonic_ns() // 1_000, self.delays)
        self.received += call.tokens - before
        if not before and call.tokens:
            self.firsts.append(call.first_us - call.begun_us)
        return done

    def drop(self, call: Call, fault: str) -> None:
        """Close a connection and count why; an empty fault is a good end."""
        if self.calls.pop(call.sock.fileno(), None) is not None:
            call.sock.close()
        if fault:
            self.faults[fault] += 1

    @property
    def delivered(self) -> float:
        """Return the tokens received, each counted once."""
        return self.received / self.echo

    def sample(self) -> measure.Cpu | None:
        """Sample the target's CPU, if there is a process to look at."""
        return measure.cpu(self.pid) if self.pid else None


def run_streams(plan: Figures) -> Figures:
    """Open `connections` streams over `ramp_s` and read each to its end.

    Two CPU figures: `whole` from before the first call until `settle_s` after the last, so calls
    and book-keeping count too; `steady` from the moment all streams speak until the first ends.
    """
    load = Load(plan)
    count: int = plan["connections"]
    ramp_s: float = plan.get("ramp_s", 0.0)
    idle = measure.memory(load.pid) if load.pid else None
    before, opened, ended = load.sample(), 0, 0
    steady: list[tuple[measure.Cpu | None, int]] = []
    held: measure.Memory | None = None
    begun = time.monotonic()
    gone_by = begun + plan["timeout_s"]
    first_us = last_us = 0
    while opened < count or load.calls:
        now = time.monotonic()
        if now > gone_by:
            for late in list(load.calls.values()):
                load.drop(late, "timeout")
            break
        while opened < count and now >= begun + opened * ramp_s / count:
            load.connect()
            opened += 1
        for fd, mask in load.poll.poll(0.05 if opened == count else 0.001, 1024):
            call = load.calls.get(fd)
            if call is not None and load.turn(call, mask):
                ended += 1
                load.drop(call, call.fault(load.tokens))
        if load.received:
            last_us = time.monotonic_ns() // 1_000
            first_us = first_us or last_us
        if not steady and len(load.firsts) == count and not ended:
            steady.append((load.sample(), load.received))
            if load.pid and plan.get("memory"):
                held = measure.memory(load.pid)
        if len(steady) == 1 and ended:
            steady.append((load.sample(), load.received))
    time.sleep(plan.get("settle_s", 0.5))
    figures = _common(load) | {"streams": opened, "seconds": (last_us - first_us) / 1e6}
    figures["tokens_per_s"] = load.delivered / max(figures["seconds"], 1e-9)
    figures["lost"] = count * (load.tokens or 0) // load.echo - round(load.delivered)
    after = load.sample()
    if before and after and load.received:
        figures["cpu_us_per_token"] = measure.cpu_us(before, after) / load.delivered
    if len(steady) == 2:
        (start, had), (stop, has) = steady
        if start and stop and has > had:
            figures["steady_cpu_us_per_token"] = measure.cpu_us(start, stop) / (has - had)
    if idle:
        figures["idle_rss_kb"], figures["idle_pss_kb"] = idle.rss_kb, idle.pss_kb
    if idle and held:
        figures["held_rss_kb"], figures["held_pss_kb"] = held.rss_kb, held.pss_kb
        figures["kb_per_stream"] = (held.pss_kb - idle.pss_kb) / count
    return figures


def run_calls(plan: Figures) -> Figures:
    """Make `calls` calls over `connections` kept connections, after `warm` that do not count."""
    load = Load(plan)
    warm: int = plan.get("warm", 0)
    total = warm + plan["calls"]
    begun_calls, answered, reconnects, size = 0, 0, 0, 0
    times = array("q")
    before = None if warm else load.sample()
    begun = time.monotonic()
    gone_by = begun + plan["timeout_s"]
    for _ in range(min(plan["connections"], total)):
        load.connect()
        begun_calls += 1
    while load.calls:
        if time.monotonic() > gone_by:
            load.faults["timeout"] += len(load.calls)
            break
        for fd, mask in load.poll.poll(0.05, 1024):
            call = load.calls.get(fd)
            if call is None or not load.turn(call, mask):
                continue
            answered += 1
            if fault := call.fault(load.tokens, plan.get("least_bytes", 0)):
                load.faults[fault] += 1
            size = call.body
            times.append(time.monotonic_ns() // 1_000 - call.begun_us)
            if warm and answered == warm:
                before, begun = load.sample(), time.monotonic()
                load.received = 0
                del times[:], load.firsts[:]
            if begun_calls < total:
                begun_calls += 1
                call.begin()
                load.send(call)
                if call.offset < len(load.request):
                    load.poll.modify(fd, select.EPOLLIN | select.EPOLLOUT)
            else:
                load.drop(call, "")
        while len(load.calls) < plan["connections"] and begun_calls < total:
            load.connect()  # a target may close a kept connection; the call in it was counted
            begun_calls += 1
            reconnects += 1
    seconds = time.monotonic() - begun
    time.sleep(plan.get("settle_s", 0.5))
    after = load.sample()
    figures = _common(load) | _spread("call", times)
    figures |= {"calls": len(times), "seconds": seconds, "reconnects": reconnects, "bytes": size}
    figures["calls_per_s"] = len(times) / seconds
    figures["tokens_per_s"] = load.delivered / seconds
    if before and after and times:
        figures["cpu_us_per_call"] = measure.cpu_us(before, after) / len(times)
    return figures


def _common(load: Load) -> Figures:
    figures: Figures = {
        "failures": sum(load.faults.values()),
        "faults": dict(load.faults),
        "tokens": round(load.delivered),
    }
    figures |= _spread("first", load.firsts)
    if load.delays:
        figures |= _spread("token", load.delays)
        late = sum(1 for delay in load.delays if delay > LATE_US)
        figures["late_share"] = late / len(load.delays)
    return figures


def _spread(name: str, values: array[int]) -> Figures:
    if not values:
        return {}
    ordered = sorted(values)
    last = len(ordered) - 1
    return {
        f"{name}_p50_ms": ordered[last // 2] / 1e3,
        f"{name}_p99_ms": ordered[round(last * 0.99)] / 1e3,
        f"{name}_max_ms": ordered[last] / 1e3,
    }


def main() -> None:
    """Read a plan, run it, print its figures."""
    plan: Figures = orjson.loads(sys.stdin.buffer.read())
    gc.disable()  # nothing here makes cycles
    run = {"streams": run_streams, "calls": run_calls}[plan["mode"]]
    sys.stdout.buffer.write(orjson.dumps(run(plan)))


if __name__ == "__main__":
    main()
