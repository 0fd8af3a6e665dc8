"""Commands that take data out and bring it in."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import click

from gateway.cli.common import OPERATOR, command
from gateway.management.backups import copies as backups
from gateway.management.transfer.configuration import Change, ConfigTransfer
from gateway.management.transfer.documents import as_yaml, read_document
from gateway.management.transfer.node import NodeImport
from gateway.store.database import schema
from gateway.web.context import services


@command("backup")
@click.argument("target", type=click.Path(path_type=Path), default=".")
def backup(target: Path) -> None:
    """Write everything to one file; TARGET is a new file, or a folder. Works while serving."""
    schema.check(services().config.database_url)
    click.echo(f"Backup written to {backups.make(services().config, target)}")
    click.echo(
        "It holds the servers' authorization headers and the secrets of two-factor login in plain:"
        " keep it where nobody else reads it."
    )


@command("restore")
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Also while the gateway seems to run.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(source: Path, force: bool, yes: bool) -> None:
    """Replace everything by a backup. Stop the gateway first."""
    if not yes:
        click.confirm("Everything now in the gateway will be replaced. Go on?", abort=True)
    services().store.database.close()  # what is open would go on reading the replaced file
    kept = backups.restore(services().config, source, force=force)
    click.echo(f"{source} was restored.")
    if kept is not None:
        click.echo(f"What was there before is in {kept}")


@command("export")
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--with-digests", is_flag=True, help="Let keys go on working where it is imported.")
def export_config(target: Path | None, with_digests: bool) -> None:
    """Write settings, servers, models and keys as YAML, without secrets."""
    text = as_yaml(_transfer().export(digests=with_digests))
    if target is None:
        click.echo(text, nl=False)
        return
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as exc:
        raise click.ClickException(f"{target} cannot be written: {exc.strerror}") from exc
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    click.echo(f"Configuration written to {target}", err=True)


@command("import")
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
def import_config(source: Path, dry_run: bool) -> None:
    """Bring in a configuration (YAML or JSON), all of it or nothing."""
    document = read_document(source)
    transfer = _transfer()
    changes = transfer.plan(document) if dry_run else transfer.apply(document, OPERATOR)
    _tell(changes, dry_run)


@command("import")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
def import_legacy(folder: Path, dry_run: bool) -> None:
    """Import the Node product's data folder; its API keys go on working."""
    node = NodeImport(services().store, _transfer())
    done = node.plan(folder) if dry_run else node.apply(folder, OPERATOR)
    _tell(done.changes, dry_run)
    click.echo(f"{done.calls} calls of the old log {'would be' if dry_run else 'were'} taken over.")
    for note in done.notes:
        click.echo(f"note: {note}")
    if not dry_run:
        click.echo("The old api_keys.json holds the keys in plain: delete it when all is well.")


def _transfer() -> ConfigTransfer:
    return ConfigTransfer(services().store)


def _tell(changes: Iterable[Change], dry_run: bool) -> None:
    told = [str(change) for change in changes]
    for text in told:
        click.echo(text)
    word = "would change" if dry_run else "changed"
    click.echo(f"{len(told)} things {word}." if told else "Nothing to change.")


COMMANDS = (
    backup,
    restore,
    click.Group("config", help="The configuration.", commands=[export_config, import_config]),
    click.Group("legacy", help="The Node product of before.", commands=[import_legacy]),
)
