"""Commands about what the gateway does: models, usage, upkeep, its clients."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from gateway.accounting import export
from gateway.accounting.retention import Retention
from gateway.cli.common import OPERATOR, command, given, schema_options, table
from gateway.cli.doctor import examine
from gateway.core.usage import GROUPS, Group, Sums
from gateway.errors import NotFound
from gateway.policy.clients import snippets as client_snippets
from gateway.policy.clients.kit import KIT
from gateway.reports import usage as reports
from gateway.reports.examples import example_model
from gateway.reports.filters import FIELDS, utc_filter
from gateway.schemas import convert
from gateway.schemas.call_query import CallQuery, RequestQuery
from gateway.schemas.server import Server
from gateway.store import names
from gateway.web.context import services

_MARKS = {"good": "ok ", "odd": "!  ", "bad": "XX "}


@command("list")
def list_models() -> None:
    """List every model: how clients call it, Ollama's tag, and whether it can be called."""
    rows = [("ID", "NAME", "TAG", "STATE")]
    for model in services().catalog.models():
        state = "ready" if model.available else "missing"
        rows.append(
            (str(model.id), model.display_name, model.name, state if model.enabled else "disabled")
        )
    click.echo(table(rows))


@command("list")
def list_servers() -> None:
    """List the Ollama servers."""
    rows = [("ID", "NAME", "URL", "STATE")]
    for server in services().catalog.servers():
        state = "draining" if server.draining else "enabled"
        shown = state if server.enabled else "disabled"
        rows.append((str(server.id), server.name, server.url, shown))
    click.echo(table(rows))


@command("create")
@click.argument("url")
@schema_options(Server, "url", "auth_header")
@click.option("--auth-header-stdin", is_flag=True, help="Read a header line from a pipe.")
def create_server(url: str, auth_header_stdin: bool, **options: Any) -> None:
    """Add an Ollama server and ask it for its models."""
    raw = {"url": url, **given(options)}
    if auth_header_stdin:
        raw["auth_header"] = sys.stdin.readline().rstrip("\r\n")
    server = services().servers.create(raw, OPERATOR)
    click.echo(f"Server {server.id} ({server.name}) was added.")


@command("refresh")
def refresh_models() -> None:
    """Ask every Ollama server for its models."""
    failed = False
    for done in services().refresher.refresh():
        if done.error:
            failed = True
            click.echo(f"{done.server_name}: {done.error} {done.fix}".rstrip(), err=True)
        else:
            click.echo(f"{done.server_name}: {done.models} models, Ollama {done.version}")
    if failed:
        sys.exit(1)


def _filters(function: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each field of a filter, called as in the REST API and in addresses."""
    for name in reversed(FIELDS):
        option = click.option(f"--{name.replace('_', '-')}", name, multiple=name == "features")
        function = option(function)
    return function


@command("usage")
@_filters
@click.option("--group", type=click.Choice(GROUPS), default="key", show_default=True)
@click.option("--format", "form", type=click.Choice(["table", "csv", "jsonl"]), default="table")
def usage(group: Group, form: str, **given: str | tuple[str, ...]) -> None:
    """Show what was used, in the last 7 days or as filtered: sums by group, or every call as CSV or
    JSON lines."""
    parts = services()
    now = datetime.now(UTC)
    fields = {
        name: (value,) if isinstance(value, str) else value
        for name, value in given.items()
        if value
    }
    schema = CallQuery if form == "table" else RequestQuery  # sums know less
    wanted = utc_filter(schema(**convert.read_query(fields, schema)))
    if form != "table":
        write = export.as_csv if form == "csv" else export.as_json_lines
        wanted = replace(wanted, since=wanted.since or now - reports.DEFAULT)
        for piece in write(parts.store, wanted):
            click.echo(piece, nl=False)
        return
    asked = reports.question(wanted, now, group=group)
    found = reports.ask(parts.store, asked, ZoneInfo("UTC")).groups
    labels = parts.store.read(names.by_id, group)
    rows = [(group.upper(), "REQUESTS", "ERRORS", "INPUT", "CACHED", "OUTPUT", "TOKENS/S")]
    rows += [(labels.get(name, name), *_figures(sums)) for name, sums in found]
    click.echo(table(rows))


@command("prune")
def prune() -> None:
    """Delete what the retention settings say is kept long enough."""
    parts = services()
    done = Retention(parts.store, parts.settings.behaviour).prune()
    click.echo(
        f"Deleted {done.calls} calls, {done.bodies} kept texts, {done.hours} hourly sums, "
        f"{done.audit} audit entries, {done.alerts} entries of alerts, {done.responses} responses, "
        f"{done.sessions} old logins."
    )


@command("doctor")
@click.option("--offline", is_flag=True, help="Ask no Ollama server and no OpenID provider.")
def doctor(offline: bool) -> None:
    """Look the installation over and say what is wrong and what helps."""
    parts = services()
    bad = False
    asked = (None, None) if offline else (parts.servers, parts.provider)
    for finding in examine(parts.config, *asked):
        bad |= finding.level == "bad"
        click.echo(f"{_MARKS[finding.level]} {finding.subject}: {finding.words}")
        if finding.fix:
            click.echo(f"      -> {finding.fix}")
    if bad:
        sys.exit(1)


@command("client-config")
@click.argument("client", type=click.Choice(tuple(KIT)))
@click.option("--key", default="YOUR_KEY", show_default=True, help="The API key to fill in.")
@click.option("--model", help="The model to fill in; default: the first one there is.")
@click.option("--url", help="Address of the gateway; default: as set in the console.")
def client_config(client: str, key: str, model: str | None, url: str | None) -> None:
    """Print how CLIENT is told of this gateway."""
    parts = services()
    base = url or parts.settings.behaviour().public_url or f"http://localhost:{parts.config.port}"
    known = parts.catalog.models()
    chosen = model or example_model(known)
    window = next((one.window() for one in known if one.display_name == chosen), 0)
    piece = client_snippets.snippet(client, key, chosen, base.rstrip("/"), window)
    if piece.place:
        click.echo(f"# {piece.name}: {piece.place}", err=True)
    click.echo(piece.text)


@command("test")
@click.argument("name")
def test_alert(name: str) -> None:
    """Send a test to the target of alerts called NAME, and say what came of it."""
    parts = services()
    target = parts.alert_targets.find(name)
    if target is None:
        raise NotFound(f"There is no target of alerts called '{name}'.")
    outcome = parts.alerts.attempt(target)
    click.echo(f"{target.name}: {outcome.words}", err=not outcome.is_sent)
    if not outcome.is_sent:
        sys.exit(1)


def _figures(sums: Sums) -> tuple[str, str, str, str, str, str]:
    speed, cached = sums.tokens_per_s, sums.cached_share
    return (
        f"{sums.requests:,}",
        f"{sums.errors:,}",
        f"{sums.prompt_tokens:,}",
        "" if cached is None else f"{cached:.0%}",
        f"{sums.completion_tokens:,}",
        "" if speed is None else f"{speed:.1f}",
    )


COMMANDS = (
    click.Group("alert", help="Alerts.", commands=[test_alert]),
    click.Group("model", help="Models.", commands=[list_models, refresh_models]),
    click.Group("server", help="Ollama servers.", commands=[list_servers, create_server]),
    usage,
    prune,
    doctor,
    client_config,
)
