"""The Flask extensions, unbound; `create_app` binds them to an application."""

from __future__ import annotations

from flask import Flask
from flask_babel import Babel
from flask_bootstrap import Bootstrap5
from flask_login import LoginManager
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from gateway.config import Settings
from gateway.store.database.engine import Database, engine_options, prepare
from gateway.store.tables import Base

db = SQLAlchemy(model_class=Base, disable_autonaming=True)
csrf = CSRFProtect()
login = LoginManager()
bootstrap = Bootstrap5()
babel = Babel()


def init_app(app: Flask, settings: Settings) -> Database:
    """Bind the extensions that need nothing of ours (the console binds login and languages), and
    return the database on the one engine, which is Flask-SQLAlchemy's."""
    url = settings.database_url
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(url, pool=settings.database_pool)
    db.init_app(app)
    csrf.init_app(app)
    bootstrap.init_app(app)
    with app.app_context():
        return Database(prepare(db.engine, settings.sqlite_synchronous))
