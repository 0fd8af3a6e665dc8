"""Finds an Ollama on this machine or beside this container, for the first start."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.errors import GatewayError
from gateway.ollama import server_url
from gateway.ollama.client import OllamaClient
from gateway.schemas.server import Server

USUAL: Final = (
    "http://localhost:11434",
    "http://host.docker.internal:11434",
    "http://ollama:11434",
)
WAIT_S: Final = 1.0


def candidates(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the addresses to try: `OLLAMA_HOST`, as Ollama's own command reads it, then the usual
    ones. Where a server is told to listen on every address, that is this machine."""
    text = environ.get("OLLAMA_HOST", "").strip()
    for everywhere in ("0.0.0.0", "[::]"):
        text = text.replace(everywhere, "localhost")
    try:
        named = (server_url.normalise(text),) if text else ()
    except GatewayError:
        named = ()  # what is wrong with it is Ollama's to say
    return tuple(dict.fromkeys((*named, *USUAL)))


def find(urls: Sequence[str]) -> tuple[str, str] | None:
    """Return address and version of the first of `urls` where Ollama answers within a second.

    All are asked at once, in threads that are not waited for: to look up a name may take long.
    """
    versions: dict[str, str] = {}
    threads = [threading.Thread(target=_ask, args=(url, versions), daemon=True) for url in urls]
    for thread in threads:
        thread.start()
    until_s = time.monotonic() + WAIT_S
    for url, thread in zip(urls, threads, strict=True):
        thread.join(max(until_s - time.monotonic(), 0))
        if url in versions:
            return url, versions[url]
    return None


def _ask(url: str, versions: dict[str, str]) -> None:
    client = OllamaClient(Server(0, "candidate", url), connect_timeout_s=WAIT_S, pool_size=1)
    try:
        if version := client.version(timeout_s=WAIT_S):
            versions[url] = version
    except GatewayError:
        pass
    finally:
        client.close()
