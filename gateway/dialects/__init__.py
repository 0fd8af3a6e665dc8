"""The languages clients speak. A new one is a package of its own and one entry here."""

from __future__ import annotations

from dataclasses import replace

from gateway.dialects.base import Endpoint
from gateway.dialects.chat.dialect import CHAT
from gateway.dialects.completions.dialect import COMPLETIONS
from gateway.dialects.embeddings import EMBEDDINGS
from gateway.dialects.messages.answer import ANTHROPIC
from gateway.dialects.messages.dialect import MESSAGES
from gateway.dialects.models import MODELS
from gateway.dialects.responses.dialect import RESPONSES

DIALECTS = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)
ENDPOINTS: tuple[Endpoint, ...] = (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, MESSAGES, MODELS)
SCOPES = tuple(endpoint.name for endpoint in ENDPOINTS)


def spoken(endpoint: Endpoint | None, path: str, anthropic_version: str | None) -> Endpoint:
    """Return the endpoint of a path, or the one most like it, in the form its caller understands.
    The list of models is read by the SDKs of both vendors."""
    known = endpoint or next((d for d in DIALECTS if any(p in path for p in d.paths)), CHAT)
    is_anthropic = path.startswith(ANTHROPIC.roots)
    if known is MODELS and anthropic_version is not None:
        is_anthropic = True
    if not is_anthropic or known.vendor is ANTHROPIC:
        return known
    return replace(MODELS, vendor=ANTHROPIC)
