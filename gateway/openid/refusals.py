"""Why a sign-in through the provider failed: a code for the audit log, a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from gateway.errors import Forbidden, Message

Reason: TypeAlias = Literal[
    "access_denied", "account_disabled", "algorithm", "at_hash", "audience", "authorized_party",
    "claim_missing", "claim_wrong", "client", "code", "email_unverified", "expired", "issued_at",
    "issuer", "key", "name_taken", "nonce", "provider", "role", "signature", "state", "token",
]  # fmt: skip

_SENTENCES: Final[Mapping[Reason, Message]] = {
    "access_denied": Message("The provider refused the sign-in, or it was cancelled there."),
    "account_disabled": Message("This account is disabled. Ask an owner."),
    "algorithm": Message("The provider signed its token in a way that is not accepted."),
    "at_hash": Message("The provider's tokens do not belong together (at_hash)."),
    "audience": Message("The provider's token is meant for another application (aud)."),
    "authorized_party": Message("The provider's token was given to another application (azp)."),
    "client": Message(
        "The provider does not accept this gateway. An owner checks OIDC_CLIENT_ID and"
        " OIDC_CLIENT_SECRET."
    ),
    "code": Message("The provider does not accept the sign-in: its code was used or is too old."),
    "email_unverified": Message("The provider has not verified your e-mail address."),
    "expired": Message("The provider's token has expired. Check the clocks of both machines."),
    "issued_at": Message(
        "The provider's token comes from the future. Check the clocks of both machines."
    ),
    "issuer": Message("The provider calls itself by another address than OIDC_ISSUER."),
    "key": Message("The provider's token is signed with a key that the provider does not publish."),
    "name_taken": Message("The names for your account are all taken. Ask an owner."),
    "nonce": Message("The provider's token belongs to another sign-in (nonce)."),
    "provider": Message("The provider does not answer as it should. Try again in a moment."),
    "role": Message("Your account at the provider has no role here. Ask an owner."),
    "signature": Message("The signature of the provider's token is wrong."),
    "state": Message("This sign-in began elsewhere, took too long or was used. Start again."),
    "token": Message("The provider's answer holds no token that can be read."),
}


class SignInRefused(Forbidden):
    """The provider's word does not open the console; `reason` says why."""

    code = "sign_in_refused"

    def __init__(self, reason: Reason, message: Message | None = None) -> None:
        super().__init__(message or _SENTENCES[reason])
        self.reason = reason


class ProviderAway(SignInRefused):
    """The provider does not answer, not in time, or not as the standard wants; `cause` says what
    happened, for the log and the doctor."""

    status = 503

    def __init__(self, cause: str) -> None:
        super().__init__("provider")
        self.cause = cause


def claim_missing(name: str) -> SignInRefused:
    """Return the refusal of a token that lacks a claim."""
    words = Message("The provider's token lacks the claim '%(name)s'.", name=name)
    return SignInRefused("claim_missing", words)


def claim_wrong(name: str) -> SignInRefused:
    """Return the refusal of a token whose claim is not what it must be."""
    words = Message("The claim '%(name)s' of the provider's token is not acceptable.", name=name)
    return SignInRefused("claim_wrong", words)
