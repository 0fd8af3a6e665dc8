"""Fetches images and text files named by URL, without letting a caller reach into our network
(D21, attacks ssrf-1 to ssrf-7).

A name is resolved once, and only addresses that were checked are connected to, so a name that
changes its answer gains nothing. Each redirect is checked from scratch. Bounded in size, time and
hops; pixels are never decoded.
"""

from __future__ import annotations

import base64
import ipaddress
import logging
import math
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from gateway.core.chat import Media, Request
from gateway.core.media import MOST_PIXELS, pixels, sniff
from gateway.dialects.shared.attachments import file_text
from gateway.errors import InvalidRequest
from gateway.ollama.addresses import AddressBook, ForbiddenAddress
from gateway.ollama.http import FOREIGN, Body, DirectAdapter
from gateway.ollama.time_limits import Stalled, Timeouts
from gateway.policy import media
from gateway.schemas.settings import RuntimeSettings

log = logging.getLogger(__name__)

TIMEOUT_S = 10.0
ALL_S = 30.0
"""For all a request names, together: nobody has admitted the call yet."""
MAX_REDIRECTS = 3
_LOOK_UPS = threading.BoundedSemaphore(3)
"""A caller may name hosts whose name servers hang: they must not keep all threads."""
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
Net = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_DENIED: tuple[Net, ...] = tuple(
    ipaddress.ip_network(net)
    for net in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23",
        "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
        "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
"""Everything that is not the public internet. `is_global` alone lets several of these pass."""


def is_public(text: str) -> bool:
    """Whether an address literal lies in the public internet; zone ids and odd spellings do not."""
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return False
    return not any(address in net for net in _DENIED if net.version == address.version)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is fetched and where its URL stood: gives the errors, whose codes name what it is."""

    what: Literal["image", "file"]
    param: str | None

    def refused(self, why: str) -> InvalidRequest:
        """Return the error for a URL that may not be fetched."""
        return InvalidRequest(
            f"The {self.what} URL {why}.", param=self.param, code=f"invalid_{self.what}_url"
        )

    def failed(self, why: str) -> InvalidRequest:
        """Return the error for a URL that gave nothing."""
        return InvalidRequest(why, param=self.param, code=f"failed_to_download_{self.what}")

    def large(self, limit: int) -> InvalidRequest:
        """Return the error for more than `limit` bytes."""
        return InvalidRequest(
            f"The {self.what} is larger than {limit >> 20} MB.",
            param=self.param,
            code=f"{self.what}_too_large",
        )


@dataclass(eq=False)
class MediaFetcher:
    """Fetches what a request names by URL; the same URL once a request."""

    behaviour: Callable[[], RuntimeSettings]

    def fetch_all(self, request: Request) -> tuple[Request, tuple[str, ...]]:
        """Return the request with every `Media.url` fetched, images into `Media.data`, files into
        the text of their message, and the paths of those of earlier turns that could not be
        fetched. Raises InvalidRequest for those of the user's newest turn."""
        seen: dict[tuple[str, str, str], str] = {}
        until_s = time.monotonic() + ALL_S

        def load(item: Media) -> str:
            known = (item.kind, item.url, item.name)
            if known not in seen:
                get = self.fetch_file if item.kind == "file" else self.fetch
                seen[known] = get(item, until_s)
            return seen[known]

        return media.fill(request, load)

    def fetch(self, image: Media, until_s: float = math.inf) -> str:
        """Return one image as base64, by `until_s`. Raises InvalidRequest (codes of D21)."""
        raw, _ = self._download(_Wanted("image", image.param), image.url, until_s)
        kind = sniff(raw)
        if kind is None:
            raise InvalidRequest(
                "The URL did not give an image (PNG, JPEG, WebP, GIF or BMP).",
                param=image.param,
                code="unsupported_image_media_type",
            )
        if pixels(raw) > MOST_PIXELS:
            raise InvalidRequest(
                "The image has too many pixels.", param=image.param, code="image_too_large"
            )
        return base64.b64encode(raw).decode("ascii")

    def fetch_file(self, file: Media, until_s: float = math.inf) -> str:
        """Return one text file with its name on a first line, by `until_s` at the latest. Raises
        InvalidRequest, also for what is no text."""
        raw, media_type = self._download(_Wanted("file", file.param), file.url, until_s)
        name = file.name or _name_in(file.url)
        return file_text(raw, media_type, name, file.param or "file_url")

    def _download(self, wanted: _Wanted, url: str, until_s: float) -> tuple[bytes, str]:
        """Return what a URL holds, and its media type."""
        behaviour = self.behaviour()
        if not behaviour.allow_remote_images:
            raise InvalidRequest(
                f"Fetching {wanted.what}s by URL is switched off here; send the content itself.",
                param=wanted.param,
                code=f"remote_{wanted.what}s_disabled",
            )
        now_s = time.monotonic()
        if now_s >= until_s:
            raise wanted.failed(f"The {wanted.what}s took too long to download.")
        deadline_s = min(now_s + TIMEOUT_S, until_s)
        allows = (lambda _: True) if behaviour.allow_private_image_urls else is_public
        return _follow(url, wanted, allows, behaviour.max_image_mb << 20, deadline_s)


def _follow(
    url: str, wanted: _Wanted, allows: Callable[[str], bool], limit: int, deadline_s: float
) -> tuple[bytes, str]:
    secure = False
    for _ in range(MAX_REDIRECTS + 1):
        secure = _checked(url, wanted, secure)
        response = _get(url, wanted, allows, deadline_s)
        try:
            location = response.headers.get("location")
            if response.is_redirect and location:
                url = requests.compat.urljoin(url, location)
                continue
            if response.status_code != 200:
                raise wanted.failed(f"The {wanted.what} server answered {response.status_code}.")
            raw = _bounded(response, limit, wanted, deadline_s)
            media_type = response.headers.get("content-type", "").partition(";")[0]
            return raw, media_type.strip().lower()
        finally:
            response.raw.close()
    raise wanted.failed(f"The {wanted.what} URL redirects too often.")


def _get(
    url: str, wanted: _Wanted, allows: Callable[[str], bool], deadline_s: float
) -> requests.Response:
    left_s = max(0.1, deadline_s - time.monotonic())
    accept = "image/*" if wanted.what == "image" else "text/*, */*;q=0.5"
    try:
        prepared = requests.Request("GET", url).prepare()
        assert prepared.url is not None
        prepared.body = b""
        prepared.headers = CaseInsensitiveDict(
            {
                "Host": urlsplit(prepared.url).netloc,
                "User-Agent": "ollama2openai",
                "Accept": accept,
                "Accept-Encoding": "identity",
                "Connection": "close",
            }
        )
        addresses = AddressBook(allows=allows, turns=_LOOK_UPS)
        adapter = DirectAdapter(prepared.url, pool_size=0, addresses=addresses)
        limits = Timeouts(min(5.0, left_s), left_s, left_s)
        return adapter.send(prepared, stream=True, timeout=limits)
    except ForbiddenAddress as error:
        raise wanted.refused("is refused: the host has no public address") from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise wanted.refused("is not valid") from error
    except (*FOREIGN, requests.RequestException, ValueError) as error:
        raise wanted.failed(f"The {wanted.what} could not be downloaded.") from error


def _checked(url: str, wanted: _Wanted, must_be_secure: bool) -> bool:
    """Check a URL by the parser that connects; return whether it is https."""
    if _FORBIDDEN.search(url):
        raise wanted.refused("holds characters that are not allowed")
    try:
        parsed = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError as error:
        raise wanted.refused("is not valid") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise wanted.refused("must begin with http:// or https://")
    if parsed.auth is not None:
        raise wanted.refused("may not hold a user name or password")
    if must_be_secure and parsed.scheme != "https":
        raise wanted.refused("redirects from https to http")
    return parsed.scheme == "https"


def _bounded(response: requests.Response, limit: int, wanted: _Wanted, deadline_s: float) -> bytes:
    """Read at most `limit` bytes before the deadline; nothing is decompressed."""
    if response.headers.get("content-encoding", "identity").lower() not in {"", "identity"}:
        raise wanted.failed(f"The {wanted.what} server sent a compressed body.")
    length = response.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise wanted.large(limit)
    body: Body = response.raw  # type: ignore[assignment]  # of our adapter
    try:
        return body.read_all(limit, max(0.1, deadline_s - time.monotonic()))
    except OverflowError as error:
        raise wanted.large(limit) from error
    except Stalled as error:
        raise wanted.failed(f"The {wanted.what} took too long to download.") from error
    except FOREIGN as error:
        raise wanted.failed(f"The {wanted.what} could not be downloaded.") from error


def _name_in(url: str) -> str:
    """Return the last part of a URL's path as a name on one line."""
    path = urllib3.util.parse_url(url).path or ""
    name = unquote(path.rpartition("/")[2])
    return "".join(c for c in name[:200] if c.isprintable())
