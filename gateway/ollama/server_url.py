"""Which addresses may stand for an Ollama server, and how they are written.

An admin may name private addresses: Ollama lives there. Refused are other schemes than http and
https, credentials inside the address (they belong into the header field), queries and fragments,
and the addresses through which machines in a cloud hand out their secrets: link-local ones and the
known metadata services, in whatever spelling. `check_address` is for addresses a name resolved to.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from gateway.errors import InvalidRequest, Message

DEFAULT_PORT = 11434
_PARAM = "url"
_MAX = 512
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?", re.ASCII)
_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.ASCII)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.ASCII | re.IGNORECASE)
_API_PATH = re.compile(r"/(api|v1)(/.*)?$")
_METADATA_NAMES = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "metadata.azure.internal",
        "metadata.azure.com",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata.tencentyun.com",
    }
)
_METADATA_ADDRESSES = frozenset(
    ipaddress.ip_address(text)
    for text in ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254")
)
_EMBEDDED = tuple(
    (ipaddress.IPv6Network(text), shift)
    for text, shift in (
        ("::/96", 0),
        ("::ffff:0:0/96", 0),
        ("::ffff:0:0:0/96", 0),
        ("64:ff9b::/96", 0),
        ("64:ff9b:1::/48", 0),
        ("2002::/16", 80),
    )
)


def normalise(text: str) -> str:
    """Return the address as we keep it: scheme, lower-case host, port if unusual, no final slash.

    `host`, `host:port` and `:port` mean http; without a scheme the port is Ollama's 11434. A path
    in front of `/api` or `/v1` is kept (a server behind a proxy), these themselves are dropped.
    Raises InvalidRequest in words for the form that has the field.
    """
    text = text.strip()
    if not text:
        raise _refused(
            Message("Enter the address of the server, for example http://192.168.1.20:11434.")
        )
    if len(text) > _MAX or not text.isascii() or re.search(r"[\x00-\x20\x7f\\]", text):
        raise _refused(Message("The address may hold only plain characters, without spaces."))
    named_scheme = bool(_SCHEME.match(text))
    if not named_scheme:
        text = "http://" + ("127.0.0.1" + text if text.startswith(":") else text)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _refused(
            Message("The address cannot be read: check the brackets and the port.")
        ) from error
    if parts.scheme not in {"http", "https"}:
        raise _refused(Message("The address must begin with http:// or https://."))
    if "@" in parts.netloc:
        raise _refused(
            Message(
                "The address must not hold a name or password: use the authorization header field."
            )
        )
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise _refused(Message("The address must not hold a query or a fragment."))
    if port == 0:
        raise _refused(Message("The port must be between 1 and 65535."))
    if port is None and not named_scheme:
        port = DEFAULT_PORT
    host = _host(host)
    default = 80 if parts.scheme == "http" else 443
    suffix = "" if port is None or port == default else f":{port}"
    path = _API_PATH.sub("", parts.path).rstrip("/")
    return f"{parts.scheme}://{host}{suffix}{path}"


def check_address(text: str) -> None:
    """Raise InvalidRequest for what is no IP address, or one no Ollama server may have."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError as error:
        raise _refused(Message("This is not an IP address.")) from error
    for ip in (address, *_inner(address)):
        if ip.is_link_local or ip in _METADATA_ADDRESSES:
            raise _refused(Message("Link-local and cloud metadata addresses are not allowed."))
        if ip.is_multicast or ip == ipaddress.IPv4Address("255.255.255.255"):
            raise _refused(Message("Multicast and broadcast addresses are not allowed."))


def may_be(address: str) -> bool:
    """Whether a server may have this address; a name may lead to any."""
    try:
        check_address(address)
    except InvalidRequest:
        return False
    return True


def split(url: str) -> tuple[str, str, int]:
    """Return scheme, host (without brackets) and port of a normalised address."""
    parts = urlsplit(url)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    return parts.scheme, parts.hostname or "", port


def _host(host: str) -> str:
    if ":" in host:
        return _ipv6(host)
    name = host.lower()
    labels = name.rstrip(".").split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        return _ipv4(name)
    if not _HOST.fullmatch(name) or len(name) > 253:
        raise _refused(
            Message("The host name cannot be right: letters, digits, hyphens and dots only.")
        )
    if name.rstrip(".") in _METADATA_NAMES:
        raise _refused(Message("Link-local and cloud metadata addresses are not allowed."))
    return name


def _ipv4(text: str) -> str:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError as error:
        raise _refused(Message("Write an IPv4 address as four decimal numbers.")) from error
    if address == ipaddress.IPv4Address("0.0.0.0"):
        address = ipaddress.IPv4Address("127.0.0.1")
    check_address(str(address))
    return str(address)


def _ipv6(text: str) -> str:
    if "%" in text:
        raise _refused(Message("Link-local and cloud metadata addresses are not allowed."))
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError as error:  # pragma: no cover - urlsplit of Python 3.11.4 and later refuses it
        raise _refused(Message("The IPv6 address cannot be read.")) from error
    if address == ipaddress.IPv6Address("::"):
        address = ipaddress.IPv6Address("::1")
    check_address(str(address))
    return f"[{address}]"


def _inner(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the IPv4 address that an IPv6 one may stand for, by mapping or tunnel."""
    if isinstance(address, ipaddress.IPv4Address) or int(address) <= 1:
        return ()
    return tuple(
        ipaddress.IPv4Address((int(address) >> shift) & 0xFFFFFFFF)
        for network, shift in _EMBEDDED
        if address in network
    )


def _refused(message: Message) -> InvalidRequest:
    return InvalidRequest(message, param=_PARAM)
