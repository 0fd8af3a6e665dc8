"""An OpenID provider: a real HTTP server with the authorization code flow, PKCE and RS256 keys.

Everything it says can be made wrong: `claims` changes the ID token (None leaves a claim out),
`answers` takes the place of what an endpoint sends, `delay_s` lets it hang.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT_ID = "gateway"
CLIENT_SECRET = "a secret of the client"
SUBJECT = "0f3c-anna"
_PAGE = "<title>Provider</title><link rel=icon href='data:,'><a id=agree href='{}'>Agree</a>"


class OpenIdProvider(ThreadingHTTPServer):
    """A provider where one person signs in by a click; `asked` are the paths that were asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.keys = [_new_key()]
        self.reset()

    def reset(self) -> None:
        """Make everything right again."""
        self.asked: list[str] = []
        self.claims: dict[str, Any] = {}
        self.answers: dict[str, tuple[int, Any]] = {}
        self.configuration: dict[str, Any] = {}
        self.delay_s = 0.0
        self.signs: Callable[[dict[str, Any]], str] = self.sign
        self._codes: dict[str, dict[str, str]] = {}

    def __enter__(self) -> OpenIdProvider:
        run = {"poll_interval": 0.01}
        threading.Thread(target=self.serve_forever, kwargs=run, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()

    def rotate(self) -> None:
        """Sign with a new key, and publish only that one."""
        self.keys = [_new_key()]

    def sign(self, claims: dict[str, Any]) -> str:
        """Return an ID token with the present key."""
        key = self.keys[-1]
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)

    def authorize(self, query: dict[str, str]) -> str:
        """Return where a person who agrees is sent back to."""
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        given = {"code": code, "state": query["state"], "iss": self.url}
        return f"{query['redirect_uri']}?{urlencode(given)}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        """Return the answer of the token endpoint; each code works once."""
        known = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if authorization != f"Basic {known}":
            return 401, {"error": "invalid_client"}
        asked = self._codes.pop(form.get("code", ""), None)
        if asked is None or form.get("redirect_uri") != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        hashed = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if _base64(hashed) != asked["code_challenge"] or asked["code_challenge_method"] != "S256":
            return 400, {"error": "invalid_grant"}
        access_token, now = secrets.token_urlsafe(16), int(time.time())
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        claims = {
            "iss": self.url,
            "sub": SUBJECT,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "at_hash": _base64(half),
            "preferred_username": "anna",
            "groups": ["staff", "gateway-admins"],
            **self.claims,
        }
        said = {name: value for name, value in claims.items() if value is not None}
        token = self.signs(said)
        return 200, {"access_token": access_token, "token_type": "Bearer", "id_token": token}

    def described(self) -> dict[str, Any]:
        """Return the document of discovery."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "code_challenge_methods_supported": ["S256"],
            **self.configuration,
        }

    def published(self) -> dict[str, Any]:
        """Return the public keys."""
        return dict(KeySet(list(self.keys)).as_dict(private=False, use="sig"))


def _new_key() -> RSAKey:
    return RSAKey.generate_key(2048, auto_kid=True)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    server: OpenIdProvider

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        match address.path:
            case "/.well-known/openid-configuration":
                self._send(200, self.server.described())
            case "/keys":
                self._send(200, self.server.published())
            case "/authorize":
                link = html.escape(self.server.authorize(query))
                self._send(200, _PAGE.format(link))
            case _:
                self._send(404, "")

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        form = {name: one[0] for name, one in parse_qs(self.rfile.read(size).decode()).items()}
        self._send(*self.server.token(form, self.headers.get("Authorization", "")))

    def _send(self, status: int, body: Any) -> None:
        path = urlsplit(self.path).path
        self.server.asked.append(path)
        time.sleep(self.server.delay_s)
        status, body = self.server.answers.get(path, (status, body))
        is_page = isinstance(body, str)
        raw = body.encode() if is_page else json.dumps(body).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", self.server.url + "/elsewhere")
        self.send_header("Content-Type", "text/html" if is_page else "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: Any) -> None:
        pass
