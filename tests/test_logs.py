"""What may stand in a log line."""

from __future__ import annotations

import gc
import json
import logging
import select
import weakref
from collections.abc import Callable

import pytest
from gunicorn.http.errors import InvalidRequestLine

from gateway import logs
from gateway.logs import JsonFormatter, LineFormatter, QueuedWriter, clean
from gateway.runtime import tasks

SECRETS = [
    ("sk-o2a-abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghij"),
    ("Authorization: Bearer topsecretvalue", "topsecretvalue"),
    ("x-api-key=hunter2hunter2", "hunter2hunter2"),
    ("'Cookie': 'session=abc123'", "abc123"),
    ("postgresql://gateway:pa55word@db/gateway", "pa55word"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_are_masked(text: str, secret: str) -> None:
    assert secret not in clean(text)


@pytest.mark.parametrize(
    "hostile",
    ["a\nb", "a\r\nb", "a\x1b[31mb", "a\u2028b", "a\x00b", "a\u202eb", "a\u2066b", "a\ud800b"],
)
@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()])
def test_one_event_is_one_line(hostile: str, formatter: logging.Formatter) -> None:
    record = logging.LogRecord("gateway", logging.INFO, __file__, 1, "said %s", (hostile,), None)

    line = formatter.format(record)

    assert len(line.splitlines()) == 1
    assert not set("\x1b\u202e\u2066\ud800") & set(line)


def test_a_foreign_logger_names_kinds_of_errors_only(caplog: pytest.LogCaptureFixture) -> None:
    foreign = logging.getLogger("a.foreign.one")
    logs.adopt(foreign.name)

    with caplog.at_level(logging.DEBUG):
        foreign.debug("Closing connection. %s", InvalidRequestLine("my secret diary"))

    assert caplog.messages == ["Closing connection. InvalidRequestLine"]


def test_the_master_writes_why_a_worker_could_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(logs.os, "write", lambda _, line: written.append(line))
    handler = logs.StderrHandler()
    handler.setFormatter(LineFormatter())
    try:
        raise ValueError("PORT:\nis in use")
    except ValueError as error:
        cause = (ValueError, error, error.__traceback__)
    handler.emit(logging.LogRecord("g", logging.ERROR, __file__, 1, "boot failed", (), cause))
    handler.emit(_record("x" * 100_000))

    assert written[0].endswith(b": PORT:\\nis in use\n")
    assert [line.count(b"\n") for line in written] == [1, 1]
    assert len(written[1]) <= select.PIPE_BUF


def test_values_are_bounded() -> None:
    assert len(clean("x" * 1_000_000)) == 256


def test_a_traceback_names_places_but_no_values() -> None:
    try:
        raise ValueError("the prompt: my secret diary")
    except ValueError:
        import sys

        record = logging.LogRecord("g", logging.ERROR, __file__, 1, "fault", (), sys.exc_info())

    entry = json.loads(JsonFormatter().format(record))

    assert "ValueError" in entry["message"]
    assert "test_logs.py" in entry["message"]
    assert "diary" not in entry["message"]


@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()])
def test_what_stands_beside_the_words_is_told_and_masked(formatter: logging.Formatter) -> None:
    record = _record("a call failed")
    record.fields = {"server": "attic", "cause": "Bearer topsecretvalue\n", "status": 502}

    line = formatter.format(record)

    assert "attic" in line
    assert "502" in line
    assert "topsecretvalue" not in line
    assert len(line.splitlines()) == 1


def _record(message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("gateway", logging.INFO, __file__, 1, message, args, None)


def _never(work: Callable[[], None]) -> None:
    """Stands for a thread whose reader stalled."""


def test_lines_stand_in_order_after_a_flush(capsys: pytest.CaptureFixture[str]) -> None:
    writer = QueuedWriter(tasks.system_thread)
    writer.setFormatter(LineFormatter())
    capsys.readouterr()  # of another test's writer
    for number in range(2_500):
        writer.handle(_record("line %d", number))
    writer.flush()

    lines = [line for line in capsys.readouterr().err.splitlines() if " line " in line]
    written = [line.rpartition(" ")[2] for line in lines]
    assert written == [str(number) for number in range(2_500)]


def test_a_reader_that_stalls_costs_lines_not_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_QUEUE", 10)
    monkeypatch.setattr(QueuedWriter, "dropped", 0)
    writer = QueuedWriter(_never)
    for number in range(15):
        writer.handle(_record("line %d", number))

    assert QueuedWriter.dropped == 5


def test_a_waiting_line_keeps_nothing_alive() -> None:
    class Held:
        pass

    held = Held()
    gone = weakref.ref(held)
    writer = QueuedWriter(_never)
    writer.handle(_record("holding %s", held))
    del held
    gc.collect()

    assert gone() is None


def test_arguments_that_do_not_fit_raise_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    writer = QueuedWriter(_never)

    assert writer.handle(_record("%d of %d", "one"))
