"""Which addresses a server may have."""

from __future__ import annotations

import pytest

from gateway.errors import InvalidRequest
from gateway.ollama.server_url import check_address, normalise, split

GOOD = {
    "http://127.0.0.1:11434": "http://127.0.0.1:11434",
    "127.0.0.1": "http://127.0.0.1:11434",
    "gpu-box": "http://gpu-box:11434",
    "GPU-Box.Local:8080": "http://gpu-box.local:8080",
    ":11434": "http://127.0.0.1:11434",
    "http://gpu-box": "http://gpu-box",
    "http://gpu-box:80/": "http://gpu-box",
    "https://ollama.example.org:443": "https://ollama.example.org",
    "https://example.org/ollama/": "https://example.org/ollama",
    "http://10.0.0.5:11434/api": "http://10.0.0.5:11434",
    "http://10.0.0.5:11434/v1/chat/completions": "http://10.0.0.5:11434",
    "https://example.org/llm/api/": "https://example.org/llm",
    "http://0.0.0.0:11434": "http://127.0.0.1:11434",
    "http://[::1]:11434": "http://[::1]:11434",
    "http://[::]:11434": "http://[::1]:11434",
    "http://[fd12:3456::1]:11434": "http://[fd12:3456::1]:11434",
    "http://[FD12:3456:0:0::1]:11434": "http://[fd12:3456::1]:11434",
    "  http://192.168.1.20:11434  ": "http://192.168.1.20:11434",
    "http://host.docker.internal:11434": "http://host.docker.internal:11434",
    "ollama_1:11434": "http://ollama_1:11434",
    "http://172.17.0.1:11434": "http://172.17.0.1:11434",
}


@pytest.mark.parametrize(("text", "expected"), GOOD.items(), ids=GOOD)
def test_an_address_is_kept_in_one_form(text, expected):
    assert normalise(text) == expected
    assert normalise(expected) == expected


BAD = {
    "": "Enter the address",
    "   ": "Enter the address",
    "file:///etc/passwd": "must begin with http",
    "ftp://host": "must begin with http",
    "gopher://host:70": "must begin with http",
    "unix:///var/run/ollama.sock": "must begin with http",
    "http+unix://%2Fvar%2Frun%2Follama.sock": "must begin with http",
    "javascript://x": "must begin with http",
    "http://user:secret@host:11434": "authorization header",
    "http://user@host": "authorization header",
    "user:pw@host": "authorization header",
    "http://@host": "authorization header",
    "http://host:0": "port",
    "http://host:65536": "port",
    "http://host:abc": "port",
    "http://host?x=1": "query",
    "http://host/#frag": "query",
    "http://host#": "query",
    "http://": "host name",
    "http:///path": "host name",
    "http://ho st": "plain characters",
    "http://host\r\nX: 1": "plain characters",
    "http://host\\@evil": "plain characters",
    "http://höst": "plain characters",
    "http://１２７.0.0.1": "plain characters",
    "http://①②⑦.0.0.1": "plain characters",
    "http://-bad-": "host name",
    "http://a..b": "host name",
    "http://" + "a" * 64: "host name",
    "http://" + "a." * 300 + "b": "plain characters",
    "http://[::1": "brackets",
    "http://[::zz]": "IPv6|brackets",
    "http://[1:2:3]": "IPv6|brackets",
    "http://169.254.169.254": "metadata",
    "169.254.169.254": "metadata",
    "http://169.254.1.1:11434": "metadata",
    "http://169.254.169.254.": "four decimal",
    "http://2852039166": "four decimal",
    "http://0xa9fea9fe": "four decimal",
    "http://0xa9.0xfe.0xa9.0xfe": "four decimal",
    "http://0251.0376.0251.0376": "four decimal",
    "http://169.254.43518": "four decimal",
    "http://127.1": "four decimal",
    "http://010.0.0.1": "four decimal",
    "http://[fe80::1]": "metadata",
    "http://[fe80::1%25eth0]": "metadata",
    "http://[::ffff:169.254.169.254]": "metadata",
    "http://[::169.254.169.254]": "metadata",
    "http://[64:ff9b::a9fe:a9fe]": "metadata",
    "http://[2002:a9fe:a9fe::1]": "metadata",
    "http://[fd00:ec2::254]": "metadata",
    "http://100.100.100.200": "metadata",
    "http://168.63.129.16": "metadata",
    "http://metadata.google.internal": "metadata",
    "http://METADATA.google.internal.": "metadata",
    "http://metadata": "metadata",
    "http://instance-data": "metadata",
    "http://224.0.0.1": "Multicast",
    "http://255.255.255.255": "Multicast",
    "http://[ff02::1]": "Multicast",
}


@pytest.mark.parametrize(("text", "words"), BAD.items(), ids=map(repr, BAD))
def test_an_address_that_must_not_be_called_is_refused_in_words(text, words):
    with pytest.raises(InvalidRequest, match=words) as caught:
        normalise(text)

    assert caught.value.param == "url"
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fe80::1%eth0", "fd00:ec2::254", "::ffff:169.254.0.1", "nonsense"],
)
def test_an_address_a_name_resolved_to_is_checked(address):
    with pytest.raises(InvalidRequest):
        check_address(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.0.9", "::1", "8.8.8.8"])
def test_private_and_public_addresses_pass(address):
    check_address(address)


def test_an_address_is_taken_apart():
    assert split("http://[::1]:11434") == ("http", "::1", 11434)
    assert split("https://example.org/ollama") == ("https", "example.org", 443)
    assert split("http://example.org") == ("http", "example.org", 80)
