"""The Flask extensions, unbound; `create_app` binds them to an application."""

from __future__ import annotations

from typing import Any

from flask import Flask, has_request_context, request
from flask_babel import Babel
from flask_bootstrap import Bootstrap5
from flask_login import LoginManager
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy import Engine, make_url

from gateway.store.database.engine import postgresql_engine, sqlite_engine
from gateway.store.tables import Base

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def _request_writes() -> bool:
    """Whether a session opened now is going to write: a form is posted, or a command runs."""
    return not has_request_context() or request.method not in _READING


class _Database(SQLAlchemy):
    """Flask-SQLAlchemy on our own engines, so that every session has their pragmas and limits."""

    def _make_engine(self, bind_key: str | None, options: dict[str, Any], app: Flask) -> Engine:
        url = make_url(options["url"])
        if url.get_backend_name() == "sqlite":
            level = options.get("synchronous", "normal")
            return sqlite_engine(
                url, synchronous=level, threads=False, begins_writing=_request_writes
            )
        return postgresql_engine(url, pool=options.get("pool", 10))

    def _apply_driver_defaults(self, options: dict[str, Any], app: Flask) -> None:
        """Ours are in `store/database/engine.py`."""


db = _Database(model_class=Base, disable_autonaming=True)
csrf = CSRFProtect()
login = LoginManager()
bootstrap = Bootstrap5()
babel = Babel()


def init_app(app: Flask) -> None:
    """Bind the extensions that need nothing of ours; the console binds login and languages."""
    db.init_app(app)
    csrf.init_app(app)
    bootstrap.init_app(app)
