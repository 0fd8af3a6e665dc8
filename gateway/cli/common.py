"""What every command shares: the application's context, and refusals as one line."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import click
from flask.cli import with_appcontext

from gateway.core.admin import CLI
from gateway.errors import GatewayError
from gateway.services.backup import BackupError

P = ParamSpec("P")
T = TypeVar("T")

OPERATOR = CLI


def command(name: str) -> Callable[[Callable[P, None]], click.Command]:
    """Make a function a command of the application. What our services refuse becomes its error
    message."""

    def wrap(function: Callable[P, None]) -> click.Command:
        @click.command(name)
        @with_appcontext
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                function(*args, **kwargs)
            except GatewayError as error:
                raise click.ClickException(error.message) from error
            except BackupError as error:
                raise click.ClickException(str(error)) from error

        return run

    return wrap


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Lay rows out in columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
