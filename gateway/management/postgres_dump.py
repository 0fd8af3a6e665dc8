"""Backups of PostgreSQL by the programs of its client package.

A dump is brought back in one transaction, with whatever tables are there taken away first: also
those that the dump, made by an older version, does not know.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from sqlalchemy import make_url

from gateway.store.database import schema
from gateway.store.tables import Base

MAGIC = b"PGDMP"
_VERSION_TABLE = "alembic_version"
_MOST_S = 3600
_ENTRY = re.compile(
    r"^\d+; \d+ \d+ (TABLE|FUNCTION|PROCEDURE|(?:EVENT )?TRIGGER|RULE)"
    r" \S+ (?!DATA )(.+) \S+$",
    re.M,
)
"""What acts by itself, and tables, in the list of what a dump holds."""
_ACTING = {
    ("FUNCTION", "audit_is_append_only()"),
    ("FUNCTION", "merge_histograms(text, text)"),
    ("TRIGGER", "audit audit_is_append_only"),
}


class BackupError(Exception):
    """A backup cannot be made or used; the text says why, on one line."""


def make(url: str, part: Path) -> None:
    """Dump the database into a file. Raises BackupError."""
    address, environment = _connection(url)
    _run(["pg_dump", "--format=custom", f"--file={part}", address], environment)
    check(part)


def restore(url: str, source: Path) -> None:
    """Replace what is in the database by a dump, all of it or nothing. Raises BackupError."""
    _refuse_other(source, check(source))
    address, environment = _connection(url)
    reading = ["pg_restore", "--clean", "--if-exists", "--no-owner", "--no-privileges"]
    writing = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={address}"]
    _find(writing[0])
    with (
        subprocess.Popen(
            [*reading, "--file=-", str(source)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as reader,
        subprocess.Popen(
            writing,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as writer,
    ):
        assert reader.stdout is not None
        assert writer.stdin is not None
        _copy(reader, reader.stdout, writer.stdin)
        _, words = writer.communicate(timeout=_MOST_S)
    if writer.returncode != 0:
        raise BackupError(f"psql failed, nothing was changed: {_line(words.decode())}")
    if reader.returncode != 0:
        raise BackupError(f"{source} is damaged; nothing was changed")


def check(path: Path) -> str:
    """Return the schema of a dump. Raises BackupError for one that cannot be used."""
    command = ["pg_restore", "--data-only", f"--table={_VERSION_TABLE}", "--file=-", str(path)]
    lines = _run(command, os.environ).splitlines()
    start = next((at for at, line in enumerate(lines) if line.startswith("COPY ")), -1)
    if start < 0 or start + 1 >= len(lines):
        raise BackupError(f"{path} is not a backup of the gateway")
    revision = lines[start + 1].strip()
    try:
        schema.check_known(revision)
    except schema.SchemaError as exc:
        raise BackupError(f"{path} cannot be used: {exc}") from exc
    return revision


def _refuse_other(source: Path, revision: str) -> None:
    """Raise BackupError where tables are missing, or something acts by itself that is not ours."""
    found = set(_ENTRY.findall(_run(["pg_restore", "--list", str(source)], os.environ)))
    tables = {entry for entry in found if entry[0] == "TABLE"}
    needed = {("TABLE", name) for name in Base.metadata.tables if revision == schema.head()}
    if found - tables - _ACTING or needed - tables:
        raise BackupError(f"{source} has other tables or triggers than a backup of the gateway")


def _copy(reader: subprocess.Popen[bytes], source: IO[bytes], target: IO[bytes]) -> None:
    """Pass the dump on as one transaction, committed only if all of it could be read."""
    names = ", ".join(f'"{name}"' for name in (*Base.metadata.tables, _VERSION_TABLE))
    try:
        target.write(f"BEGIN;\nDROP TABLE IF EXISTS {names} CASCADE;\n".encode())
        shutil.copyfileobj(source, target)
        if reader.wait(_MOST_S) == 0:
            target.write(b"COMMIT;\n")
        target.flush()
    except BrokenPipeError:  # psql has stopped and says why
        reader.kill()


def _connection(url: str) -> tuple[str, Mapping[str, str]]:
    """Return the address without its password, which goes by the environment, unseen by `ps`."""
    parsed = make_url(url)
    bare = parsed.set(drivername="postgresql", password=None).render_as_string()
    return bare, {**os.environ, "PGPASSWORD": parsed.password or ""}


def _run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a client program; give what it wrote. Raises BackupError."""
    _find(command[0])
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_MOST_S
        )
    except subprocess.TimeoutExpired as exc:
        raise BackupError(f"{command[0]} did not end within an hour") from exc
    if done.returncode != 0:
        raise BackupError(f"{command[0]} failed: {_line(done.stderr)}")
    return done.stdout


def _find(program: str) -> None:
    if shutil.which(program) is None:
        raise BackupError(
            f"{program} is not installed: backups of PostgreSQL need pg_dump, pg_restore and psql "
            "(apt-get install postgresql-client)"
        )


def _line(words: str) -> str:
    return " ".join(words.split())[:300]
