"""Ollama servers as an admin names them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as default
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

from gateway.core.catalog import Loaded
from gateway.errors import Message
from gateway.schemas import types
from gateway.schemas.types import Problem, field

ServerStatus: TypeAlias = Literal[
    "ready", "loading", "busy", "degraded", "down", "draining", "unknown"
]


_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*[\x21-\x7e][\x20-\x7e]*")
_RESERVED: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "content-type", "accept-encoding"}
)


def _header(value: str) -> str:
    text = value.strip()
    if text and _HEADER.fullmatch(text) is None:
        raise Problem(Message("must read 'Name: value', for example 'Authorization: Bearer ...'"))
    if text.partition(":")[0].strip().lower() in _RESERVED:
        raise Problem(Message("names a header that the gateway sets itself"))
    return text


def _file(value: str) -> str:
    text = types.line(value)
    if text and not Path(text).is_file():
        raise Problem(Message("names no file on the gateway's machine"))
    return text


@dataclass(frozen=True, slots=True)
class Server:
    """One Ollama server. `auth_header` is a whole header line `Name: value`, secret."""

    id: int
    name: str = field(..., "Name", "Empty takes the host's name.", check=types.line, max_length=120)
    url: str = field(
        ...,
        "Address",
        "Where Ollama listens, such as http://192.168.1.20:11434.",
        check=types.line,
        max_length=512,
    )
    weight: int = field(
        1, "Weight", "A server with weight 2 gets twice the requests of one with 1.", ge=1, le=100
    )
    enabled: bool = field(True, "Enabled")
    draining: bool = field(False, "Draining", "It takes no new requests.")
    auth_header: str = field(
        "",
        "Extra header",
        "For a proxy in front of Ollama, such as Authorization: Bearer …",
        check=_header,
        max_length=8_192,
        secret=True,
    )
    tls_verify: bool = field(True, "Check its certificate")
    tls_ca_file: str = field(
        "",
        "File with its certificate authority",
        "A path on this machine. Empty trusts the usual authorities.",
        check=_file,
        max_length=512,
    )
    slots: int = field(
        0,
        "Parallel requests per model",
        "As OLLAMA_NUM_PARALLEL on that server. 0 detects it.",
        ge=0,
        le=1_024,
    )
    vram_gb: int = field(
        0,
        "GPU memory (GB)",
        "Of all its cards together, as they are sold: 24 is 24 GiB, which is 25.8 GB. 0 is not "
        "known.",
        ge=0,
        le=100_000,
    )
    tags: tuple[str, ...] = field((), "Tags", check=types.each(types.limited(40)), max_length=20)


@dataclass(frozen=True, slots=True)
class ServerView:
    """A server as routing sees it right now.

    `names` are the canonical tags it lists, `loaded` what is in memory, `in_flight` our calls
    there by tag, `slots` how many
    of one model run at once, `healthy` whether it may be chosen, `reason` why not in plain words.
    """

    server: Server
    state: ServerStatus = "unknown"
    reason: str = ""
    healthy: bool = True
    version: str = ""
    names: frozenset[str] = frozenset()
    loaded: Mapping[str, Loaded] = default(default_factory=dict)
    in_flight: Mapping[str, int] = default(default_factory=dict)
    slots: int = 1
    checked_at: datetime | None = None
    latency_ms: float | None = None
    latencies_ms: tuple[float, ...] = ()
    """The last probes, oldest first."""
