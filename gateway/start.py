"""`python -m gateway.start`: check, migrate, seed, say what to do next, then become gunicorn.

Everything that can be wrong is said in one line before a server starts, with exit code 2: a wrong
variable, a port in use, a directory that cannot be written, a damaged database or one of a newer
version, a second process without Redis.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import sys
from pathlib import Path

from gateway.config import ConfigError, Settings

ROOT = Path(__file__).resolve().parent.parent
EXIT_CONFIG = 2
_FOR_GUNICORN = (
    "HOST", "PORT", "WEB_CONCURRENCY", "WORKER_CONNECTIONS", "GRACEFUL_TIMEOUT", "KEEPALIVE",
    "LOG_LEVEL",
)  # fmt: skip
METRICS_DIR = "PROMETHEUS_MULTIPROC_DIR"
_USAGE = """usage: python -m gateway.start [--prepare]

Migrates the database and serves; with --prepare only migrates. Where and how much is said by the
environment and by a .env file: see Configuration in README.md."""


def main(arguments: list[str]) -> int:
    """Prepare and serve; with `--prepare` only prepare. Returns the exit code when not serving."""
    if arguments not in ([], ["--prepare"]):
        print(_USAGE, file=sys.stderr)
        return 0 if arguments in (["--help"], ["-h"]) else EXIT_CONFIG
    only_prepare = bool(arguments)
    try:
        settings = Settings.load()
        if not only_prepare:
            _check_workers(settings)
            _check_port(settings.host, settings.port)
        notes = prepare(settings)
        if not only_prepare:
            _check_alone(settings)
        folder = None if only_prepare else _metrics_folder(settings)
    except ConfigError as error:
        print(f"ollama2openai: {error}", file=sys.stderr)
        return EXIT_CONFIG
    if only_prepare:
        return 0
    print(_banner(settings, notes), flush=True)
    return _serve(settings, folder)


def _serve(settings: Settings, folder: Path | None) -> int:
    os.chdir(ROOT)
    os.environ.update(_for_gunicorn(settings))
    if folder is not None:
        os.environ[METRICS_DIR] = str(folder)
    gunicorn = ["-m", "gunicorn", "-c", str(ROOT / "gateway" / "gunicorn.conf.py"), "wsgi:app"]
    os.execv(sys.executable, [sys.executable, *gunicorn])


def prepare(settings: Settings) -> list[str]:
    """Migrate the database and put in what an empty one needs. Returns notes for the operator.

    Raises ConfigError with one sentence.
    """
    from gateway.store.database import setup

    logging.basicConfig(level=logging.WARNING)
    return setup.prepare(settings)


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
    sys.exit(main(sys.argv[1:]))
