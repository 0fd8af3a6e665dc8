"""What every command shares: the application's context, and refusals as one line."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, get_args, get_origin

import click
from flask.cli import with_appcontext

from gateway.core.admin import CLI
from gateway.errors import GatewayError
from gateway.management.backups.copies import BackupError
from gateway.runtime.database import StoreUnavailable
from gateway.schemas import convert
from gateway.store.database import schema
from gateway.web.context import services

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
                with _quiet():
                    function(*args, **kwargs)
            except StoreUnavailable as error:
                raise click.ClickException(_why(error)) from error
            except GatewayError as error:
                raise click.ClickException(error.message) from error
            except (BackupError, schema.SchemaError) as error:
                raise click.ClickException(str(error)) from error

        return run

    return wrap


def schema_options(
    schema: type, *left_out: str
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Add an option to a command for each field of a schema; values are checked by the service."""

    def wrap(function: Callable[P, None]) -> Callable[P, None]:
        for name, kind in reversed(list(convert.fields_of(schema).items())):
            if name in left_out:
                continue
            meta, base = convert.meta_of(kind), get_args(kind)[0]
            is_flag, is_list = base in (bool, bool | None), get_origin(base) is tuple
            text = f"--{name.replace('_', '-')}"
            option = click.option(
                f"{text}/--no-{text[2:]}" if is_flag else text,
                name,
                type=int if base is int else None,
                default=None,
                multiple=is_list,
                help=" ".join(filter(None, (f"{meta.title}.", meta.description))),
            )
            function = option(function)
        return function

    return wrap


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given, as plain values."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value not in (None, ())
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings of the log during a command: its one line says it better."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _why(error: StoreUnavailable) -> str:
    """Print what is wrong with the database, and what to run."""
    try:
        schema.check(services().config.database_url)
    except schema.SchemaError as found:
        return str(found)
    return f"{error.message} ({error.__cause__ or 'no answer'})".replace("\n", " ")[:400]


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Lay rows out in columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
