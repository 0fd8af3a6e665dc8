"""Servers behind TLS."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gateway.errors import UpstreamUnreachable
from tests.ollama.certificates import tls_server
from tests.ollama.raw_server import RawServer
from tests.ollama.talk import ask, client_of, text_of
from tests.ollama.test_http import WHOLE


def test_a_certificate_nobody_vouches_for_is_not_accepted(certificate: Path) -> None:
    with (
        tls_server(certificate, [WHOLE]) as raw,
        client_of(raw.url) as client,
        pytest.raises(UpstreamUnreachable) as caught,
    ):
        ask(client)

    assert "certificate" in caught.value.message
    assert raw.requests == []


@pytest.mark.parametrize("how", ["vouched for", "not looked at"])
def test_a_connection_with_tls_is_used_again(certificate: Path, how: str) -> None:
    fields = (
        {"tls_ca_file": str(certificate)}
        if how == "vouched for"
        else {"tls_verify": False, "tls_ca_file": "/nowhere"}
    )

    with tls_server(certificate, [WHOLE, WHOLE]) as raw, client_of(raw.url, **fields) as client:
        assert text_of(ask(client)) == text_of(ask(client)) == "Hello"

    assert len(raw.requests) == 2


def test_an_idle_connection_with_tls_that_was_closed_is_replaced(certificate: Path) -> None:
    with (
        tls_server(certificate, [WHOLE], [WHOLE]) as raw,
        client_of(raw.url, tls_verify=False) as client,
    ):
        assert text_of(ask(client)) == "Hello"
        raw.wait_closed(1)
        assert text_of(ask(client)) == "Hello"


def test_a_file_of_certificates_that_is_missing_is_told() -> None:
    with RawServer([]) as raw:
        url = raw.url.replace("http://", "https://")
        with (
            client_of(url, tls_ca_file="/nowhere.pem") as client,
            pytest.raises(UpstreamUnreachable),
        ):
            ask(client)


def test_a_handshake_that_is_never_answered_meets_the_limit_of_connecting() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"

    with (
        listener,
        client_of(url, connect_s=0.05, tls_verify=False) as client,
        pytest.raises(UpstreamUnreachable) as caught,
    ):
        ask(client)

    assert caught.value.code == "upstream_timeout"


def test_a_server_that_speaks_no_tls_is_told() -> None:
    with RawServer(lambda sock: sock.sendall(WHOLE)) as raw:
        url = raw.url.replace("http://", "https://")
        with client_of(url, tls_verify=False) as client, pytest.raises(UpstreamUnreachable):
            ask(client)
