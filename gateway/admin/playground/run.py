"""A call from the playground, made through the same way as every call of the API.

The permissions, limits and parameters of the chosen key hold, and its budget pays. The answer is
streamed to the browser as small events of our own: start with the same call for other programs,
thinking and text as they are, and tool, done and failed as pieces of HTML (`pieces.html`).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import orjson
from flask import Response, get_template_attribute, request, stream_with_context, url_for

from gateway.admin import bp
from gateway.admin.keys.presenters import base_url
from gateway.admin.usage.explained import parts_of
from gateway.calls.active_call import ActiveCall
from gateway.calls.produce import produce
from gateway.calls.records import Caller
from gateway.core.chat import Json
from gateway.core.events import Batch, Event, Finish, TextDelta, ThinkingDelta, ToolCallDone
from gateway.dialects.base import Endpoint, Reading
from gateway.dialects.chat.dialect import CHAT
from gateway.errors import GatewayError, InvalidRequest, NotFound
from gateway.management.keyring import refusal
from gateway.policy import access
from gateway.policy.clients import snippets as client_snippets
from gateway.schemas.key import Key
from gateway.web.context import Services, services
from gateway.web.words import _

_APPLICATION = "playground"


@bp.post("/playground/run")
def playground_run() -> Response:
    """Run one call and stream its answer."""
    request_id = "req_" + secrets.token_hex(16)
    sent = request.get_json(silent=True)
    try:
        if not isinstance(sent, dict) or not isinstance(sent.get("body"), dict):
            raise InvalidRequest("The playground sent nothing that can be read.")
        active = _begin(services(), request_id, sent.get("key"), sent["body"])
    except GatewayError as error:
        return answer_of(failure(error, request_id))
    with ExitStack() as stack:
        try:
            stack.enter_context(active)
            active.start(lambda choice: produce(active, choice), active.prepared.request.choices)
            first = active.first()
        except GatewayError as error:
            active.stats.fail(error)
            return answer_of(failure(error, request_id))
        copies = client_snippets.call_snippets(sent["body"], base_url())
        response = Response(
            stream_with_context(_frames(active, copies, first)), mimetype="text/event-stream"
        )
        response.headers["X-Accel-Buffering"] = "no"
        response.call_on_close(stack.pop_all().close)
        return response


def _begin(parts: Services, request_id: str, key_id: Json, body: dict[str, Json]) -> ActiveCall:
    """Start the call. Raises every refusal a client would get."""
    key, caller = key_of(parts, key_id), caller_of(CHAT, request_id)
    try:
        access.check_scope(key, CHAT.scope, CHAT.label)
        call = CHAT.parse(body, reading(parts))
        prepared = parts.calls.preparer.prepare(call, key)
        return ActiveCall(parts.calls, prepared, caller, body)
    except GatewayError as error:
        parts.calls.records.reject(key, caller, str(body.get("model", "")), error)
        raise


def key_of(parts: Services, key_id: Any) -> Key:
    """Return the key whose rights a call uses. Raises InvalidRequest, and why it does not work."""
    try:
        key = parts.keys.get(int(key_id))
    except (NotFound, TypeError, ValueError):
        raise InvalidRequest(_("Choose an API key."), param="key") from None
    error = refusal(key, datetime.now(UTC))
    if error is not None:
        raise error
    return key


def caller_of(endpoint: Endpoint, request_id: str) -> Caller:
    """Return who calls: this browser, as the playground."""
    socket = request.environ.get("gunicorn.socket")
    return Caller(request_id, endpoint.name, request.remote_addr or "", _APPLICATION, socket)


def reading(parts: Services) -> Reading:
    """Return what dialects read a body with; stored responses belong to keys, not to pages."""

    def nothing(_id: str) -> Any:
        raise InvalidRequest(_("Stored responses are not available here."))

    return Reading(parts.settings.behaviour(), nothing, nothing)


def _frames(
    active: ActiveCall, copies: Mapping[str, str], first: Sequence[Batch] | None
) -> Iterator[bytes]:
    yield _frame({"type": "start", "copies": copies})
    try:
        for _choice, events in chain(first or (), active.batches()):
            for event in events:
                yield _frame(_shown(event, active))
    except GatewayError as error:
        active.stats.fail(error)
        yield _frame(failure(error, active.caller.request_id))


def _shown(event: Event, active: ActiveCall) -> dict[str, Json]:
    match event:
        case TextDelta(text):
            return {"type": "text", "text": text}
        case ThinkingDelta(text):
            return {"type": "thinking", "text": text}
        case ToolCallDone(_id, name, arguments):
            return {"type": "tool", "html": drawn("tool", name, arguments)}
        case Finish():
            end = _end(event, active)
            url = url_for("admin.request_detail", request_id=active.caller.request_id)
            return {"type": "done", "html": drawn("done", end, url)}
        case _ping:
            return {"type": "ping"}


def _end(finish: Finish, active: ActiveCall) -> dict[str, Any]:
    usage, stats = finish.usage, active.stats
    first_s = None if stats.first_token_s is None else stats.first_token_s - stats.started_s
    parameters, changes = parts_of(active.explanation())
    seconds = usage.eval_ns / 1e9
    return {
        "reason": finish.reason,
        "input": usage.prompt_tokens,
        "output": usage.completion_tokens,
        "thinking": usage.reasoning_tokens,
        "speed": usage.completion_tokens / seconds if seconds else None,
        "first_ms": None if first_s is None else first_s * 1000,
        "server": stats.server_name,
        "parameters": parameters,
        "changes": changes,
    }


def drawn(piece: str, *values: object) -> str:
    """Return a piece of the page as HTML, by its name in `pieces.html`."""
    return str(get_template_attribute("admin/playground/pieces.html", piece)(*values))


def failure(error: GatewayError, request_id: str) -> dict[str, Json]:
    """Return the event of a refusal, with the status a client would get."""
    url = url_for("admin.request_detail", request_id=request_id)
    title = f"{error.status} · {error.code}"
    return {"type": "failed", "html": drawn("failed", title, error.message, url)}


def answer_of(event: Mapping[str, Json]) -> Response:
    """Return an answer that is this event alone."""
    return Response(_frame(event), mimetype="text/event-stream")


def _frame(value: Mapping[str, Json]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"
