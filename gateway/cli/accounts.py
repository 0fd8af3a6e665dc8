"""Commands about those who administer."""

from __future__ import annotations

import sys

import click

from gateway.cli.common import OPERATOR, command
from gateway.core.admin import ROLES, Role
from gateway.errors import NotFound
from gateway.web.context import services


def _password(given_by_stdin: bool) -> str:
    """Ask for a password twice, or read one line from a pipe: never from an argument, where
    `ps` and the shell's history would show it."""
    if given_by_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


@command("create")
@click.argument("username")
@click.option("--role", type=click.Choice(ROLES), default="admin", show_default=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from a pipe.")
def create_account(username: str, role: Role, password_stdin: bool) -> None:
    """Make an account for the console."""
    admin = services().admins.accounts.create(
        username, _password(password_stdin), role, OPERATOR, must_change=False
    )
    click.echo(f"The account {admin.username} ({admin.role}) was made.")


@command("set-password")
@click.argument("username")
@click.option("--password-stdin", is_flag=True, help="Read the password from a pipe.")
@click.option("--must-change", is_flag=True, help="Have it changed at the next login.")
@click.option(
    "--disable-two-factor",
    is_flag=True,
    help="For a lost authenticator without recovery codes left.",
)
def set_password(
    username: str, password_stdin: bool, must_change: bool, disable_two_factor: bool
) -> None:
    """Set the password of an account and end its logins."""
    admins = services().admins
    admin = admins.accounts.find(username)
    if admin is None:
        raise NotFound(f"There is no account '{username}'.")
    admins.set_password(admin.id, _password(password_stdin), OPERATOR, must_change=must_change)
    if disable_two_factor:
        admins.two_factor.disable(admin.id, OPERATOR)
    click.echo(f"The password of {admin.username} was set; all its logins have ended.")


@command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="admin", show_default=True)
def create_token(name: str, role: Role) -> None:
    """Make a token for the admin REST API and print it, once."""
    _, secret = services().admins.tokens.issue(name, role, OPERATOR)
    click.echo(secret)


COMMANDS = (
    click.Group(
        "account", help="Accounts of the console.", commands=[create_account, set_password]
    ),
    click.Group("token", help="Tokens of the admin API.", commands=[create_token]),
)
