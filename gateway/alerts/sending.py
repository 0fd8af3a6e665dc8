"""Sends one message to one target, in LIMIT_S at most, and says in words what became of it.

Only addresses that were checked are connected to, so a name that changes its answer gains nothing;
no redirect, proxy, cookie or netrc. What a target answers is never shown: its status decides.
The words of an outcome hold neither address nor token, as they are logged and shown.
"""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
import threading
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import certifi
import requests
from requests.structures import CaseInsensitiveDict

from gateway.alerts.messages import Text, http_body, mail
from gateway.errors import Message
from gateway.ollama import server_url
from gateway.ollama.addresses import AddressBook, ForbiddenAddress, LateAnswer
from gateway.ollama.http import FOREIGN, Connection, DirectAdapter
from gateway.ollama.time_limits import Stalled, Timeouts
from gateway.runtime import tasks
from gateway.schemas.alert import AlertTarget

log = logging.getLogger(__name__)

LIMIT_S: Final = 5.0
_TLS_PORT: Final = 465
_SUBMISSION_PORT: Final = 587
_LOOK_UPS: Final = threading.BoundedSemaphore(2)
"""A name server that hangs keeps no look-up of an Ollama server waiting."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a message was taken, and what is to be said of it."""

    is_sent: bool
    words: Message


SENT: Final = Outcome(True, Message("Sent."))
_LATE: Final = Message("It did not answer in time.")
_REFUSED: Final = Message("It refuses the token or password.")


class _Failed(Exception):
    """It was not sent; `words` say why."""

    def __init__(self, words: Message) -> None:
        super().__init__(words)
        self.words = words


_EXPECTED: Final = (_Failed, requests.RequestException, ValueError, *FOREIGN)


def send(target: AlertTarget, text: Text) -> Outcome:
    """Send a message, in a task of its own that is given up after LIMIT_S. Never raises."""
    task = tasks.spawn(_send, target, text)
    if not task.wait(LIMIT_S):
        task.interrupt("too late")
        return Outcome(False, _LATE)
    return task.result()


def _send(target: AlertTarget, text: Text) -> Outcome:
    try:
        (_mail if target.kind == "email" else _post)(target, text)
    except Exception as error:
        if not isinstance(error, _EXPECTED):
            log.error("an alert could not be sent: %s", type(error).__name__)
        return Outcome(False, _words(error))
    return SENT


def _post(target: AlertTarget, text: Text) -> None:
    url, body = http_body(target, text)
    prepared = requests.Request("POST", url).prepare()
    headers = {
        "Host": urlsplit(url).netloc,
        "User-Agent": "ollama2openai",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if target.token:
        headers["Authorization"] = f"Bearer {target.token}"
    prepared.headers, prepared.body = CaseInsensitiveDict(headers), body
    adapter = DirectAdapter(url, pool_size=0, addresses=_addresses())
    limits = Timeouts(LIMIT_S, LIMIT_S, LIMIT_S)
    response = adapter.send(prepared, stream=True, timeout=limits)
    response.raw.close()
    status = response.status_code
    if 300 <= status < 400:
        raise _Failed(Message("It leads to another address, which is not followed."))
    if status in {401, 403}:
        raise _Failed(_REFUSED)
    if status == 404:
        raise _Failed(Message("There is nothing at this address."))
    if status >= 400:
        raise _Failed(Message("It answered with an error."))


def _mail(target: AlertTarget, text: Text) -> None:
    parts = urlsplit(target.url)
    host, port = parts.hostname or "", parts.port or _SUBMISSION_PORT
    context = ssl.create_default_context(cafile=certifi.where())
    is_private = port == _TLS_PORT
    connection = Connection()
    try:
        connection.connect(host, port, _addresses(), context if is_private else None, LIMIT_S)
        assert connection.sock is not None
        connection.sock.settimeout(LIMIT_S)
        with closing(_Smtp(connection.sock, host, port)) as smtp:
            smtp.ehlo()
            if not is_private and smtp.has_extn("starttls"):
                smtp.starttls(context=context)
                smtp.ehlo()
                is_private = True
            if target.token and not is_private:
                raise _Failed(Message("It offers no encryption: the password was not sent."))
            if target.token:
                smtp.login(target.username or target.sender, target.token)
            smtp.send_message(mail(target, text))
            with suppress(OSError):  # the mail is taken, whatever follows
                smtp.quit()
    finally:
        connection.close()


class _Smtp(smtplib.SMTP):
    """SMTP over a connection that is there already; `host` is what its certificate must name."""

    def __init__(self, connected: socket.socket, host: str, port: int) -> None:
        self._connected = connected
        super().__init__(host, port, timeout=LIMIT_S)

    def connect(
        self, host: str = "", port: int = 0, source_address: Any = None
    ) -> tuple[int, bytes]:
        """Use the connection; return how the server greets."""
        self.sock = self._connected
        return self.getreply()


def _addresses() -> AddressBook:
    return AddressBook(allows=server_url.may_be, turns=_LOOK_UPS)


def _words(error: Exception) -> Message:
    match error:
        case _Failed():
            return error.words
        case ForbiddenAddress():
            return Message("Link-local and cloud metadata addresses are not allowed.")
        case TimeoutError() | Stalled() | LateAnswer():
            return _LATE
        case socket.gaierror():
            return Message("Its name leads to no address.")
        case ssl.SSLCertVerificationError():
            return Message("Its certificate cannot be verified.")
        case ConnectionRefusedError():
            return Message("It refuses the connection.")
        case smtplib.SMTPAuthenticationError():
            return _REFUSED
        case smtplib.SMTPSenderRefused() | smtplib.SMTPRecipientsRefused():
            return Message("The mail server does not take this sender or recipient.")
        case smtplib.SMTPServerDisconnected():
            return Message("It ended the connection.")
        case smtplib.SMTPException():
            return Message("The mail server answered with an error.")
        case OSError():
            return Message("It cannot be reached.")
        case _:
            return Message("It did not answer as was expected.")
