"""The OpenID provider as we ask it: its configuration, its keys, and the token for a code.

Configuration and keys are kept for an hour. A token signed with a key we do not know has the keys
fetched anew, as providers rotate them, but not within 30 seconds of the last time: else anybody
could make us ask without end. What failed is not tried again for 5 seconds. No question takes
longer than 5 seconds, whatever the provider does, none follows a redirect, and of no answer is
more than a megabyte read.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, TypeVar

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from requests.adapters import HTTPAdapter

from gateway.core.admin import Identity
from gateway.core.chat import Json
from gateway.env_values import is_https_or_loopback
from gateway.openid import id_token
from gateway.openid.id_token import Client
from gateway.openid.refusals import ProviderAway, SignInRefused
from gateway.runtime.tasks import Task

log = logging.getLogger(__name__)

LIMIT_S: Final = 5.0
_MOST_BYTES: Final = 1_000_000
_KEPT_S: Final = 3600.0
_KEYS_AGAIN_S: Final = 30.0
_FAILED_S: Final = 5.0
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_NOT_US: Final = ("invalid_client", "unauthorized_client")

T = TypeVar("T")
SessionT = TypeVar("SessionT", bound=requests.Session)


@dataclass(frozen=True, slots=True)
class _Fetched:
    value: Any
    at_s: float
    failure: str = ""


class _ShortAnswers(HTTPAdapter):
    """Reads answers of `_MOST_BYTES` at most, unpacked."""

    def send(self, *args: Any, **given: Any) -> requests.Response:
        """Return an answer, read already. Raises requests.RequestException."""
        answer = super().send(*args, **{**given, "stream": True})
        with closing(answer.raw) as raw:
            body = raw.read(_MOST_BYTES + 1, decode_content=True)
        if len(body) > _MOST_BYTES:
            raise requests.exceptions.ContentDecodingError("the answer is too long")
        answer.raw = BytesIO(body)
        return answer


class Provider:
    """Leads people to the provider and reads what they come back with."""

    def __init__(
        self,
        client: Client,
        secret: str,
        scopes: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._secret = secret
        self._scopes = scopes
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._fetched: dict[str, _Fetched] = {}

    @property
    def issuer(self) -> str:
        """The provider's name, which is an address."""
        return self._client.issuer

    def address(self, state: str, nonce: str, verifier: str, redirect_uri: str) -> str:
        """Return where the visitor signs in. `state` binds the answer to this browser, `nonce` the
        token, `verifier` the code (PKCE, RFC 7636).

        Raises ProviderAway, and SignInRefused where it is another provider.
        """
        endpoint = self.configuration()["authorization_endpoint"]
        with self._session(redirect_uri) as session:
            url, _ = session.create_authorization_url(
                endpoint, state=state, nonce=nonce, code_verifier=verifier
            )
        return str(url)

    def identity(self, code: str, nonce: str, verifier: str, redirect_uri: str) -> Identity:
        """Return who signed in, for the code the visitor came back with; the rest is as `address`
        had it.

        Raises SignInRefused, ProviderAway.
        """
        endpoint = self.configuration()["token_endpoint"]

        def ask() -> dict[str, Json]:
            with self._session(redirect_uri) as session:
                return dict(
                    session.fetch_token(
                        endpoint,
                        grant_type="authorization_code",
                        code=code,
                        code_verifier=verifier,
                        redirect_uri=redirect_uri,
                        allow_redirects=False,
                        timeout=LIMIT_S,
                    )
                )

        try:
            answer = _in_time(ask)
        except AuthlibBaseError as exc:
            log.warning("the OpenID provider gave no token: %.60r", exc.error)
            raise SignInRefused("client" if exc.error in _NOT_US else "code") from exc
        token, access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str) or not isinstance(access_token, str):
            raise SignInRefused("token")
        claims = id_token.check(
            token,
            self._keys,
            self._client,
            nonce=nonce,
            access_token=access_token,
            now=int(self._now()),
        )
        return id_token.identity(claims, self._client)

    def configuration(self) -> dict[str, str]:
        """Return the provider's own description (OpenID Connect Discovery 1.0).

        Raises ProviderAway, and SignInRefused where it is another provider's.
        """
        url = f"{self._client.issuer.rstrip('/')}/.well-known/openid-configuration"
        found = self._kept(url, self._read_configuration)
        if found["issuer"] != self._client.issuer:
            raise SignInRefused("issuer")
        return found

    def _read_configuration(self, url: str) -> dict[str, str]:
        found = self._get(url)
        for name in ("issuer", *_ENDPOINTS):
            if not isinstance(found.get(name), str):
                raise ProviderAway(f"{url} names no {name}")
        for name in _ENDPOINTS:
            if not is_https_or_loopback(found[name]):
                raise ProviderAway(f"{name} does not begin with https://")
        methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        kept = {name: found[name] for name in ("issuer", *_ENDPOINTS)}
        return {**kept, "auth_method": method}

    def _keys(self, kid: str | None) -> KeySet:
        """Return the provider's keys; if none of them is `kid`, what it publishes now."""
        url = self.configuration()["jwks_uri"]
        keys: KeySet = self._kept(url, self._read_keys)
        if kid is None or any(key.kid == kid for key in keys):
            return keys
        newer: KeySet = self._kept(url, self._read_keys, _KEYS_AGAIN_S)
        return newer

    def _read_keys(self, url: str) -> KeySet:
        try:
            return KeySet.import_key_set(self._get(url))  # type: ignore[arg-type]  # checked there
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as exc:
            raise ProviderAway(f"{url} holds no keys that can be read") from exc

    def _kept(self, url: str, read: Callable[[str], T], longest_s: float = _KEPT_S) -> T:
        """Return what `read` made of `url` at most `longest_s` ago. Raises ProviderAway, at once
        where it failed a moment ago."""
        with self._lock:
            known, now_s = self._fetched.get(url), self._clock()
            if known is not None and known.failure and now_s - known.at_s < _FAILED_S:
                raise ProviderAway(known.failure)
            if known is None or known.failure or now_s - known.at_s >= longest_s:
                try:
                    known = _Fetched(read(url), self._clock())
                except ProviderAway as exc:
                    log.warning("the OpenID provider cannot be used: %s", exc.cause)
                    self._fetched[url] = _Fetched(None, self._clock(), exc.cause)
                    raise
                self._fetched[url] = known
            value: T = known.value
            return value

    def _get(self, url: str) -> dict[str, Json]:
        def ask() -> tuple[int, Json]:
            with _bounded(requests.Session()) as session:
                answer = session.get(url, allow_redirects=False, timeout=LIMIT_S)
                return answer.status_code, answer.json() if answer.status_code == 200 else None

        status, found = _in_time(ask)
        if status != 200:
            raise ProviderAway(f"{url} answers with status {status}")
        if not isinstance(found, dict):
            raise ProviderAway(f"{url} holds no JSON object")
        return found

    def _session(self, redirect_uri: str) -> OAuth2Session:
        return _bounded(
            OAuth2Session(
                self._client.client_id,
                self._secret,
                scope=self._scopes,
                redirect_uri=redirect_uri,
                code_challenge_method="S256",
                token_endpoint_auth_method=self.configuration()["auth_method"],
            )
        )


def _bounded(session: SessionT) -> SessionT:
    """Return the session; the answers it reads are short."""
    for scheme in ("https://", "http://"):
        session.mount(scheme, _ShortAnswers())
    return session


def _in_time(ask: Callable[[], T]) -> T:
    """Return the answer to a question over HTTP, or give it up. Raises ProviderAway."""
    task = Task(ask)
    if not task.wait(LIMIT_S):
        task.interrupt("too late")
        raise ProviderAway(f"no answer within {LIMIT_S:.0f} seconds")
    try:
        return task.result()
    except (requests.RequestException, OSError, ValueError, TypeError, RecursionError) as exc:
        raise ProviderAway(type(exc).__name__) from exc
