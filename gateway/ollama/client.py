"""Calls one Ollama server: streamed answers, and the small management calls.

    client = OllamaClient(server, connect_timeout_s=5, pool_size=200)
    with client.post("/api/chat", body) as upstream:  # blocks until the head of the answer
        for lines in upstream.lines():  # the lines that arrived together
            ...

Everything foreign is mapped to `gateway.errors` here, and nowhere else. What an active call may
wait for is limited by its monitor; other calls bring `read_timeout_s`.
"""

from __future__ import annotations

import base64
import logging
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

import orjson
import requests
from requests.structures import CaseInsensitiveDict

from gateway.core.catalog import Listed, Loaded
from gateway.core.chat import DecisionRequest, EmbedRequest, Json, Params
from gateway.errors import GatewayError, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from gateway.ollama import capabilities, faults, wire
from gateway.ollama.addresses import AddressBook
from gateway.ollama.capabilities import Shown
from gateway.ollama.framing import LineSplitter, Malformed
from gateway.ollama.http import FOREIGN, Body, DirectAdapter
from gateway.ollama.time_limits import Stalled, Timeouts, is_limit, stopped
from gateway.schemas.server import Server

log = logging.getLogger(__name__)

QUICK_S: Final = 10.0
"""Time limit of the small calls: tags, show, ps, version."""
SEND_S: Final = 300.0
"""How long a server may take to accept a request."""
MAX_LINE: Final = 8 << 20
"""The cap of Ollama's own client (`api/client.go` maxBufferSize)."""
MAX_ERROR_BYTES: Final = 65_536
MAX_ANSWER_BYTES: Final = 256 << 20
ERROR_BODY_S: Final = 5.0
_YIELD_EVERY: Final = 262_144
_NOT_DONE: Final = b'"done":false}'
_USER_AGENT: Final = "ollama2openai"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\x20-\x7e\xa0-\xff]*")


@dataclass(eq=False, repr=False)
class Upstream:
    """One call to Ollama whose answer is read as it comes. A context manager.

    Entering sends the request and waits for the head of the answer; it raises UpstreamUnreachable,
    UpstreamTimeout, or what Ollama's refusal means. Leaving never waits: the connection is kept for
    the next call when the answer was read to its end, else it is closed and Ollama stops computing.
    """

    client: OllamaClient
    method: str
    path: str
    body: bytes
    limits: Timeouts
    _body: Body | None = None
    _has_records: bool = False

    def __enter__(self) -> Upstream:
        client = self.client
        prepared = requests.PreparedRequest()
        prepared.method = self.method
        prepared.url = client.root + self.path
        prepared.body = self.body
        prepared.headers = client.fields
        try:
            response = client.adapter.send(prepared, stream=True, timeout=self.limits)
        except FOREIGN as error:
            raise self._mapped(error) from error
        body: Body = response.raw  # type: ignore[assignment]  # of our adapter
        self._body = body
        try:
            self._check(response)
        except BaseException:
            body.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self._body is not None:
            self._body.close()

    def lines(self) -> Iterator[list[bytes]]:
        """Yield the lines that arrived together, again and again, up to the last record. Who has
        read them may empty the list: they are not kept here.

        Raises UpstreamTimeout after `read_timeout_s` of silence, UpstreamError for a broken answer;
        UpstreamUnreachable while no record has come, since then a repeat cannot show twice.
        """
        body = self._opened
        read, cut, flood = body.read, LineSplitter(MAX_LINE), 0
        try:
            while payload := read():
                lines = cut.feed(payload)
                flood += len(payload)
                if flood >= _YIELD_EVERY:  # a peer that never pauses must not starve other calls
                    flood = 0
                    time.sleep(0)
                if not lines:
                    continue
                self._has_records = True
                if not lines[-1].endswith(_NOT_DONE) and capabilities.says_done(lines[-1]):
                    body.read_end()
                    yield lines
                    return
                yield lines
            rest = cut.rest()
        except FOREIGN as error:
            raise self._mapped(error) from error
        if rest:
            yield [rest]

    def read(self, limit_s: float | None = None) -> bytes:
        """Return the whole body, within `limit_s`. Raises as `lines` does."""
        try:
            return self._opened.read_all(MAX_ANSWER_BYTES, limit_s)
        except FOREIGN as error:
            raise self._mapped(error) from error

    @property
    def _opened(self) -> Body:
        assert self._body is not None, "enter it first"
        return self._body

    def _check(self, response: requests.Response) -> None:
        """Raise what an answer means that is not a stream of records."""
        fields = response.headers
        if response.status_code != 200:
            raise self._refusal(response)
        if "html" in fields.get("content-type", "").lower():
            raise faults.bad_response("a web page where an answer was expected")
        if fields.get("content-encoding", "identity").lower() != "identity":
            raise faults.bad_response("a compressed answer that was not asked for")

    def _refusal(self, response: requests.Response) -> GatewayError:
        try:
            text = self._opened.read_all(MAX_ERROR_BYTES, ERROR_BODY_S)
        except FOREIGN:
            text = b""
        fields = response.headers
        if fields.get("content-encoding", "identity").lower() != "identity":
            text = b""
        error = faults.from_status(response.status_code, text, fields.get("retry-after"), self.path)
        self._log(log.info, "ollama refused a call", error, upstream_status=response.status_code)
        return error

    def _mapped(self, error: Exception) -> GatewayError:
        """Return our error for a foreign one; the log alone learns the details."""
        cause = f"{type(error).__name__}: {error}"
        if isinstance(error, TimeoutError) and self._body is not None:
            stalled = Stalled(stopped(self.limits.read_s or 0))
            error = stalled if is_limit(error) else ConnectionError("the server is gone")
        mapped = _map_error(error, has_records=self._has_records)
        self._log(log.warning, "a call to ollama failed", mapped, cause=cause)
        return mapped

    def _log(
        self, write: Callable[..., None], event: str, error: GatewayError, **fields: Json
    ) -> None:
        shown = {"server": self.client.server.name, "path": self.path, "code": error.code}
        write(event, extra={"fields": {**shown, **fields}})


