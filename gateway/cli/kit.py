"""The command that tells how a client is set up."""

from __future__ import annotations

import click

from gateway.cli.common import command
from gateway.policy import client_snippets
from gateway.web.context import services

_FALLBACK_MODEL = "llama3.2"


@command("client-config")
@click.argument("client", type=click.Choice(client_snippets.CLIENTS))
@click.option("--key", default="YOUR_KEY", show_default=True, help="The API key to fill in.")
@click.option("--model", help="The model to fill in; default: the first one there is.")
@click.option("--url", help="Address of the gateway; default: as set in the console.")
def client_config(client: str, key: str, model: str | None, url: str | None) -> None:
    """Print how CLIENT is told of this gateway."""
    parts = services()
    base = url or parts.settings.behaviour().public_url or f"http://localhost:{parts.config.port}"
    piece = client_snippets.snippet(client, key, model or _first_model(), base.rstrip("/"))
    if piece.place:
        click.echo(f"# {piece.name}: {piece.place}", err=True)
    click.echo(piece.text)


def _first_model() -> str:
    """Return a model that chats, as far as is known."""
    names = sorted(
        model.display_name
        for model in services().catalog.models()
        if model.enabled and model.available and model.can("completion") is not False
    )
    return next(iter(names), _FALLBACK_MODEL)


COMMANDS = (client_config,)
