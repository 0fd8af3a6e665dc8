"""The command that tells how a client is set up."""

from __future__ import annotations

import click

from gateway.cli.common import command
from gateway.policy import client_snippets
from gateway.reports.examples import example_model
from gateway.web.context import services


@command("client-config")
@click.argument("client", type=click.Choice(client_snippets.CLIENTS))
@click.option("--key", default="YOUR_KEY", show_default=True, help="The API key to fill in.")
@click.option("--model", help="The model to fill in; default: the first one there is.")
@click.option("--url", help="Address of the gateway; default: as set in the console.")
def client_config(client: str, key: str, model: str | None, url: str | None) -> None:
    """Print how CLIENT is told of this gateway."""
    parts = services()
    base = url or parts.settings.behaviour().public_url or f"http://localhost:{parts.config.port}"
    piece = client_snippets.snippet(
        client, key, model or example_model(parts.catalog.models()), base.rstrip("/")
    )
    if piece.place:
        click.echo(f"# {piece.name}: {piece.place}", err=True)
    click.echo(piece.text)


COMMANDS = (client_config,)