class OllamaClient:
    """Connections to one server. Safe for use by many greenlets at once."""

    def __init__(
        self,
        server: Server,
        *,
        connect_timeout_s: float = 5,
        pool_size: int = 64,
        allows: Callable[[str], bool] = lambda address: True,
    ) -> None:
        self.server = server
        self._connect_s = float(connect_timeout_s)
        self.root, self.fields = _address(server)
        verify = server.tls_verify and (server.tls_ca_file or True)
        # The adapter is asked directly: what a session adds to it, redirects, cookies and settings
        # of the environment, must not happen here.
        self.adapter = DirectAdapter(
            self.root, verify=verify, pool_size=pool_size, addresses=AddressBook(allows=allows)
        )

    def post(
        self, path: str, body: bytes, *, method: str = "POST", read_timeout_s: float | None = None
    ) -> Upstream:
        """Prepare a request; nothing is sent yet. `read_timeout_s` is the longest silence, None for
        none: somebody else watches."""
        send_s = SEND_S if read_timeout_s is None else read_timeout_s
        limits = Timeouts(self._connect_s, send_s, read_timeout_s)
        return Upstream(self, method, path, body, limits)

    def close(self) -> None:
        """End all idle connections; calls under way go on."""
        self.adapter.close()

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
        return capabilities.read_show(self.description(name))

    def description(self, name: str) -> Json:
        """Return all that the server says of a model, an object. Raises ModelNotFound."""
        answer = self._ask("POST", "/api/show", {"model": name})
        if not isinstance(answer, dict):
            raise faults.bad_response("a description of a model that is no object")
        return answer

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
        """Unload a model from memory, as soon as it is idle."""
        self._do("POST", "/api/generate", {"model": name, "keep_alive": 0})

    def ask_whole(
        self, request: EmbedRequest | DecisionRequest, name: str, *, timeout_s: float = 600
    ) -> bytes:
        """Send a request that is answered as a whole; returns the answer's body. `name` is
        Ollama's own tag of the model."""
        body = wire.encode(request, name)
        with self.post(wire.path_of(request), body, read_timeout_s=timeout_s) as upstream:
            return upstream.read(timeout_s)

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
        with self.post(path, data, method=method, read_timeout_s=timeout_s) as upstream:
            return upstream.read(timeout_s)


def _map_error(error: Exception, *, has_records: bool) -> GatewayError:
    """Return our error; `has_records`: a part of the answer was already handed on."""
    match error:
        case Stalled():
            return UpstreamTimeout(str(error))
        case Malformed():
            return faults.bad_response("an answer that is not HTTP")
        case OverflowError():
            return UpstreamError(
                "The Ollama server sent a line that is too long.", code="upstream_line_too_long"
            )
        case TimeoutError():
            # 504 (D45), but before anything was sent: another server may be asked
            late = UpstreamUnreachable(
                "The Ollama server did not accept a connection in time.",
                code="upstream_timeout",
                status=504,
                should_retry=False,
            )
            late.anthropic_type = "timeout_error"
            return late
        case ssl.SSLError():
            return UpstreamUnreachable("The certificate of the Ollama server was not accepted.")
    if has_records:
        return faults.broke_off()
    return UpstreamUnreachable("The Ollama server cannot be reached.")


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
