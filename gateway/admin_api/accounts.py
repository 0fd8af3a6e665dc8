"""Accounts and admin tokens: owners only."""

from __future__ import annotations

from dataclasses import asdict

from flask import Response, g

from gateway.admin_api import answers, bp
from gateway.admin_api.operation import answer, body, operation, read_body
from gateway.schemas.account import AccountChange, AccountFields, TokenFields
from gateway.store import admins
from gateway.web.context import services


@bp.get("/accounts")
@operation("listAccounts", answers.AccountList, role="owner")
def list_accounts() -> Response:
    """List accounts."""
    found = services().admins.accounts.all()
    return answer({"data": [admins.as_json(admin) for admin in found]})


@bp.post("/accounts")
@operation("createAccount", answers.AccountAnswer, body=AccountFields, role="owner", status=201)
def create_account() -> Response:
    """Make an account; its password must be changed at the first login."""
    given = read_body(AccountFields)
    admin = services().admins.accounts.create(given.username, given.password, given.role, g.actor)
    return answer(admins.as_json(admin), 201)


@bp.patch("/accounts/<id:account_id>")
@operation("updateAccount", answers.AccountAnswer, body=AccountChange, role="owner")
def update_account(account_id: int) -> Response:
    """Change an account's role, or switch it on or off; its logins end."""
    admin = services().admins.accounts.update(account_id, body(), g.actor)
    return answer(admins.as_json(admin))


@bp.delete("/accounts/<id:account_id>")
@operation("deleteAccount", answers.Deleted, role="owner")
def delete_account(account_id: int) -> Response:
    """Remove an account with its logins and tokens."""
    services().admins.accounts.delete(account_id, g.actor)
    return answer({"id": account_id, "deleted": True})


@bp.get("/tokens")
@operation("listTokens", answers.TokenList, role="owner")
def list_tokens() -> Response:
    """List admin tokens, without their secrets."""
    return answer({"data": services().admins.tokens.all()})


@bp.post("/tokens")
@operation("createToken", answers.NewToken, body=TokenFields, role="owner", status=201)
def issue_token() -> Response:
    """Make an admin token; its secret is in this answer and nowhere else."""
    given = read_body(TokenFields)
    token, secret = services().admins.tokens.issue(
        given.name, given.role, g.actor, expires_at=given.expires_at
    )
    return answer({**asdict(token), "secret": secret}, 201)


@bp.delete("/tokens/<id:token_id>")
@operation("revokeToken", answers.TokenAnswer, role="owner")
def revoke_token(token_id: int) -> Response:
    """Make an admin token useless."""
    return answer(services().admins.tokens.revoke(token_id, g.actor))
