"""The generating endpoints: one view serves every dialect."""

from __future__ import annotations

from types import ModuleType
from typing import cast

import orjson
from flask import Response, g

from gateway.api.inbound import caller, read_body
from gateway.core.events import fold
from gateway.dialects import (
    anthropic_messages,
    openai_chat,
    openai_completions,
    openai_responses,
)
from gateway.dialects.base import Dialect
from gateway.policy import access
from gateway.services import Services, calls, services
from gateway.services.calls import Running

DIALECTS: dict[str, tuple[ModuleType, tuple[str, ...]]] = {
    "chat": (openai_chat, ("/v1/chat/completions", "/chat/completions")),
    "completions": (openai_completions, ("/v1/completions", "/completions")),
    "responses": (openai_responses, ("/v1/responses", "/responses")),
    "messages": (
        anthropic_messages,
        ("/v1/messages", "/messages", "/anthropic/v1/messages", "/anthropic/messages"),
    ),
}
EVENT_STREAM = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


def serve(name: str) -> Response:
    """Answer one call of the dialect `name`, streamed or whole."""
    dialect = cast(Dialect, DIALECTS[name][0])
    parts = services()
    access.check_scope(g.key, name)
    body = read_body(parts)
    call = dialect.parse(body, parts.responses.reading(g.key))
    g.headers = {}
    running = calls.start(parts, call, g.key, caller(name), body)
    with running:
        running.note(g.headers)
        if call.stream:
            return _streamed(dialect, parts, running)
        return _whole(dialect, parts, running)


def _whole(dialect: Dialect, parts: Services, running: Running) -> Response:
    call = running.prepared.call
    replies = fold(running.answer.whole(), running.prepared.request.choices)
    running.note(g.headers)
    envelope = running.envelope()
    body = dialect.render(replies, envelope)
    if call.extra_store:
        parts.responses.save(g.key, call, body)
    return Response(orjson.dumps(body), mimetype="application/json")
