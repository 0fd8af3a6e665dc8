"""What a process loads before it is needed: memory that every process of a deployment pays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_MASTER = """
import runpy, sys
from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
config = Config()
config.set("worker_class", runpy.run_path("gateway/gunicorn.conf.py")["worker_class"])
config.worker_class
print(*sys.modules)
"""
_WORKER = """
import sys
import wsgi
print(*sys.modules)
"""
CASES: dict[str, tuple[object, ...]] = {
    "master": (
        _MASTER,
        "gateway.server.worker",
        ("gateway.application", "gateway.config", "flask", "requests", "sqlalchemy"),
    ),
    "worker on SQLite": (
        _WORKER,
        "sqlalchemy.dialects.sqlite",
        (
            "sqlalchemy.dialects.postgresql",
            "psycopg",
            "alembic",
            "redis",
            "limits",
            "yaml",
            "authlib",
            "cryptography",
        ),
    ),
}


@pytest.mark.parametrize(("program", "used", "unused"), CASES.values(), ids=CASES)
def test_a_process_loads_only_what_it_uses(
    program: str, used: str, unused: tuple[str, ...], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DATA_DIR": str(tmp_path),
            "SESSION_SECRET": "0123456789abcdef" * 4,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    loaded = set(done.stdout.split())

    assert used in loaded
    assert loaded.isdisjoint(unused)
