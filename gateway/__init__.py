"""Ollama2OpenAI: an OpenAI- and Anthropic-compatible gateway in front of Ollama."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.version import VERSION

if TYPE_CHECKING:
    from flask import Flask

    from gateway.config import Settings

__version__ = VERSION


def create_app(settings: Settings | None = None) -> Flask:
    """Return the application. Opens no connection and starts nothing; raises ConfigError.

    Imported here and not above: gunicorn's master imports this package for its worker class, and
    what the application needs is imported in the worker, after the standard library is patched.
    """
    from gateway import application

    return application.create_app(settings)
