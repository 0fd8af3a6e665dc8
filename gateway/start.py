"""The command `ollama2openai`, also `python -m gateway.start`: serve, or one of the commands of
`gateway.cli`.

To serve means: check, migrate, seed, say what to do next, then become gunicorn. Everything that
can be wrong is said in one line before a server starts, with exit code 2: a wrong variable, a port
in use, a directory that cannot be written, a damaged database or one of a newer version, a second
process without Redis, an extra that is not installed.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from gateway import create_app
from gateway.config import ConfigError, Settings
from gateway.version import VERSION

EXIT_CONFIG = 2
_FOR_GUNICORN = (
    "HOST", "PORT", "WEB_CONCURRENCY", "WORKER_CONNECTIONS", "GRACEFUL_TIMEOUT", "KEEPALIVE",
    "LOG_LEVEL",
)  # fmt: skip
METRICS_DIR = "PROMETHEUS_MULTIPROC_DIR"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Exits by itself, except for a wrong configuration: that code is returned."""
    try:
        _command.main(arguments, "ollama2openai")
    except ConfigError as error:
        print(f"ollama2openai: {error}", file=sys.stderr)
        return EXIT_CONFIG


class _Commands(click.Group):
    """Imports the commands of `gateway.cli` when one is asked for: serving needs none (0.4 s)."""

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command of this name."""
        return super().get_command(context, name) or self._of_cli(context).get(name)

    def list_commands(self, context: click.Context) -> list[str]:
        """Return all names."""
        return sorted([*super().list_commands(context), *self._of_cli(context)])

    @staticmethod
    def _of_cli(context: click.Context) -> dict[str, click.Command]:
        from flask.cli import ScriptInfo

        from gateway import cli

        context.obj = ScriptInfo(create_app=create_app)
        return {str(command.name): command for command in cli.COMMANDS}


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    epilog="Without a command it serves. Settings come from the environment and from a .env file in"
    " the working folder: docs/settings.md lists them.",
)
@click.version_option(VERSION, message="ollama2openai %(version)s")
@click.pass_context
def _command(context: click.Context) -> None:
    """A gateway in front of Ollama: OpenAI's and Anthropic's APIs, keys, usage, a console."""
    if context.invoked_subcommand is None:
        context.invoke(_serve)


@_command.command("serve")
@click.option(
    "--prepare", "only_prepare", is_flag=True, help="Only create or migrate the database."
)
def _serve(only_prepare: bool) -> None:
    """Migrate the database and serve."""
    settings = Settings.load()
    if only_prepare:
        for note in prepare(settings):
            print(note)
        return
    _check_workers(settings)
    _check_port(settings.host, settings.port)
    notes = prepare(settings)
    _check_alone(settings)
    folder = _metrics_folder(settings)
    print(_banner(settings, notes), flush=True)
    os.environ.update(_for_gunicorn(settings))
    if folder is not None:
        os.environ[METRICS_DIR] = str(folder)
    config = Path(__file__).with_name("gunicorn.conf.py")
    gunicorn = ["-m", "gunicorn", "-c", str(config), "gateway.wsgi:app"]
    os.execv(sys.executable, [sys.executable, *gunicorn])


def prepare(settings: Settings) -> list[str]:
    """Migrate the database and put in what an empty one needs. Returns notes for the operator.

    Raises ConfigError with one sentence.
    """
    from gateway.store.database import setup

    logging.basicConfig(level=logging.ERROR)
    return setup.prepare(settings, _find_ollama)


def _find_ollama() -> tuple[str, str] | None:
    """Return address and version of an Ollama nearby. Imported for a first start only (0.1 s)."""
    from gateway.ollama import nearby

    return nearby.find(nearby.candidates(os.environ))


def _check_workers(settings: Settings) -> None:
    """Raise ConfigError for several workers that could not count together."""
    if settings.web_concurrency > 1 and not settings.redis_url:
        raise ConfigError(
            "REDIS_URL",
            f"must be set for WEB_CONCURRENCY={settings.web_concurrency}: several processes count"
            " slots and limits in Redis; set it, or WEB_CONCURRENCY=1",
        )


def _check_alone(settings: Settings) -> None:
    """Raise ConfigError when another process serves from the same database and there is no Redis.

    One that is draining does not count: in a rolling restart both may run for as long as it drains
    (`GRACEFUL_TIMEOUT`). Its heartbeats tell it from a second
    process, see `runtime.workers`.
    """
    if settings.redis_url:
        return
    from gateway.runtime.database import Store
    from gateway.runtime.workers import wait_until_alone
    from gateway.store.database.engine import Database

    database = Database.open(settings.database_url)
    try:
        other = wait_until_alone(Store(database))
    finally:
        database.close()
    if other:
        raise ConfigError(
            "REDIS_URL",
            f"must be set: process {other} serves from the same database, and several processes"
            " count slots and limits in Redis; set it for both, or stop the other one first",
        )


def _check_port(host: str, port: int) -> None:
    """Raise ConfigError when gunicorn could not listen there."""
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bare, port))
        except OSError as error:
            raise _cannot_listen(error, host, port) from error


def _cannot_listen(error: OSError, host: str, port: int) -> ConfigError:
    match error.errno:
        case errno.EADDRINUSE:
            problem = "is in use; stop the other program or set PORT to a free one"
        case errno.EACCES:
            problem = "may not be used by this user; set PORT to one above 1023"
        case _:
            return ConfigError("HOST", f"cannot listen on {host} ({error.strerror})")
    return ConfigError("PORT", f"{port} on {host} {problem}")


def _metrics_folder(settings: Settings) -> Path | None:
    """Return an empty folder where several workers leave their counts for /metrics, None for one.

    Counts of an earlier run are removed: the port is ours, so nobody else writes there.
    """
    if settings.web_concurrency == 1 or os.environ.get(METRICS_DIR):
        return None
    folder = settings.data_dir / "metrics" / str(settings.port)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("DATA_DIR", f"{folder} cannot be made: {error.strerror}") from error
    return folder


def _for_gunicorn(settings: Settings) -> dict[str, str]:
    """Return what `gunicorn.conf.py` reads, so that a value in `.env` counts there too."""
    return {name: str(getattr(settings, name.lower())) for name in _FOR_GUNICORN}


def _banner(settings: Settings, notes: list[str]) -> str:
    host = "localhost" if settings.host in {"0.0.0.0", "::", "127.0.0.1"} else settings.host
    address = f"http://{host}:{settings.port}"
    lines = [
        "",
        "  Ollama2OpenAI",
        f"  Console   {address}/admin/",
        f"  OpenAI    {address}/v1",
        f"  Anthropic {address}",
        "",
        *(f"  {note}" for note in notes),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
