"""The blueprint for machines: OpenAI's, Anthropic's and Ollama's endpoints, health, metrics."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("api", __name__)

from gateway.api import (  # noqa: E402,F401
    counting,
    description,
    generate,
    health,
    hooks,
    metrics,
    models,
    native,
    responses,
    whole,
)
