"""Signing in through an OpenID provider: the whole round, and every wrong value refused."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.test import TestResponse

from gateway.cli.doctor import examine
from gateway.core.admin import AuditEntry
from gateway.errors import Forbidden
from gateway.store import audit
from gateway.web.context import Services, of
from tests.admin.conftest import ACTOR, PASSWORD, Visitor, application, close
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, SUBJECT, OpenIdProvider

_MANY = {
    "OIDC_CLIENT_ID": CLIENT_ID,
    "OIDC_CLIENT_SECRET": CLIENT_SECRET,
    "OIDC_OWNERS": "gateway-owners",
    "OIDC_ADMINS": "gateway-admins",
    "OIDC_VIEWERS": "gateway-viewers, everybody",
    "OIDC_NAME": "Our <b>Keycloak</b>",
}
_OTHER_KEY = RSAKey.generate_key(2048, auto_kid=True)


@pytest.fixture(scope="module")
def running() -> Iterator[OpenIdProvider]:
    with OpenIdProvider() as provider:
        yield provider


@pytest.fixture
def provider(running: OpenIdProvider) -> OpenIdProvider:
    running.reset()
    return running


@pytest.fixture
def app(prepared: Path, tmp_path: Path, provider: OpenIdProvider) -> Iterator[Flask]:
    made = application(prepared, tmp_path / "data", OIDC_ISSUER=provider.url, **_MANY)
    yield made
    close(made)


def begin(visitor: Visitor, target: str = "") -> dict[str, str]:
    """Press the button; return what the provider is asked."""
    answer = visitor.get("/auth/oidc", query_string={"next": target} if target else {})
    assert answer.status_code == 303, answer.text
    return {name: one[0] for name, one in parse_qs(urlsplit(answer.location).query).items()}


def come_back(visitor: Visitor, provider: OpenIdProvider, asked: dict[str, str]) -> TestResponse:
    """Agree at the provider and follow its redirect."""
    back = urlsplit(provider.authorize(asked))
    return visitor.get(f"{back.path}?{back.query}")


def sign_in(visitor: Visitor, provider: OpenIdProvider, target: str = "") -> TestResponse:
    return come_back(visitor, provider, begin(visitor, target))


def entries(parts: Services, action: str) -> list[AuditEntry]:
    return parts.store.read(audit.page, action=action)


def is_signed_in(visitor: Visitor) -> bool:
    return visitor.get("/admin/settings/about").status_code == 200


def test_the_whole_round(parts: Services, visitor: Visitor, provider: OpenIdProvider) -> None:
    page = visitor.get("/auth/login?next=/admin/keys").text
    asked = begin(visitor, "/admin/keys")
    answer = come_back(visitor, provider, asked)
    made = parts.admins.accounts.find("anna")

    assert "Sign in with Our &lt;b&gt;Keycloak&lt;/b&gt;" in page
    assert "/auth/oidc?next=/admin/keys" in page
    assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
    assert asked["scope"] == "openid profile email"
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == "http://localhost/auth/oidc/callback"
    assert (answer.status_code, answer.location) == (303, "/admin/keys")
    assert is_signed_in(visitor)
    assert made is not None
    assert (made.role, made.issuer, made.subject) == ("admin", provider.url, SUBJECT)
    assert made.password_hash == ""
    assert [entry.object_name for entry in entries(parts, "login")] == ["anna"]
    assert [entry.actor_name for entry in entries(parts, "admin.create")] == ["OpenID provider"]


def test_the_sign_out_ends_the_session(
    parts: Services, visitor: Visitor, provider: OpenIdProvider
) -> None:
    sign_in(visitor, provider)
    made = parts.admins.accounts.find("anna")
    assert made is not None
    visitor.token = ""
    visitor.get("/admin/settings/about")
    visitor.post("/auth/logout")

    assert not is_signed_in(visitor)
    assert parts.admins.sessions(made.id) == []


def test_the_role_follows_the_claim(
    app: Flask, parts: Services, visitor: Visitor, provider: OpenIdProvider
) -> None:
    sign_in(visitor, provider)
    provider.claims = {"groups": "everybody", "preferred_username": "renamed"}
    again = Visitor(app)
    sign_in(again, provider)
    found = parts.admins.accounts.find("anna")

    assert found is not None
    assert found.role == "viewer"
    assert parts.admins.accounts.find("renamed") is None
    assert is_signed_in(again)
    assert not is_signed_in(visitor)  # who had the other role
    with pytest.raises(Forbidden, match="gives this account its role"):
        parts.admins.accounts.update(found.id, {"role": "owner"}, ACTOR)


def test_a_local_account_is_never_taken_over(
    parts: Services, visitor: Visitor, provider: OpenIdProvider
) -> None:
    provider.claims = {"preferred_username": "Admin", "groups": ["gateway-owners"]}
    sign_in(visitor, provider)
    local, made = parts.admins.accounts.find("admin"), parts.admins.accounts.find("admin-2")

    assert local is not None
    assert local.issuer is None
    assert made is not None
    assert made.subject == SUBJECT
    assert parts.admins.accounts.is_last_owner(local)
    with pytest.raises(Forbidden, match="must be an owner"):
        parts.admins.accounts.update(local.id, {"enabled": False}, ACTOR)


def test_an_account_of_the_provider_has_no_password(
    app: Flask, parts: Services, visitor: Visitor, provider: OpenIdProvider
) -> None:
    sign_in(visitor, provider)
    made = parts.admins.accounts.find("anna")
    assert made is not None

    assert Visitor(app).login("anna", "").status_code == 200
    assert not is_signed_in(Visitor(app))
    with pytest.raises(Forbidden, match="has no password"):
        parts.admins.set_password(made.id, "a new password of anna", ACTOR)
    with pytest.raises(Forbidden, match="second factor"):
        parts.admins.two_factor.begin(made.id)
    page = visitor.get("/admin/settings/security").text
    assert "Your password" not in page
    assert "Two-factor" not in page


def test_owners_see_whose_account_it_is(
    app: Flask, admin: Visitor, provider: OpenIdProvider
) -> None:
    sign_in(Visitor(app), provider)
    page = admin.get("/admin/settings/security").text

    assert provider.url in page
    assert page.count("Password …") == 1


def test_a_disabled_account_stays_out(
    app: Flask, parts: Services, visitor: Visitor, provider: OpenIdProvider
) -> None:
    sign_in(visitor, provider)
    made = parts.admins.accounts.find("anna")
    assert made is not None
    parts.admins.accounts.update(made.id, {"enabled": False}, ACTOR)

    answer = sign_in(Visitor(app), provider)
    assert (answer.status_code, "is disabled" in answer.text) == (403, True)


def test_the_session_lasts_twelve_hours(
    parts: Services, visitor: Visitor, provider: OpenIdProvider
) -> None:
    sign_in(visitor, provider)
    made = parts.admins.accounts.find("anna")
    assert made is not None
    (login,) = parts.admins.sessions(made.id)

    assert (login.expires_at - login.created_at).total_seconds() == 12 * 3600


def _dated(claims: dict[str, Any]) -> dict[str, Any]:
    """Return claims whose times are numbers of seconds from now."""
    now = int(time.time())
    return {
        name: now + value if name in {"exp", "iat"} and isinstance(value, int) else value
        for name, value in claims.items()
    }


@pytest.mark.parametrize(
    ("claims", "reason", "words"),
    [
        ({"iss": "https://id.example.com"}, "issuer", "another address than OIDC_ISSUER"),
        ({"iss": None}, "claim_missing", "lacks the claim &#39;iss&#39;"),
        ({"sub": None}, "claim_missing", "lacks the claim &#39;sub&#39;"),
        ({"sub": ""}, "claim_wrong", "&#39;sub&#39;"),
        ({"sub": 7}, "claim_wrong", "&#39;sub&#39;"),
        ({"sub": "x" * 256}, "claim_wrong", "&#39;sub&#39;"),
        ({"aud": "another"}, "audience", "another application (aud)"),
        ({"aud": []}, "audience", "another application (aud)"),
        ({"aud": None}, "claim_missing", "&#39;aud&#39;"),
        ({"aud": [CLIENT_ID, "another"]}, "claim_missing", "&#39;azp&#39;"),
        ({"azp": "another"}, "authorized_party", "(azp)"),
        ({"exp": None}, "claim_missing", "&#39;exp&#39;"),
        ({"exp": "tomorrow"}, "expired", "expired"),
        ({"exp": -3600}, "expired", "expired"),
        ({"iat": None}, "claim_missing", "&#39;iat&#39;"),
        ({"iat": 3600}, "issued_at", "from the future"),
        ({"nonce": None}, "claim_missing", "&#39;nonce&#39;"),
        ({"nonce": "of another"}, "nonce", "another sign-in"),
        ({"at_hash": "wrong"}, "at_hash", "at_hash"),
        ({"groups": None}, "claim_missing", "&#39;groups&#39;"),
        ({"groups": ["staff"]}, "role", "no role here"),
        ({"groups": {"gateway-admins": True}}, "role", "no role here"),
        ({"groups": "gateway-admins,gateway-owners"}, "role", "no role here"),
    ],
)
def test_a_wrong_claim_is_refused(
    parts: Services,
    visitor: Visitor,
    provider: OpenIdProvider,
    claims: dict[str, Any],
    reason: str,
    words: str,
) -> None:
    provider.claims = _dated(claims)
    answer = sign_in(visitor, provider, "/admin/keys")
    (entry,) = entries(parts, "login.provider_failed")

    assert answer.status_code == 403
    assert words in answer.text
    assert entry.after == {"attempts": 1, "addresses": ["127.0.0.1"], "reasons": [reason]}
    assert not is_signed_in(visitor)
    assert len(parts.admins.accounts.all()) == 1
    assert visitor.login().status_code == 303  # local accounts stay the way in


ALLOWED: list[dict[str, Any]] = [
    {"exp": -30},
    {"iat": 30},
    {"aud": [CLIENT_ID]},
    {"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID},
    {"at_hash": None},
]


def test_what_the_standard_allows_is_accepted(app: Flask, provider: OpenIdProvider) -> None:
    for claims in ALLOWED:
        provider.claims = _dated(claims)

        assert sign_in(Visitor(app), provider).status_code == 303, claims


def _coded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def _unsigned(provider: OpenIdProvider, claims: dict[str, Any]) -> str:
    return f"{_coded({'alg': 'none', 'kid': provider.keys[0].kid})}.{_coded(claims)}."


def _by_the_public_key(provider: OpenIdProvider, claims: dict[str, Any]) -> str:
    key = provider.keys[0]
    said = f"{_coded({'alg': 'HS256', 'kid': key.kid})}.{_coded(claims)}"
    made = hmac.digest(key.as_pem(private=False), said.encode(), "sha256")
    return f"{said}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


def _by_another(provider: OpenIdProvider, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": provider.keys[0].kid}, claims, _OTHER_KEY)


def _unpublished(provider: OpenIdProvider, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": _OTHER_KEY.kid}, claims, _OTHER_KEY)


@pytest.mark.parametrize(
    ("sign", "reason"),
    [
        (_unsigned, "algorithm"),
        (_by_the_public_key, "algorithm"),
        (_by_another, "signature"),
        (_unpublished, "key"),
        (lambda provider, claims: "no.token", "token"),
        (lambda provider, claims: 7, "token"),
        (lambda provider, claims: f"{provider.sign(claims)[:-8]}AAAAAAAA", "signature"),
    ],
)
def test_a_token_that_the_provider_did_not_sign_is_refused(
    parts: Services,
    visitor: Visitor,
    provider: OpenIdProvider,
    sign: Callable[[OpenIdProvider, dict[str, Any]], str],
    reason: str,
) -> None:
    provider.signs = lambda claims: sign(provider, claims)
    answer = sign_in(visitor, provider)
    (entry,) = entries(parts, "login.provider_failed")

    assert answer.status_code == 403
    assert entry.after["reasons"] == [reason]
    assert not is_signed_in(visitor)


def test_keys_are_fetched_anew_when_the_provider_rotates_them(
    app: Flask, parts: Services, provider: OpenIdProvider
) -> None:
    service = parts.provider
    assert service is not None
    clock = [1_000.0]
    service._clock = lambda: clock[0]
    assert sign_in(Visitor(app), provider).status_code == 303
    assert sign_in(Visitor(app), provider).status_code == 303
    assert provider.asked.count("/keys") == 1

    clock[0] += 31
    provider.rotate()
    assert sign_in(Visitor(app), provider).status_code == 303
    provider.signs = lambda claims: _unpublished(provider, claims)
    for _ in range(3):  # a key nobody knows makes us ask no more often
        assert sign_in(Visitor(app), provider).status_code == 403
    assert provider.asked.count("/keys") == 2


def test_state_and_code_work_once(visitor: Visitor, provider: OpenIdProvider) -> None:
    asked = begin(visitor)
    cookie = visitor.client.get_cookie("o2o_session")
    assert cookie is not None
    back = urlsplit(provider.authorize(asked))
    first = visitor.get(f"{back.path}?{back.query}")
    again = visitor.get(f"{back.path}?{back.query}")
    visitor.client.set_cookie("o2o_session", cookie.value)  # a cookie of before, kept by somebody
    replayed = visitor.get(f"{back.path}?{back.query}")

    assert first.status_code == 303
    assert (again.status_code, replayed.status_code) == (403, 403)
    assert "Start again" in again.text
    assert "Start again" in replayed.text


def test_a_code_that_was_used_is_refused(visitor: Visitor, provider: OpenIdProvider) -> None:
    asked = begin(visitor)
    back = provider.authorize(asked)
    provider._codes.clear()
    answer = visitor.get(f"/auth/oidc/callback?{urlsplit(back).query}")

    assert (answer.status_code, "its code was used" in answer.text) == (403, True)


WRONG_ANSWERS = {
    "code=x": "Start again",
    "code=x&state=wrong": "Start again",
    "code=x&state=%F0%9F%92%A5": "Start again",
    "state={state}": "code was used",
    "code=x&state={state}&iss=https://id.example.com": "another address",
    "error=access_denied&state={state}&error_description=<b>no</b>": "refused the sign-in",
    "error=access_denied": "Start again",
}


def test_a_wrong_answer_of_the_provider_is_refused(app: Flask, provider: OpenIdProvider) -> None:
    for query, words in WRONG_ANSWERS.items():
        visitor = Visitor(app)
        asked = begin(visitor)
        answer = visitor.get(f"/auth/oidc/callback?{query.format(**asked)}")

        assert (answer.status_code, words in answer.text) == (403, True), query
        assert "<b>no</b>" not in answer.text
    assert "/token" not in provider.asked


def test_an_attempt_of_another_browser_is_refused(
    app: Flask, visitor: Visitor, provider: OpenIdProvider
) -> None:
    asked = begin(visitor)
    answer = come_back(Visitor(app), provider, asked)

    assert (answer.status_code, "Start again" in answer.text) == (403, True)


def test_the_verifier_belongs_to_the_code(visitor: Visitor, provider: OpenIdProvider) -> None:
    asked = begin(visitor)
    answer = come_back(visitor, provider, {**asked, "code_challenge": "of-somebody-else"})

    assert (answer.status_code, "code was used" in answer.text) == (403, True)


def test_the_way_on_stays_here(app: Flask, provider: OpenIdProvider) -> None:
    for target in ("https://evil.example", "//evil.example", "/\\evil.example"):
        assert sign_in(Visitor(app), provider, target).location == "/admin/", target


_LONG = {"keys": [], "error": "x" * 1_000_001}


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/token", 500, {"error": "x"}),
        ("/token", 302, ""),
        ("/token", 200, "<p>not JSON</p>"),
        ("/keys", 500, {}),
        ("/keys", 200, {"keys": "none"}),
        ("/keys", 200, {"keys": [{"kty": "RSA", "n": 7}]}),
        ("/keys", 200, _LONG),
        ("/token", 200, _LONG),
    ],
)
def test_a_provider_that_fails_later_is_said(
    visitor: Visitor, provider: OpenIdProvider, path: str, status: int, body: Any
) -> None:
    provider.answers = {path: (status, body)}
    answer = sign_in(visitor, provider)

    assert (answer.status_code, "does not answer as it should" in answer.text) == (503, True)
    assert "/elsewhere" not in provider.asked
    assert not is_signed_in(visitor)


def test_a_wrong_secret_is_said(visitor: Visitor, provider: OpenIdProvider) -> None:
    provider.answers = {"/token": (401, {"error": "invalid_client"})}
    answer = sign_in(visitor, provider)

    assert (answer.status_code, "OIDC_CLIENT_SECRET" in answer.text) == (403, True)
    assert CLIENT_SECRET not in answer.text


@pytest.mark.parametrize(
    ("described", "status"),
    [
        ({"issuer": "https://id.example.com"}, 403),
        ({"issuer": None}, 503),
        ({"token_endpoint": "http://id.example.com/token"}, 503),
        ({"jwks_uri": 7}, 503),
        ({"authorization_endpoint": "javascript:alert(1)"}, 503),
    ],
)
def test_a_wrong_configuration_is_refused(
    visitor: Visitor, provider: OpenIdProvider, described: dict[str, Any], status: int
) -> None:
    provider.configuration = described

    assert visitor.get("/auth/oidc").status_code == status


def test_a_provider_that_hangs_is_given_up(
    visitor: Visitor, provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.openid.provider.LIMIT_S", 0.5)
    provider.delay_s = 6
    started_s = time.monotonic()
    answer = visitor.get("/auth/oidc")
    took_s = time.monotonic() - started_s
    visitor.get("/auth/oidc")  # not asked again at once

    assert answer.status_code == 503
    assert took_s < 6
    assert time.monotonic() - started_s < 6
    assert visitor.login("admin", PASSWORD).status_code == 303


def test_the_doctor_asks_the_provider(parts: Services, provider: OpenIdProvider) -> None:
    def found() -> tuple[str, str]:
        findings = examine(parts.config, None, parts.provider)
        (one,) = (finding for finding in findings if finding.subject == "sign-in")
        return one.level, one.words

    assert found() == ("good", f"{provider.url} answers")
    assert parts.provider is not None
    parts.provider._fetched.clear()
    provider.answers = {"/.well-known/openid-configuration": (404, "")}
    assert found()[0] == "odd"
    assert "answers with status 404" in found()[1]
    parts.provider._fetched.clear()
    provider.answers = {}
    provider.configuration = {"issuer": "https://id.example.com"}
    assert found()[0] == "bad"


def test_an_address_opens_only_when_verified(
    prepared: Path, tmp_path: Path, provider: OpenIdProvider
) -> None:
    environ = {**_MANY, "OIDC_ROLE_CLAIM": "email", "OIDC_OWNERS": "anna@example.com"}
    made = application(prepared, tmp_path / "data", OIDC_ISSUER=provider.url, **environ)
    provider.claims = {"email": "anna@example.com", "email_verified": False}
    refused = sign_in(Visitor(made), provider)
    provider.claims["email_verified"] = True
    accepted = sign_in(Visitor(made), provider)
    close(made)

    assert (refused.status_code, "not verified" in refused.text) == (403, True)
    assert accepted.status_code == 303


def test_a_claim_is_found_by_its_path(
    prepared: Path, tmp_path: Path, provider: OpenIdProvider
) -> None:
    environ = {**_MANY, "OIDC_ROLE_CLAIM": "realm_access.roles"}
    made = application(prepared, tmp_path / "data", OIDC_ISSUER=provider.url, **environ)
    provider.claims = {"realm_access": {"roles": ["gateway-owners"]}}
    answer = sign_in(Visitor(made), provider)
    close(made)

    assert answer.status_code == 303


def test_without_a_provider_nothing_is_offered(prepared: Path, tmp_path: Path) -> None:
    made = application(prepared, tmp_path / "data")
    visitor = Visitor(made)
    page = visitor.get("/auth/login").text
    answers = [visitor.get(path).status_code for path in ("/auth/oidc", "/auth/oidc/callback")]
    found = of(made).provider
    close(made)

    assert "/auth/oidc" not in page
    assert answers == [303, 303]
    assert found is None
