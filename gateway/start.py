"""`python -m gateway.start`: check, migrate, seed, say what to do next, then become gunicorn.

Everything that can be wrong is said in one line before a server starts, with exit code 2: a wrong variable, a port in use, a directory
that cannot be written, a damaged database or one of a newer version.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from pathlib import Path

from gateway.config import ConfigError, Settings

ROOT = Path(__file__).resolve().parent.parent
EXIT_CONFIG = 2


def main(arguments: list[str]) -> int:
    """Prepare and serve; with `--prepare` only prepare. Returns the exit code when not serving."""
    only_prepare = "--prepare" in arguments
    try:
        settings = Settings.load()
        if not only_prepare:
            _check_port(settings.host, settings.port)
        notes = prepare(settings)
    except ConfigError as error:
        print(f"ollama2openai: {error}", file=sys.stderr)
        return EXIT_CONFIG
    if only_prepare:
        return 0
    print(_banner(settings, notes), flush=True)
    os.chdir(ROOT)
    os.environ.update(_for_gunicorn(settings))
    gunicorn = ["-m", "gunicorn", "-c", str(ROOT / "gateway" / "gunicorn.conf.py"), "wsgi:app"]
    os.execv(sys.executable, [sys.executable, *gunicorn])


def prepare(settings: Settings) -> list[str]:
    """Migrate the database and put in what an empty one needs. Returns notes for the operator.

    Raises ConfigError with one sentence.
    """
    from gateway.store import setup

    logging.basicConfig(level=logging.WARNING)
    return setup.prepare(settings)


def _check_port(host: str, port: int) -> None:
    """Raise ConfigError when somebody else listens already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"PORT: cannot listen on {host}:{port} ({error.strerror}); stop the other program "
                "or set PORT to a free one"
            ) from error


def _for_gunicorn(settings: Settings) -> dict[str, str]:
    """Give what `gunicorn.conf.py` reads, so that a value in `.env` counts there too."""
    return {
        "HOST": settings.host,
        "PORT": str(settings.port),
        "WEB_CONCURRENCY": str(settings.web_concurrency),
        "WORKER_CONNECTIONS": str(settings.worker_connections),
        "GRACEFUL_TIMEOUT": str(settings.graceful_timeout),
        "KEEPALIVE": str(settings.keepalive),
        "LOG_LEVEL": settings.log_level,
    }


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
