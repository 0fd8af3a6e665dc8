"""What may stand in a log line."""

from __future__ import annotations

import json
import logging

import pytest

from gateway.logs import JsonFormatter, LineFormatter, clean, redact

SECRETS = [
    ("sk-o2a-abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghij"),
    ("Authorization: Bearer topsecretvalue", "topsecretvalue"),
    ("x-api-key=hunter2hunter2", "hunter2hunter2"),
    ("'Cookie': 'session=abc123'", "abc123"),
    ("postgresql://gateway:pa55word@db/gateway", "pa55word"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_are_masked(text: str, secret: str) -> None:
    assert secret not in redact(text)


@pytest.mark.parametrize("hostile", ["a\nb", "a\r\nb", "a\x1b[31mb", "a\u2028b", "a\x00b"])
@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()])
def test_one_event_is_one_line(hostile: str, formatter: logging.Formatter) -> None:
    record = logging.LogRecord("gateway", logging.INFO, __file__, 1, "said %s", (hostile,), None)

    line = formatter.format(record)

    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


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
