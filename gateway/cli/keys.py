"""Commands about API keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from gateway.cli.common import OPERATOR, command, given, schema_options, table
from gateway.core.periods import PERIODS
from gateway.errors import InvalidRequest, NotFound
from gateway.policy import access
from gateway.reports.key_status import state
from gateway.schemas.key import Key
from gateway.store import key_queries
from gateway.store.mapping import plain
from gateway.web.context import services

_PAGE = 500


def _budget(text: str) -> dict[str, Any]:
    """Read `tokens/day=100000`."""
    left, _, limit = text.partition("=")
    metric, _, period = left.partition("/")
    if not limit.isdigit() or period not in PERIODS:
        raise InvalidRequest(f"A budget is written as tokens/day=100000, not {text!r}.")
    return {"metric": metric, "period": period, "limit": int(limit)}


@command("create")
@click.argument("name")
@schema_options(Key, "name", "model_ids", "default_params", "forced_params")
def create(name: str, **options: Any) -> None:
    """Make an API key and print it, once. It may use all models unless --allow says which; a budget
    is written as tokens/day=100000."""
    raw = given(options)
    if "budgets" in raw:
        raw["budgets"] = [_budget(text) for text in raw["budgets"]]
    key, secret = services().keys.issue({"name": name, **raw}, OPERATOR)
    for rule in access.unmatched(key, services().catalog.models()):
        click.echo(f"note: no model there is now fits {rule!r}.", err=True)
    click.echo(f"Key {key.id} ({key.name}). It is shown this once:", err=True)
    click.echo(secret)


@command("list")
@click.option("--search", default="", help="Part of name, owner, prefix or end.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_keys(search: str, as_json: bool) -> None:
    """List API keys, newest first."""
    found, now = list(_pages(search)), datetime.now(UTC)
    if as_json:
        click.echo(json.dumps([plain(key) for key in found], indent=2))
        return
    rows = [("ID", "NAME", "KEY", "MODELS", "STATE", "LAST USED")]
    rows += [
        (
            str(key.id),
            key.name,
            f"{key.prefix}…{key.last4}",
            ",".join(key.allow) or "none",
            state(key, now),
            "never" if key.last_used_at is None else f"{key.last_used_at:%Y-%m-%d %H:%M}",
        )
        for key in found
    ]
    click.echo(table(rows))


@command("rotate")
@click.argument("key")
@click.option("--grace-hours", default=24.0, show_default=True, help="How long the old one works.")
def rotate_key(key: str, grace_hours: float) -> None:
    """Make a new key with the same rights; KEY is an id, or the first and last characters."""
    old = _find(key)
    new, secret = services().keys.rotate(old.id, grace_hours, OPERATOR)
    click.echo(
        f"Key {new.id} takes over from {old.id}, which works {grace_hours:g} h more.", err=True
    )
    click.echo(secret)


@command("revoke")
@click.argument("keys", nargs=-1, required=True)
def revoke_key(keys: tuple[str, ...]) -> None:
    """Make keys useless for ever; running calls end within a second."""
    found = [_find(key) for key in keys]
    for key in services().keys.revoke([key.id for key in found], OPERATOR):
        click.echo(f"Key {key.id} ({key.name}) was revoked.")


def _pages(search: str) -> Iterator[Key]:
    """Yield every key that fits, a page at a time."""
    offset = 0
    while page := services().keys.search(search, limit=_PAGE, offset=offset):
        yield from page
        offset += _PAGE


def _find(text: str) -> Key:
    """Return the key with this id, or the only one whose prefix and end are written `sk-…abcd`."""
    if text.isdigit():
        return services().keys.get(int(text))
    for mark in ("…", "..."):
        prefix, found, last4 = text.partition(mark)
        if found:
            matching = services().store.read(key_queries.find_shown, prefix, last4)
            if len(matching) == 1:
                return matching[0]
    raise NotFound(f"There is no key {text!r}: give its id, see `key list`.")


COMMANDS = (
    click.Group("key", help="API keys.", commands=[create, list_keys, rotate_key, revoke_key]),
)
