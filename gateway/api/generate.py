"""The generating endpoints: one view serves every dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import cast

import orjson
from flask import Response

from gateway.api import bp, storing
from gateway.api.answers import Complete
from gateway.api.errors import fault_of
from gateway.api.hooks import speaks
from gateway.api.inbound import Recorded, caller, read_body, this_g
from gateway.calls import active_call
from gateway.calls.active_call import Running
from gateway.calls.relay import Answer
from gateway.core.events import fold
from gateway.dialects import DIALECTS
from gateway.dialects.base import Dialect, StoredWriter, Writer, frames
from gateway.policy import access
from gateway.web.context import services

STREAM_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


def serve(dialect: Dialect) -> Response:
    """Answer one call, streamed or whole."""
    parts, kept = services(), this_g()
    key = kept.key
    with Recorded(parts, dialect) as body:
        access.check_scope(key, dialect.name, dialect.label)
        body |= read_body(parts)
        call = dialect.parse(body, storing.reading(parts, key))
        running = active_call.start(parts, call, key, caller(dialect), body)
    if not call.stream:
        with running:
            try:
                return _whole(dialect, running)
            finally:
                kept.headers = running.headers()
    with ExitStack() as stack:
        stack.enter_context(running)
        try:
            running.answer.send()
            stream = _Stream(dialect, running)
            response = Complete(
                stream,
                content_type=dialect.media_type,
                headers=STREAM_HEADERS,
                direct_passthrough=True,
            )
            running.answer.begin()
        finally:
            kept.headers = running.headers()
        stream.begin(stack)
        return response


class _Stream:
    """A streamed answer, its frames handed to the server as they are: Flask's own wrapping costs
    two calls a token. Made while Ollama works; closing it ends the call and gives back what it
    holds."""

    def __init__(self, dialect: Dialect, running: Running[Answer]) -> None:
        self._dialect = dialect
        self._running = running
        self._held = ExitStack()
        self._frames: Iterator[bytes] = iter(())
        self._open()

    def begin(self, stack: ExitStack) -> None:
        """Take over what the call holds; the status stands from here on."""
        running, answer = self._running, self._running.answer
        if running.prepared is not self._prepared:  # another model answers
            self._open()
        if isinstance(self._writer, storing.Keeper):
            stack.callback(self._writer.keep)
        self._held = stack.pop_all()
        self._frames = frames(
            self._writer,
            answer.batches(),
            answer.words,
            opening=self._opening,
            has_begun=answer.has_begun,
            broken=self._broken,
        )

    def __iter__(self) -> Iterator[bytes]:
        return self._frames

    def close(self) -> None:
        """End the call, whether or not all was sent."""
        with self._held:
            close = getattr(self._frames, "close", None)
            if close is not None:
                close()

    def _open(self) -> None:
        """Make ready all that stands before the model's words."""
        running = self._running
        self._prepared = running.prepared
        envelope = running.envelope()
        self._writer: Writer = self._dialect.writer(envelope)
        if self._dialect.on_complete is not None:
            self._writer = storing.Keeper(
                running, envelope, self._dialect, cast(StoredWriter, self._writer)
            )
        self._opening = self._writer.open()

    def _broken(self, error: Exception) -> bytes:
        """End with an error, never without a word."""
        running = self._running
        fault = fault_of(error, running.caller.request_id)
        running.tally.fail(fault)
        return self._dialect.error_event(fault, running.caller.request_id)


def _whole(dialect: Dialect, running: Running[Answer]) -> Response:
    replies = fold(running.answer.whole(), running.prepared.request.choices)
    envelope = running.envelope()
    body = dialect.render(replies, envelope)
    storing.keep(running, dialect, envelope, body)
    return Complete(orjson.dumps(body), content_type="application/json")


def _view(dialect: Dialect) -> Callable[[], Response]:
    @speaks(dialect)
    def view() -> Response:
        return serve(dialect)

    view.__name__ = dialect.name
    return view


for _dialect in DIALECTS:
    _serve = _view(_dialect)
    for _path in _dialect.paths:
        bp.add_url_rule(_path, _dialect.name, _serve, methods=["POST"], strict_slashes=False)
