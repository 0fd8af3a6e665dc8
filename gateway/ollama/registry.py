"""Asks a registry of models how large one is, before anybody fetches it."""

from __future__ import annotations

import logging
import time
from typing import Final
from urllib.parse import urlsplit

import orjson
import requests
from requests.structures import CaseInsensitiveDict

from gateway.core.chat import Json
from gateway.errors import Message, NotFound
from gateway.ollama import server_url
from gateway.ollama.addresses import AddressBook
from gateway.ollama.http import FOREIGN, Body, DirectAdapter
from gateway.ollama.time_limits import Timeouts

log = logging.getLogger(__name__)

LIMIT_S: Final = 5.0
_MOST_BYTES: Final = 1 << 20


def fetch_size(address: str, namespace: str, model: str, tag: str) -> int | None:
    """Return how many bytes a model has in the registry at `address`, all layers together; None
    where the registry cannot be reached or says nothing that can be read.

    Takes five seconds at most and follows no redirects. Raises NotFound where the registry does not
    know the model. Source: `server/images.go` pullModelManifest.
    """
    url = f"{address.rstrip('/')}/v2/{namespace}/{model}/manifests/{tag}"
    try:
        status, body = _get(url, time.monotonic() + LIMIT_S)
        manifest = orjson.loads(body) if status == 200 else None
    except (*FOREIGN, requests.RequestException, ValueError) as error:
        log.info("the registry of models does not answer: %s", type(error).__name__)
        return None
    if status == 404:
        words = Message("The registry does not know this model: check its name and tag.")
        raise NotFound(words, code="model_not_found")
    return _size(manifest)


def _get(url: str, deadline_s: float) -> tuple[int, bytes]:
    prepared = requests.Request("GET", url).prepare()
    assert prepared.url is not None
    prepared.body = b""
    prepared.headers = CaseInsensitiveDict(
        {
            "Host": urlsplit(prepared.url).netloc,
            "User-Agent": "ollama2openai",
            "Accept": "application/vnd.docker.distribution.manifest.v2+json",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
    )
    addresses = AddressBook(allows=server_url.may_be)
    adapter = DirectAdapter(prepared.url, pool_size=0, addresses=addresses)
    answer = adapter.send(prepared, stream=True, timeout=Timeouts(LIMIT_S, LIMIT_S, LIMIT_S))
    body: Body = answer.raw  # type: ignore[assignment]  # of our adapter
    try:
        left_s = max(0.1, deadline_s - time.monotonic())
        return answer.status_code, body.read_all(_MOST_BYTES, left_s)
    finally:
        body.close()


def _size(manifest: Json) -> int | None:
    if not isinstance(manifest, dict) or not isinstance(manifest.get("layers"), list):
        return None
    parts = [*manifest["layers"], manifest.get("config")]
    sizes = [part.get("size") for part in parts if isinstance(part, dict)]
    return sum(size for size in sizes if type(size) is int and size > 0) or None
