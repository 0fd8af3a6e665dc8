"""A real gateway tells of a server that is down within ten seconds, by what it really sends."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fake_ollama import FakeOllama
from gateway.core.admin import SYSTEM
from tests.support.process import Gateway, until
from tests.support.receivers import mailbox, webhook

pytestmark = pytest.mark.process


def test_a_server_that_ends_is_told_within_ten_seconds(tmp_path: Path) -> None:
    people = {"kind": "email", "sender": "g@example.org", "recipients": ["ops@example.org"]}
    with (
        webhook() as hook,
        mailbox() as box,
        FakeOllama() as ollama,
        Gateway(tmp_path / "data", ollama_url=ollama.url, issue_key=False) as gateway,
    ):
        with gateway.parts() as parts:
            parts.alert_targets.create({"name": "hook", "url": hook.url}, SYSTEM)
            parts.alert_targets.create({"name": "mail", "url": box.url, **people}, SYSTEM)
        ollama.stop()
        ended_s = time.monotonic()
        until(lambda: hook.got and box.mails, "both messages")
        took_s = time.monotonic() - ended_s

    print(f"told after {took_s:.1f} s")
    assert took_s < 10
    assert [body["rule"] for body in hook.bodies] == ["server_down"]
    assert "Ollama server down" in box.mails[0]
    assert hook.url not in "".join(gateway.log)
