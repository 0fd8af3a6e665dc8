"""Calls one Ollama server: streamed answers that can be cancelled, and the small management calls.

    client = OllamaClient(server, connect_timeout_s=5, pool_size=200)
    with client.call("/api/chat", body, idle_timeout_s=300, total_timeout_s=600) as upstream:
        upstream.open()                     # blocks until Ollama's first record
        for lines in upstream.batches(15):  # [] after each 15 s of silence
            ...

Everything foreign is mapped to `gateway.errors` here and in `upstream`, and nowhere else.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

import orjson
import requests
from requests.structures import CaseInsensitiveDict

from gateway.core.catalog import Loaded, Server
from gateway.core.chat import Json, Params
from gateway.ollama import capabilities, faults, wire
from gateway.ollama.capabilities import Listed, Progress, Shown
from gateway.ollama.exchange import Exchange, MakeWait
from gateway.ollama.response import NdjsonResponse
from gateway.ollama.transport import OllamaAdapter
from gateway.ollama.upstream import Upstream as Upstream  # callers find it here

QUICK_S: Final = 10.0
"""Time limit of the small calls: tags, show, ps, version."""
_USER_AGENT: Final = "ollama2openai"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\x20-\x7e\xa0-\xff]*")


class OllamaClient:
    """Connections to one server. Safe for use by many threads or greenlets at once."""

    def __init__(
        self,
        server: Server,
        *,
        connect_timeout_s: float = 5,
        pool_size: int = 64,
        read_wait: MakeWait | None = None,
        allows: Callable[[str], bool] = lambda address: True,
    ) -> None:
        self.server = server
        self._read_wait = read_wait
        self._connect_s = float(connect_timeout_s)
        self._verify: bool | str = server.tls_ca_file or server.tls_verify
        if not server.tls_verify:
            self._verify = False
        self._root, self._fields = _address(server)
        self._adapter = OllamaAdapter(pool_size, allows)
        # The session is what carries the rule "nothing from the environment": no proxy, no netrc,
        # no cookies, no redirects. Hot calls go to its adapter directly.
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount("http://", self._adapter)
        self.session.mount("https://", self._adapter)

    def call(
        self,
        path: str,
        body: bytes,
        *,
        idle_timeout_s: float,
        total_timeout_s: float | None,
        first_timeout_s: float | None = None,
    ) -> Upstream:
        """Prepare a POST; nothing is sent yet. Times are seconds: the longest silence, the whole
        call, and the wait for the first record where that may be another silence."""
        limits = idle_timeout_s, total_timeout_s, first_timeout_s
        return self._prepare("POST", path, body, *limits)

    def close(self) -> None:
        """End all idle connections; calls under way go on."""
        self._adapter.close()

    # -- management ------------------------------------------------------------------------------

    def version(self, *, timeout_s: float = QUICK_S) -> str:
        """Return Ollama's version, "" when it does not tell."""
        answer = self._ask("GET", "/api/version", timeout_s=timeout_s)
        return str(answer.get("version", "")) if isinstance(answer, dict) else ""

    def tags(self) -> tuple[Listed, ...]:
        """Return the models on disk."""
        return capabilities.read_tags(self._ask("GET", "/api/tags"))

    def ps(self, *, timeout_s: float = QUICK_S) -> tuple[Loaded, ...]:
        """Return the models in memory."""
        return capabilities.read_ps(self._ask("GET", "/api/ps", timeout_s=timeout_s))

    def show(self, name: str) -> Shown:
        """Return what a model can do. Raises ModelNotFound."""
        return capabilities.read_show(self._ask("POST", "/api/show", {"model": name}))

    def pull(self, name: str, *, idle_timeout_s: float = 300) -> Iterator[Progress]:
        """Fetch a model from its registry; gives the progress. Close the iterator to stop."""
        body = orjson.dumps({"model": name, "stream": True})
        with self._prepare("POST", "/api/pull", body, idle_timeout_s, None) as upstream:
            upstream.open()
            for lines in upstream.batches(idle_timeout_s):
                for line in lines:
                    yield capabilities.read_progress(line)

    def copy(self, source: str, destination: str) -> None:
        """Copy a model to a second name. Raises ModelNotFound."""
        self._do("POST", "/api/copy", {"source": source, "destination": destination})

    def delete(self, name: str) -> None:
        """Remove a model from the disk. Raises ModelNotFound."""
        self._do("DELETE", "/api/delete", {"model": name})

    def load(self, name: str, params: Params, *, timeout_s: float = 600) -> None:
        """Bring a model into memory, as `params` say; returns when it is there."""
        self._do("POST", "/api/generate", wire.load_body(name, params), timeout_s)

    def unload(self, name: str) -> None:
        """Take a model out of memory, as soon as it is idle."""
        self._do("POST", "/api/generate", {"model": name, "keep_alive": 0})

    def embed(
        self, body: bytes, *, idle_timeout_s: float = 300, total_timeout_s: float | None = None
    ) -> bytes:
        """Send an encoded `/api/embed` request; gives the answer's body."""
        with self.call(
            "/api/embed", body, idle_timeout_s=idle_timeout_s, total_timeout_s=total_timeout_s
        ) as upstream:
            upstream.open()
            return upstream.read()

    # -- the common way --------------------------------------------------------------------------

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Json] | None = None,
        timeout_s: float = QUICK_S,
    ) -> Json:
        try:
            return orjson.loads(self._do(method, path, body, timeout_s))
        except orjson.JSONDecodeError as error:
            raise faults.bad_response("an answer that is not JSON") from error

    def _do(
        self,
        method: str,
        path: str,
        body: Mapping[str, Json] | None = None,
        timeout_s: float = QUICK_S,
    ) -> bytes:
        data = b"" if body is None else orjson.dumps(body)
        with self._prepare(method, path, data, timeout_s, timeout_s) as upstream:
            upstream.open()
            return upstream.read()

    def _prepare(
        self,
        method: str,
        path: str,
        body: bytes,
        idle_s: float,
        total_s: float | None,
        first_s: float | None = None,
    ) -> Upstream:
        prepared = requests.PreparedRequest()
        prepared.method = method
        prepared.url = self._root + path
        prepared.body = body
        prepared.headers = self._fields  # their lines are written once; the length is added there
        exchange = Exchange(self._connect_s, idle_s, total_s, first_s)
        exchange.read_wait = self._read_wait
        return Upstream(self.exchange, self.server.name, path, prepared, exchange)

    def exchange(
        self, prepared: requests.PreparedRequest, exchange: Exchange, tick_s: float
    ) -> Generator[None, None, NdjsonResponse]:
        """Send a prepared request; used by `Upstream`."""
        return self._adapter.exchange(exchange, prepared, self._verify, tick_s)


def _address(server: Server) -> tuple[str, CaseInsensitiveDict[str]]:
    """Split a server's address into the root of its URLs and the fields of every request.

    Raises ValueError for an address or header that cannot be used.
    """
    parts = urlsplit(server.url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"server {server.name!r}: the address must begin with http:// or https://")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = host if parts.port is None else f"{host}:{parts.port}"
    fields: CaseInsensitiveDict[str] = CaseInsensitiveDict()
    fields["Host"] = netloc
    fields["User-Agent"] = _USER_AGENT
    fields["Accept-Encoding"] = "identity"
    fields["Content-Type"] = "application/json"
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        fields["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    if server.auth_header:
        name, colon, value = server.auth_header.partition(":")
        name, value = name.strip(), value.strip()
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"server {server.name!r}: the header must read 'Name: value'")
        fields[name] = value
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}", fields
