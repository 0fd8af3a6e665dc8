"""What the text of an environment variable may be: each reader returns its value.

Raises ValueError with what would be right, in words that follow the variable's name.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

MIN_SECRET = 16


class Secret:
    """A text that shows itself to nobody by accident: `repr`, `str` and format give ***."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return secrets.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Secret, ("***",))


def integer(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,12}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, not {_shown(text)}")
        return int(text)

    return read


def one_of(*words: str) -> Callable[[str], str]:
    """Return a reader of one of `words`, in lower case."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"must be one of {', '.join(words)}, not {_shown(text)}")
        return text.lower()

    return read


def _web_parts(url: str) -> SplitResult | None:
    """Return the parts of an address that can be asked over HTTP, None for another text."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:
        return None
    return parts if usable and not re.search(r"\][^:]", parts.netloc) else None


def web_address(text: str) -> str:
    """Return an address of HTTP or HTTPS as it is."""
    if _web_parts(text) is None or re.search(r"[\x00-\x20]", text):
        raise ValueError(f"must be an address such as http://127.0.0.1:4318, not {_shown(text)}")
    return text


def issuer(text: str) -> str:
    """Return the address of an OpenID provider as it is: tokens must name exactly this text."""
    parts = _web_parts(text)
    if parts is None or re.search(r"[\x00-\x20\\]", text) or parts.query or parts.fragment:
        raise ValueError(f"must be an address such as https://id.example.com, not {_shown(text)}")
    if not is_https_or_loopback(text):
        raise ValueError("must begin with https://; http:// is for this machine only")
    return text


def is_https_or_loopback(url: str) -> bool:
    """Return whether nobody on the way can read what goes to `url`."""
    parts = _web_parts(url)
    if parts is None or parts.username is not None:
        return False
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def scopes(text: str) -> str:
    """Return OAuth scopes, separated by single spaces."""
    found = text.split()
    if "openid" not in found:
        raise ValueError(f"must hold openid, such as 'openid profile email', not {_shown(text)}")
    return " ".join(found)


def words(text: str) -> tuple[str, ...]:
    """Return texts that are separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def line(text: str) -> str:
    """Return a short text for a page."""
    if len(text) > 64 or not text.isprintable():
        raise ValueError("must be 1 to 64 characters on one line")
    return text


def header_list(text: str) -> Secret:
    """Return headers, `name=value,name=value`."""
    for part in text.split(","):
        name, equals, _ = part.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9-]+", name.strip()):
            raise ValueError("must be headers such as api-key=SECRET, separated by commas")
    return Secret(text)


def yes_or_no(text: str) -> bool:
    """Return whether the text is yes."""
    return one_of("yes", "no")(text) == "yes"


def host(text: str) -> str:
    """Return an address to listen on, or a host name with or without its port."""
    if not re.fullmatch(r"[A-Za-z0-9.:_\-]{1,255}|\[[A-Za-z0-9.:_\-]{1,253}\](:\d+)?", text):
        raise ValueError(f"must be an address or host name, not {_shown(text)}")
    return text


def hosts(text: str) -> tuple[str, ...]:
    """Return hosts that are separated by commas."""
    return tuple(host(part.strip()) for part in text.split(",") if part.strip())


def username(text: str) -> str:
    """Return a user name in lower case."""
    if not re.fullmatch(r"[A-Za-z0-9._@\-]{1,64}", text):
        raise ValueError("must be 1 to 64 letters, digits or . _ @ -")
    return text.lower()


def session_secret(text: str) -> Secret:
    """Return what signs the cookies."""
    if len(text) < MIN_SECRET:
        raise ValueError(f"must have at least {MIN_SECRET} characters; leave it out to have one")
    return Secret(text)


def folder(text: str) -> Path:
    """Return a folder's full path."""
    if "\0" in text:
        raise ValueError("must be a folder")
    return Path(text).expanduser().resolve()


def ollama_urls(text: str) -> tuple[str, ...]:
    """Return the addresses of Ollama servers; none for the word none."""
    if text == "none":
        return ()
    return tuple(_ollama_url(part.strip()) for part in text.split(",") if part.strip())


def _ollama_url(text: str) -> str:
    url = text if "://" in text else f"http://{text}"
    parts = _web_parts(url)
    if parts is None or re.search(r"[\x00-\x20\\]", url) or parts.query or parts.fragment:
        raise ValueError(f"must be addresses such as http://127.0.0.1:11434, not {_shown(text)}")
    if parts.username or parts.password:
        raise ValueError("must hold no user name or password: set a header at the server instead")
    return url.rstrip("/")


def redis_url(text: str) -> str:
    """Return the address of a Redis whose client is installed."""
    if text.partition("://")[0] not in {"redis", "rediss", "unix"}:
        raise ValueError("must start with redis://, rediss:// or unix://")
    _need("redis", "redis")
    from redis import Redis  # only here: the client takes 6 MB

    try:
        Redis.from_url(text).connection_pool.make_connection()  # which opens nothing yet
    except Exception as exc:
        raise ValueError("must be an address such as redis://127.0.0.1:6379/0") from exc
    return text


def _need(module: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise ValueError(
            f"needs the extra '{extra}', which is not installed: pip install"
            f" 'ollama2openai[{extra}]'"
        )


def database(text: str) -> str:
    """Return the address of a database as SQLAlchemy wants it."""
    scheme, found, rest = text.partition("://")
    if found and scheme in {"postgres", "postgresql", "postgresql+psycopg"}:
        _need("psycopg", "postgresql")
        return _database_address(f"postgresql+psycopg://{rest}")
    if found and scheme == "sqlite":
        if rest.strip("/") in {"", ":memory:"}:
            raise ValueError("SQLite in memory cannot be shared by workers: name a file")
        _database_address(text)
        return f"sqlite:///{Path(rest[1:]).absolute()}"
    raise ValueError("must start with postgresql:// or sqlite:///")


def _database_address(url: str) -> str:
    from sqlalchemy import make_url  # only here, as it takes long
    from sqlalchemy.exc import ArgumentError

    try:
        parts = make_url(url)
        parts.get_dialect()().create_connect_args(parts)
        (parts.host or "").encode("idna")
    except (ArgumentError, ValueError) as exc:  # their words may hold the password
        raise ValueError(
            "must be an address such as postgresql://USER:PASSWORD@HOST:5432/NAME"
        ) from exc
    return url


def _shown(text: str) -> str:
    """Quote a value for an error: short, and on one line."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
