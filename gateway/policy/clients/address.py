"""Whether an address that somebody typed into an application leads to the gateway."""

from __future__ import annotations

from urllib.parse import urlsplit

from gateway.errors import Message
from gateway.policy.clients.kit import Client
from gateway.policy.clients.snippets import is_local


def wrong(address: str, client: Client, base: str) -> Message | None:
    """Return what is wrong with an address in a client's settings; None where nothing is. `base` is
    the gateway's own address, without a slash at its end."""
    right = base + client.suffix
    try:
        given, own = urlsplit(address.strip().rstrip("/")), urlsplit(base)
    except ValueError:
        return Message("This is no address: use %(right)s.", right=right)
    if given.scheme not in ("http", "https") or not given.netloc:
        return Message("An address begins with http:// or https://: use %(right)s.", right=right)
    if given.netloc.lower() != own.netloc.lower():
        return Message("This is another host than this gateway: use %(right)s.", right=right)
    if given.scheme != own.scheme:
        return Message(
            "This gateway is reached by %(scheme)s://: use %(right)s.",
            scheme=own.scheme,
            right=right,
        )
    if given.path != urlsplit(right).path:
        return _wrong_path(given.path, urlsplit(base).path, client, right)
    if is_local(address):
        return Message("This address works on this machine only: set the public address.")
    return None


def _wrong_path(path: str, own: str, client: Client, right: str) -> Message:
    if path == own and client.suffix == "/v1":
        return Message("The address lacks /v1: use %(right)s.", right=right)
    if path == f"{own}/v1" and not client.suffix:
        return Message(
            "%(client)s adds /v1 by itself: use %(right)s.", client=client.name, right=right
        )
    return Message("The path of the address is wrong: use %(right)s.", right=right)
