"""Logs: one event one line, a request id on each, secrets masked, and never a wait for a full pipe.

Records go to a bounded queue and are written by a thread of their own; when the reader of our
output stalls, lines are dropped and
counted rather than requests held up.
"""

from __future__ import annotations

import contextvars
import json
import logging
import queue
import re
import sys
import threading
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener

REQUEST_ID: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")

_MAX_VALUE = 256
_MAX_LINE = 8_192
_QUEUE = 10_000
_SECRET = re.compile(
    r"(sk-[A-Za-z0-9_-]{2})[A-Za-z0-9_\-]{6,}"
    r"|(?i:(authorization|x-api-key|api-key|cookie)(['\"]?\s*[:=]\s*))(?:(?i:bearer|basic)\s+)?\S+"
    r"|(?i:(bearer\s+))\S+"
    r"|(://[^/\s:@]*:)[^@\s/]+@"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def redact(text: str) -> str:
    """Mask keys, bearer tokens, cookies and passwords in addresses."""
    return _SECRET.sub(_mask, text)


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
    return _CONTROL.sub(lambda m: f"\\x{ord(m.group()):02x}", redact(text[: limit * 2]))[:limit]


class RequestIdFilter(logging.Filter):
    """Puts the request id of the current call on each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = REQUEST_ID.get()
        return True


class LineFormatter(logging.Formatter):
    """Text for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one line."""
        line = (
            f"{_time(record)} {record.levelname:<7} {record.name} "
            f"[{getattr(record, 'request_id', '-')}] {_message(record)}"
        )
        return clean(line, _MAX_LINE)


class JsonFormatter(logging.Formatter):
    """JSON for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one JSON object on one line."""
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": clean(_message(record), _MAX_LINE),
        }
        extra = getattr(record, "fields", None)
        if isinstance(extra, dict):
            entry |= {k: clean(v) if isinstance(v, str) else v for k, v in extra.items()}
        return json.dumps(entry, ensure_ascii=False, default=str)


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


class DroppingQueueHandler(QueueHandler):
    """Never waits: a full queue drops the record and counts it."""

    dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put without waiting."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            type(self).dropped += 1

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Keep the record whole: it stays in this process."""
        return record


_lock = threading.Lock()
_listener: QueueListener | None = None


def configure(level: str = "INFO", style: str = "text") -> None:
    """Set up the root logger once a process; later calls only change level and style."""
    global _listener
    formatter = JsonFormatter() if style == "json" else LineFormatter()
    with _lock:
        root = logging.getLogger()
        root.setLevel(level.upper())
        if _listener is not None:
            _listener.handlers[0].setFormatter(formatter)
            return
        output = logging.StreamHandler(sys.stderr)
        output.setFormatter(formatter)
        entrance = DroppingQueueHandler(queue.Queue(_QUEUE))
        entrance.addFilter(RequestIdFilter())
        _listener = QueueListener(entrance.queue, output)
        _listener.start()
        root.handlers[:] = [entrance]
        for noisy in ("urllib3", "alembic", "werkzeug"):
            logging.getLogger(noisy).setLevel(logging.WARNING)


def close() -> None:
    """Write what is queued and stop."""
    global _listener
    with _lock:
        if _listener is not None:
            _listener.stop()
            _listener = None
