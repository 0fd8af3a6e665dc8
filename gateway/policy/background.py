"""Small calls that agents make beside their conversation: titles, topics, checks of a quota.

A call is a *background call* when its answer will be small, nothing but text goes in, and it is no
turn of the conversation itself:

    small      one answer of at most SMALL_TOKENS, or of JSON with nothing but TITLE_FIELDS
    plain      no tools, no pictures, no sounds, no files
    beside     it asks for the role haiku or small-fast, or comes from an agent whose own turns
               always carry tools

Claude Code asks so for titles (JSON with `title`), topics and what a command of the shell begins
with (`max_tokens: 512`), and whether there is any quota left (`max_tokens: 1`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.core.chat import Call, ChatRequest, Json
from gateway.policy import roles

SMALL_TOKENS: Final = 512
TITLE_FIELDS: Final = frozenset({"title", "name", "branch", "isNewTopic"})
AGENTS: Final = ("claude-cli/", "codex", "opencode/")
"""How the `User-Agent` of agents begins that offer tools with every turn of a conversation."""
LONGEST_SESSION: Final = 256
_SMALL_ROLES: Final = frozenset({"haiku", "small_fast"})


def is_background(call: Call, application: str) -> bool:
    """Whether a call is a small one beside a conversation; `application` is its `User-Agent`."""
    request = call.request
    if not isinstance(request, ChatRequest) or request.tools or request.n > 1:
        return False
    limit, form = request.params.options.get("num_predict"), request.params.format
    if limit is None and form is None:  # nearly always
        return False
    is_small = 0 < (limit or 0) <= SMALL_TOKENS
    if not is_small and not _is_title(form):
        return False
    if roles.role_of(request.model) not in _SMALL_ROLES and not application.startswith(AGENTS):
        return False
    return not any(message.media for message in request.messages)


def session_of(body: Mapping[str, Json], header: str, address: str) -> str:
    """Return what tells the sessions of one key apart: what the body calls the session or its
    user, else what a header says, else the client's address."""
    metadata = body.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    for name in (user, body.get("prompt_cache_key"), header):
        if name and isinstance(name, str):
            return name[:LONGEST_SESSION]
    return address


def _is_title(form: Json) -> bool:
    fields = form.get("properties") if isinstance(form, dict) else None
    return isinstance(fields, dict) and bool(fields) and fields.keys() <= TITLE_FIELDS
