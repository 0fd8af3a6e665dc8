"""A message goes to each kind of target, and a target that misbehaves is given up in words."""

from __future__ import annotations

import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.alerts import sending
from gateway.alerts.messages import Text, text_of
from gateway.ollama import addresses
from gateway.schemas.alert import AlertTarget
from gateway.store.alerts import Told
from gateway.web.words import in_language
from tests.ollama.certificates import make_certificate
from tests.support.receivers import hanging, mailbox, webhook

AT = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
TEXT = Text("disk", "Disk nearly full", ("3 GB <are> free",), 1, "https://ai.example/admin", AT)
TOKEN = "t0p-secret-token"


def target(kind: str, url: str, **more: Any) -> AlertTarget:
    return AlertTarget(1, "ops", kind, url, **more)  # type: ignore[arg-type]


def mail_target(url: str, **more: Any) -> AlertTarget:
    people = {"sender": "gateway@example.org", "recipients": ("ops@example.org", "b@example.org")}
    return target("email", url, **people, **more)


def test_a_webhook_gets_json_and_the_token() -> None:
    with webhook() as hook:
        outcome = sending.send(target("webhook", f"{hook.url}/hook?x=1", token=TOKEN), TEXT)

    assert outcome == sending.SENT
    ((path, headers, body),) = hook.got
    assert (path, headers["Authorization"]) == ("/hook?x=1", f"Bearer {TOKEN}")
    assert body == {
        "product": "Ollama2OpenAI",
        "rule": "disk",
        "title": "Disk nearly full",
        "lines": ["3 GB <are> free"],
        "count": 1,
        "link": "https://ai.example/admin",
        "at": "2026-11-30T12:00:00+00:00",
    }


def test_ntfy_gets_a_message_for_its_topic() -> None:
    with webhook() as hook:
        sending.send(target("ntfy", f"{hook.url}/base/ops"), TEXT)

    assert hook.got[0][0] == "/base/"
    assert hook.bodies[0] == {
        "topic": "ops",
        "title": "Ollama2OpenAI: Disk nearly full",
        "message": "3 GB <are> free",
        "priority": 4,
        "tags": ["warning"],
        "click": "https://ai.example/admin",
    }


def test_slack_gets_escaped_text() -> None:
    with webhook() as hook:
        sending.send(target("slack", f"{hook.url}/services/T/B/x"), TEXT)

    words = "*Ollama2OpenAI: Disk nearly full*\n3 GB &lt;are&gt; free\nhttps://ai.example/admin"
    assert hook.bodies == [{"text": words}]


def test_a_mail_goes_to_everybody_named() -> None:
    with mailbox() as box:
        outcome = sending.send(mail_target(box.url), TEXT)

    assert outcome == sending.SENT
    (mail,) = box.mails
    assert "Subject: Ollama2OpenAI: Disk nearly full" in mail
    assert "3 GB <are> free" in mail
    assert [one for one in box.commands if one.startswith("rcpt")] == [
        "rcpt TO:<ops@example.org>",
        "rcpt TO:<b@example.org>",
    ]


def test_a_chinese_mail_can_be_read() -> None:
    told = Told(mail_target("smtp://x", language="zh"), "disk", "x", "盘")
    text = text_of([told], "", in_language, AT)
    with mailbox() as box:
        sending.send(mail_target(box.url), text)

    assert text.title == "磁盘快满了"
    assert "=?utf-8?" in box.mails[0]


def test_a_password_goes_over_no_plain_connection() -> None:
    with mailbox() as box:
        outcome = sending.send(mail_target(box.url, token=TOKEN), TEXT)

    assert outcome.words == "It offers no encryption: the password was not sent."
    assert box.mails == []
    assert not any(TOKEN in line or "auth" in line.lower() for line in box.commands)


@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_password_goes_to_a_mail_server_whose_certificate_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_trusted: bool
) -> None:
    certificate = make_certificate(tmp_path)
    if is_trusted:
        monkeypatch.setattr(sending.certifi, "where", lambda: str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with mailbox(tls=context) as box:
        outcome = sending.send(mail_target(box.url, username="ops", token=TOKEN), TEXT)

    credentials = "AUTH PLAIN " + b64encode(b"\0ops\0" + TOKEN.encode()).decode()
    assert (credentials in box.commands, len(box.mails)) == (is_trusted, int(is_trusted))
    assert is_trusted or outcome.words == "Its certificate cannot be verified."
    assert box.commands.index("STARTTLS") == 1


@pytest.mark.parametrize(
    ("status", "location", "words"),
    [
        (302, "http://127.0.0.1:1/", "It leads to another address, which is not followed."),
        (307, "http://169.254.169.254/", "It leads to another address, which is not followed."),
        (401, "", "It refuses the token or password."),
        (404, "", "There is nothing at this address."),
        (500, "", "It answered with an error."),
    ],
)
def test_what_a_webhook_answers_is_told(status: int, location: str, words: str) -> None:
    with webhook(status, location) as hook:
        outcome = sending.send(target("webhook", hook.url), TEXT)

    assert (outcome.is_sent, outcome.words) == (False, words)
    assert len(hook.got) == 1


@pytest.mark.parametrize("command", ["MAIL", "RCPT"])
def test_a_mail_that_is_refused_is_told(command: str) -> None:
    with mailbox(refuses=command) as box:
        outcome = sending.send(mail_target(box.url), TEXT)

    assert outcome.words == "The mail server does not take this sender or recipient."


@pytest.mark.parametrize("make", [target, mail_target], ids=["webhook", "mail"])
def test_one_that_hangs_is_given_up(
    make: Callable[..., AlertTarget], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "LIMIT_S", 0.5)
    with hanging() as port:
        one = (
            mail_target(f"smtp://127.0.0.1:{port}")
            if make is mail_target
            else target("webhook", f"http://127.0.0.1:{port}/")
        )
        started_s = time.monotonic()
        outcome = sending.send(one, TEXT)

    assert outcome.words == "It did not answer in time."
    assert time.monotonic() - started_s < 2


def test_one_that_refuses_the_connection_is_told() -> None:
    with hanging() as port:
        pass
    outcome = sending.send(target("webhook", f"http://127.0.0.1:{port}/"), TEXT)

    assert outcome.words == "It refuses the connection."


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "fd00:ec2::254"])
@pytest.mark.parametrize("scheme", ["http", "smtp"])
def test_a_name_that_leads_to_metadata_is_not_connected_to(
    address: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = [(family, socket.SOCK_STREAM, 6, "", (address, 80))]
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *args: found)
    url = f"{scheme}://hooks.example.org/"
    outcome = sending.send(mail_target(url) if scheme == "smtp" else target("slack", url), TEXT)

    assert outcome.words == "Link-local and cloud metadata addresses are not allowed."


def test_neither_address_nor_token_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    receivers: list[AbstractContextManager[Any]] = [webhook(500), webhook(302, "/x")]
    for receiver in receivers:
        with receiver as hook:
            sending.send(target("webhook", f"{hook.url}/{TOKEN}", token=TOKEN), TEXT)
    sending.send(target("webhook", f"http://[::1/{TOKEN}", token=TOKEN), TEXT)

    assert TOKEN not in caplog.text
