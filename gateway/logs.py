"""Logs: one event one line, a request id on each, secrets masked, and never a wait for a full pipe.

Records go to a bounded queue and are written by a thread of their own; when the reader of our
output stalls, lines are dropped and counted rather than requests held up.
"""

from __future__ import annotations

import contextvars
import json
import logging
import os
import re
import select
import sys
import threading
from _queue import SimpleQueue  # the interpreter's own, which gevent leaves as it is
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty

REQUEST_ID: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")

_MAX_VALUE = 256
_MAX_LINE = 8_192
_QUEUE = 10_000
_AT_ONCE = 1_000
PAUSE_S = 0.02
FLUSH_S = 2.0
_SECRET = re.compile(
    r"(sk-[A-Za-z0-9_-]{2})[A-Za-z0-9_\-]{6,}"
    r"|(?i:(authorization|x-api-key|api-key|cookie)(['\"]?\s*[:=]\s*))(?:(?i:bearer|basic)\s+)?\S+"
    r"|(?i:(bearer\s+))\S+"
    r"|(://[^/\s:@]*:)[^@\s/]+@"
)
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
"""Also what turns the direction of a text round, and halves of characters that nobody can write."""


def _mask(match: re.Match[str]) -> str:
    key, header, gap, bearer, userinfo = match.groups()
    if key:
        return f"{key}…"
    if bearer:
        return f"{bearer}***"
    if header:
        return f"{header}{gap}***"
    return f"{userinfo}***@"


def clean(text: str, limit: int = _MAX_VALUE) -> str:
    """Make foreign text harmless in a log line: no control characters, bounded, masked."""
    masked = _SECRET.sub(_mask, text[: limit * 2])
    return _CONTROL.sub(lambda m: ascii(m.group())[1:-1], masked)[:limit]


class RequestIdFilter(logging.Filter):
    """Puts the request id of the current call on each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = REQUEST_ID.get()
        return True


class LineFormatter(logging.Formatter):
    """Text for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line = (
            f"{_time(record)} {record.levelname:<7} {record.name} "
            f"[{getattr(record, 'request_id', '-')}] {_message(record)}"
        )
        told = "".join(f" {name}={value!r}" for name, value in _fields(record).items())
        return clean(line + told, _MAX_LINE)


class JsonFormatter(logging.Formatter):
    """JSON for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object on one line."""
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": clean(_message(record), _MAX_LINE),
        }
        return json.dumps(entry | _fields(record), ensure_ascii=False, default=str)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """Return what a record says beside its words: `extra={"fields": {...}}`, harmless texts."""
    given = getattr(record, "fields", None) or {}
    return {name: clean(v) if isinstance(v, str) else v for name, v in given.items()}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.exc_info and record.exc_info[0] is not None:
        # Types and places only: values in a traceback may hold prompts.
        trace = []
        tb = record.exc_info[2]
        while tb is not None:
            code = tb.tb_frame.f_code
            trace.append(f"{code.co_filename.rpartition('/')[2]}:{tb.tb_lineno} {code.co_name}")
            tb = tb.tb_next
        text = f"{text} | {record.exc_info[0].__name__} at {' < '.join(reversed(trace[-8:]))}"
    return text


class QueuedWriter(logging.Handler):
    """Hands records to a thread of the system, which makes lines of them and writes those.

    Never waits: a full queue drops the record and counts it. The thread is one that no event loop
    knows, since a reader that stalls must hold up nothing else; it takes what came within PAUSE_S
    at once, so that it seldom asks for the interpreter.
    """

    dropped = 0

    def __init__(self, start: Callable[[Callable[[], None]], None]) -> None:
        super().__init__()
        self.addFilter(RequestIdFilter())
        self._queue: SimpleQueue[logging.LogRecord | SimpleQueue[None]] = SimpleQueue()
        self._clock: SimpleQueue[None] = SimpleQueue()
        start(self._work)

    def handle(self, record: logging.LogRecord) -> bool:
        """Queue a record; no lock is needed for that."""
        if not self.filter(record):
            return False
        if self._queue.qsize() >= _QUEUE:
            type(self).dropped += 1
            return True
        try:
            self._queue.put(_detached(record))
        except (TypeError, ValueError):  # the arguments do not fit the words
            self.handleError(record)
        return True

    def flush(self) -> None:
        """Wait until everything that is queued is written, at most FLUSH_S."""
        mark: SimpleQueue[None] = SimpleQueue()
        self._queue.put(mark)
        with suppress(Empty):
            mark.get(timeout=FLUSH_S)

    def _work(self) -> None:
        while True:
            entries = [self._queue.get()]
            with suppress(Empty):
                if isinstance(entries[0], logging.LogRecord):
                    self._clock.get(timeout=PAUSE_S)  # sleeps, whatever time.sleep has become
            with suppress(Empty):
                while len(entries) < _AT_ONCE:
                    entries.append(self._queue.get_nowait())
            self._write([entry for entry in entries if isinstance(entry, logging.LogRecord)])
            for entry in entries:
                if not isinstance(entry, logging.LogRecord):
                    entry.put(None)

    def _write(self, records: Sequence[logging.LogRecord]) -> None:
        with suppress(OSError, ValueError):  # a closed or broken stderr is nobody's fault here
            sys.stderr.write("".join(self.format(record) + "\n" for record in records))
            sys.stderr.flush()


class StderrHandler(logging.Handler):
    """Writes what stderr takes at once, else drops the line: for gunicorn's master, which has no
    thread of its own to wait for a reader."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line if there is room for one. No call is served yet, so an error may say why."""
        cause = f": {clean(str(record.exc_info[1]))}" if record.exc_info else ""
        line = f"{self.format(record)}{cause}".encode(errors="replace")[: select.PIPE_BUF - 1]
        with suppress(OSError, ValueError):
            if select.select((), (2,), (), 0)[1]:
                os.write(2, line + b"\n")


def _detached(record: logging.LogRecord) -> logging.LogRecord:
    """Leave only texts on a record: what else hangs on it must not end in a foreign thread."""
    record.msg, record.args = _message(record), None
    record.exc_info = None
    return record


def _start_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="logs", daemon=True).start()


_writer: QueuedWriter | None = None


def configure(
    level: str = "INFO",
    style: str = "text",
    start: Callable[[Callable[[], None]], None] = _start_thread,
) -> None:
    """Set up the root logger once a process; later calls only change level and style.

    `start` begins the thread that writes.
    """
    global _writer
    root = logging.getLogger()
    root.setLevel(level.upper())
    if _writer is None:
        _writer = QueuedWriter(start)
        root.handlers[:] = [_writer]
        for noisy in ("urllib3", "alembic", "werkzeug"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
    _writer.setFormatter(JsonFormatter() if style == "json" else LineFormatter())


def adopt(name: str) -> None:
    """Have a foreign logger write through ours: masked, never waiting for a pipe, and with the
    kinds of errors instead of their words."""
    logger = logging.getLogger(name)
    logger.handlers.clear()
    logger.propagate = True
    logger.addFilter(_only_kinds)


def _only_kinds(record: logging.LogRecord) -> bool:
    """Name the kinds of errors: gunicorn's own words repeat what a stranger sent."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            type(arg).__name__ if isinstance(arg, BaseException) else arg for arg in record.args
        )
    return True


def spare() -> None:
    """Leave out of records what no line shows: where they come from, threads, processes."""
    logging._srcfile = None  # documented: saves a walk up the stack
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False


def close() -> None:
    """Write what is queued."""
    if _writer is not None:
        _writer.flush()
