"""The languages clients speak. A new one is a package of its own and one entry here."""

from __future__ import annotations

from dataclasses import replace

from gateway.dialects.base import Endpoint
from gateway.dialects.chat.dialect import CHAT
from gateway.dialects.completions.dialect import COMPLETIONS
from gateway.dialects.decisions.dialect import DECISIONS
from gateway.dialects.embeddings import EMBEDDINGS
from gateway.dialects.messages.answer import ANTHROPIC
from gateway.dialects.messages.dialect import MESSAGES
from gateway.dialects.models import MODELS
from gateway.dialects.native.chat import API_CHAT
from gateway.dialects.native.embed import API_EMBED, API_EMBEDDINGS
from gateway.dialects.native.generate import API_GENERATE
from gateway.dialects.native.models import PS, SHOW, TAGS, VERSION
from gateway.dialects.native.pull import PULL
from gateway.dialects.native.words import NATIVE
from gateway.dialects.responses.dialect import RESPONSES
from gateway.dialects.systemone.dialect import SYSTEMONE

DIALECTS = (CHAT, COMPLETIONS, RESPONSES, MESSAGES, API_CHAT, API_GENERATE)
EMBEDDING_DIALECTS = (EMBEDDINGS, API_EMBED, API_EMBEDDINGS)
DECISION_DIALECTS = (DECISIONS, SYSTEMONE)
ENDPOINTS: tuple[Endpoint, ...] = (
    CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, MESSAGES, MODELS,
    API_CHAT, API_GENERATE, API_EMBED, API_EMBEDDINGS, TAGS, SHOW, PS, VERSION, PULL,
    DECISIONS, SYSTEMONE,
)  # fmt: skip
LOAD = "load"
"""The scope of requests without a prompt, which only bring a model into memory."""
SCOPES = (*dict.fromkeys(endpoint.scope for endpoint in ENDPOINTS), LOAD)
_ADMIN_API = "/api/admin/"
"""Below Ollama's own paths, and no part of its API."""


def spoken(endpoint: Endpoint | None, path: str, anthropic_version: str | None) -> Endpoint:
    """Return the endpoint of a path, or the one most like it, in the form its caller understands.
    The list of models is read by the SDKs of both vendors."""
    if endpoint is None and path.startswith(NATIVE.roots) and not path.startswith(_ADMIN_API):
        return VERSION
    known = endpoint or next((d for d in DIALECTS if any(p in path for p in d.paths)), CHAT)
    is_anthropic = path.startswith(ANTHROPIC.roots)
    if known is MODELS and anthropic_version is not None:
        is_anthropic = True
    if not is_anthropic or known.vendor is ANTHROPIC:
        return known
    return replace(MODELS, vendor=ANTHROPIC)
