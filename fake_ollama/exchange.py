"""One request and its answer: what the routes work with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from fake_ollama.bending import HANG, Item, bend, dress
from fake_ollama.board import Board, Recorded, Waiter
from fake_ollama.encoding import encode_json, encode_line
from fake_ollama.faults import Fault
from fake_ollama.refusals import ConnectionOver, Gone, Refused
from fake_ollama.wire import Cut, Framing, Reply, Request

JSON = "application/json; charset=utf-8"
BARE_JSON = "application/json"
NDJSON = "application/x-ndjson"
TEXT = "text/plain; charset=utf-8"

Pace: TypeAlias = Callable[[], float]
"""Gives the seconds until the next line."""

_GO_BUFFER = 2048
"""What Go's server collects before it gives up on Content-Length and sends chunks."""


class Exchange:
    """A request being answered."""

    def __init__(
        self, board: Board, recorded: Recorded, request: Request, reply: Reply, waiter: Waiter
    ) -> None:
        self.board = board
        self.recorded = recorded
        self.request = request
        self.reply = reply
        self.waiter = waiter
        self.faults: tuple[Fault, ...] = ()
        self.streams = False
        self._release: Callable[[], None] | None = None

    def name_model(self, model: str, key: str) -> None:
        """Let gates and the record know which model this is about."""
        self.waiter.targets = (self.request.path, key, "*")
        self.board.update(self.recorded, model=model)

    def put_on(self, faults: Sequence[Fault]) -> None:
        """Let the faults of a script act on this answer."""
        self.faults = tuple(faults)
        dress(self.faults, self.reply.dress)

    def holds(self, release: Callable[[], None]) -> None:
        """Let this be done once, just before the last bytes: who read them all sees its effect."""
        self._release = release

    def give_back(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            self.board.update(self.recorded, running=False)
            release()

    def settle(self) -> None:
        """Give back what is held and call the answer finished: only its last bytes are missing."""
        self.give_back()
        self.board.update(self.recorded, finished=True)

    def send_text(self, status: int, text: str, content_type: str = TEXT) -> None:
        self._sent(status)
        self.settle()
        self.reply.send(status, content_type, text.encode())

    def send_empty(self, status: int = 200) -> None:
        self._sent(status)
        self.settle()
        self.reply.send(status, "", b"")

    def send_json(self, status: int, value: Any, content_type: str = JSON) -> None:
        """Answer with one object, bent by the faults in force."""
        body = encode_json(value)
        items = list(bend(iter([body]), self.faults, whole=True))
        if HANG in items:
            self.waiter.stay()
        self._sent(status)
        if any(isinstance(item, Cut) for item in items) or self.reply.dress.dribble:
            self.reply.begin(status, content_type, _length(items), "length")
            self._write(items)
            self._end()
            return
        body = b"".join(item for item in items if isinstance(item, bytes))
        self.settle()
        framing: Framing = "length" if len(body) <= _GO_BUFFER else "chunked"
        self.reply.send(status, content_type, body, framing)

    def refuse(self, refused: Refused) -> None:
        bare = self.streams and not refused.charset
        content_type = refused.content_type or (BARE_JSON if bare else JSON)
        self._sent(refused.status)
        self.settle()
        self.reply.send(refused.status, content_type, encode_json(refused.body))

    def stream(self, lines: Iterator[bytes], pace: Pace, content_type: str = NDJSON) -> None:
        """Send the lines one by one. An error before the first is a status, later a line."""
        items: Iterable[Item] = bend(_settled(lines), self.faults, whole=False)
        if self.reply.dress.framing == "length":
            items = list(items)
            self.reply.begin(200, content_type, _length(items))
        else:
            self.reply.begin(200, content_type)
        self._write(items, pace)
        self._sent(200)
        self._end()

    def step(self, count: int, delay_s: float) -> None:
        """Let the time of one line pass: its delay, then the gate after ``count`` lines."""
        self.waiter.pause(delay_s)
        self.waiter.reach(count)

    def _write(self, items: Iterable[Item], pace: Pace = float) -> None:
        for count, item in enumerate(items):
            if item is HANG:
                self.reply.write(b"")
                self.waiter.stay()
            self.step(count, pace())
            self._sent(200)
            if isinstance(item, Cut):
                self.reply.cut(item)
            elif isinstance(item, bytes):
                self.reply.write(item)
                self.recorded.lines = count + 1
                if self.board.watched:
                    self.board.notify()

    def _end(self) -> None:
        """Finish an answer whose last line is out; a client that leaves now has got it all."""
        self.settle()
        try:
            self.reply.end()
        except Gone as exc:
            raise ConnectionOver from exc

    def _sent(self, status: int) -> None:
        if self.recorded.status is None:
            self.board.update(self.recorded, status=status)


def error_line(refused: Refused) -> bytes:
    return encode_line(refused.body) if refused.newline else encode_json(refused.body)


def _settled(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Turn an error after the first line into a line."""
    count = 0
    try:
        for line in lines:
            count += 1
            yield line
    except Refused as refused:
        if count == 0:
            raise
        yield error_line(refused)


def _length(items: Sequence[Item]) -> int:
    """What Content-Length promises: what is cut off or held back counts too."""
    total = 0
    for item in items:
        if item is HANG:
            total += 1024
        elif isinstance(item, Cut):
            total += len(item.data) + item.missing
        else:
            total += len(item)
    return total
