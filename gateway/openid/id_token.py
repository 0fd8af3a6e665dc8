"""Checks ID tokens, and reads from them who signed in.

Source: OpenID Connect Core 1.0, section 3.1.3.7. A token that was not signed by a published key of
the provider is never looked into; only algorithms with a public key count, so neither `none` nor a
public key that is taken for a shared secret works.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc import errors, jwt
from joserfc.jwk import GuestProtocol, KeySet

from gateway.core.admin import ROLES, Identity, Role
from gateway.core.chat import Json
from gateway.openid.refusals import Reason, SignInRefused, claim_missing, claim_wrong

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
)  # fmt: skip
SKEW_S: Final = 60
_LONGEST_SUBJECT = 255
_REASONS: Final[Mapping[str, Reason]] = {
    "iss": "issuer",
    "aud": "audience",
    "azp": "authorized_party",
    "exp": "expired",
    "iat": "issued_at",
    "nbf": "issued_at",
    "nonce": "nonce",
    "at_hash": "at_hash",
}


@dataclass(frozen=True, slots=True)
class Client:
    """Who we are at the provider, and which values of `role_claim` give which role."""

    issuer: str
    client_id: str
    role_claim: str
    roles: Mapping[Role, tuple[str, ...]]


def check(
    token: str,
    keys: Callable[[str | None], KeySet],
    client: Client,
    *,
    nonce: str,
    access_token: str,
    now: int,
) -> dict[str, Json]:
    """Return the claims of an ID token that holds; `now` is in seconds since 1970. `keys` gives the
    provider's keys, for a token that names this one of them.

    Raises SignInRefused, and what `keys` raises.
    """

    def named(signed: GuestProtocol) -> KeySet:
        return keys(signed.headers().get("kid"))

    try:
        signed = jwt.decode(token, named, algorithms=ALGORITHMS)
    except errors.BadSignatureError as exc:
        raise SignInRefused("signature") from exc
    except errors.InvalidKeyIdError as exc:
        raise SignInRefused("key") from exc
    except (
        errors.UnsupportedAlgorithmError,
        errors.KeyParameterError,
        errors.InvalidKeyLengthError,
    ) as exc:
        raise SignInRefused("algorithm") from exc
    except (errors.JoseError, ValueError, TypeError, RecursionError) as exc:
        raise SignInRefused("token") from exc
    claims = CodeIDToken(
        signed.claims,
        signed.header,
        options={"iss": {"value": client.issuer}, "aud": {"value": client.client_id}},
        params={"nonce": nonce, "client_id": client.client_id, "access_token": access_token},
    )
    _run(lambda: claims.validate(now=now, leeway=SKEW_S))
    return dict(claims)


def identity(claims: Mapping[str, Json], client: Client) -> Identity:
    """Return who the claims speak of. Raises SignInRefused."""
    subject = claims["sub"]
    if not subject.strip() or len(subject) > _LONGEST_SUBJECT:
        raise claim_wrong("sub")
    wished = (claims.get(name) for name in ("preferred_username", "email"))
    name = next((one for one in wished if isinstance(one, str) and one), subject)
    return Identity(client.issuer, subject, name, _role(claims, client))


def _run(validate: Callable[[], None]) -> None:
    try:
        validate()
    except errors.MissingClaimError as exc:
        raise claim_missing(exc.claim) from exc
    except errors.ClaimError as exc:
        reason = _REASONS.get(exc.claim)
        raise SignInRefused(reason) if reason else claim_wrong(exc.claim) from exc
    except (ValueError, TypeError, AttributeError) as exc:  # claims of types nobody expects
        raise SignInRefused("token") from exc


def _role(claims: Mapping[str, Json], client: Client) -> Role:
    """Return the highest role that the claim gives."""
    found = _at(claims, client.role_claim)
    if found is None:
        raise claim_missing(client.role_claim)
    if client.role_claim == "email" and claims.get("email_verified") is not True:
        raise SignInRefused("email_unverified")
    given = found if isinstance(found, list) else [found]
    for role in ROLES:
        if any(value in given for value in client.roles[role]):
            return role
    raise SignInRefused("role")


def _at(claims: Mapping[str, Json], name: str) -> Any:
    """Return a claim by its name, or by a path such as `realm_access.roles`."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
