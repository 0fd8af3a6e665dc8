"""The generating endpoints: one view serves every dialect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain
from typing import cast

import orjson
from flask import Response, g, request

from gateway.api import bp, storing
from gateway.api.answers import STREAM_HEADERS, Complete
from gateway.api.errors import logged_fault
from gateway.api.hooks import speaks
from gateway.api.inbound import caller, read_body, record_rejection
from gateway.calls.active_call import ActiveCall
from gateway.calls.produce import produce
from gateway.core.chat import Json
from gateway.core.events import Batch, Failed, fold
from gateway.dialects import DIALECTS, LOAD
from gateway.dialects.base import Dialect, StoredWriter, Writer, frames
from gateway.errors import ClientGone, GatewayError
from gateway.policy import access
from gateway.web.context import services


def serve(dialect: Dialect) -> Response:
    """Answer one call, streamed or whole."""
    parts, key, environ = services(), g.key, request.environ
    body: dict[str, Json] = {}
    try:
        access.check_scope(key, dialect.scope, dialect.label)
        body, run = read_body(parts)
        call = run(dialect.parse, body, storing.reading(parts, key))
        if call.loads:
            access.check_scope(key, LOAD, "requests without a prompt, which only load a model")
        prepared = parts.calls.preparer.prepare(call, key, run)
    except GatewayError as error:
        record_rejection(dialect, body, error)
        raise
    active = environ["gateway.active"] = ActiveCall(parts.calls, prepared, caller(dialect), body)
    with ExitStack() as stack:
        stack.enter_context(active)
        try:
            active.start(partial(produce, active), prepared.request.choices)
            if not call.stream:
                return _whole(dialect, active)
            first = active.first()
        finally:
            g.headers = active.headers()
        stream = _Stream(dialect, active, first, stack.pop_all())
    environ["gateway.stream"] = stream
    return Complete(
        stream,
        content_type=dialect.media_type,
        headers=STREAM_HEADERS,
        direct_passthrough=True,
    )


def _whole(dialect: Dialect, active: ActiveCall) -> Response:
    replies = fold(active.batches(), active.prepared.request.choices)
    envelope = active.envelope()
    body = dialect.render(replies, envelope)
    storing.store(services().responses, active, dialect, envelope, body)
    return Complete(orjson.dumps(body), content_type="application/json")


class _Stream:
    """A streamed answer, whose frames the server takes as they are. Closing it ends the call."""

    def __init__(
        self, dialect: Dialect, active: ActiveCall, first: list[Batch] | None, held: ExitStack
    ) -> None:
        self._dialect = dialect
        self._active = active
        self._held = held
        envelope = active.envelope()
        self._writer: Writer = dialect.writer(envelope)
        if dialect.on_complete is not None:
            self._writer = keeper = storing.StoringWriter(
                services().responses, active, envelope, dialect, cast(StoredWriter, self._writer)
            )
            held.callback(keeper.store)
        groups = chain([first or []], iter(active.channel.get, None))
        self._frames = frames(self._writer, groups, failed=self._failed)

    def __iter__(self) -> Iterator[bytes]:
        return self._frames

    def close(self) -> None:
        """End the call, whether or not all was sent."""
        self._held.close()

    def _failed(self, error: Exception) -> bytes:
        """Return the last event of a stream that failed; b"" where nobody listens any more."""
        active, request_id = self._active, self._active.caller.request_id
        if isinstance(error, ClientGone):
            return b""
        try:
            if isinstance(error, GatewayError):
                active.stats.fail(error)
                return self._writer.write((0, (Failed(error),)))
            raise error
        except Exception as broken:
            told = logged_fault(broken, request_id)
            active.stats.fail(told)
            return self._dialect.error_event(told, request_id)


for _dialect in DIALECTS:
    _serve = speaks(_dialect)(partial(serve, _dialect))
    for _path in _dialect.paths:
        bp.add_url_rule(_path, _dialect.name, _serve, methods=["POST"], strict_slashes=False)
