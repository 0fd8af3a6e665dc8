"""The stream of events of a page: the parts it asks for, each whenever it changed, and a beat."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

import orjson
from flask import Flask, Response, abort, current_app, g, request, stream_with_context
from flask.blueprints import BlueprintSetupState
from flask_login import current_user

from gateway.admin import bp
from gateway.admin.live import topics
from gateway.admin.live.board import Board
from gateway.admin.live.parts import PARTS, Drawn, Part
from gateway.web import language
from gateway.web.context import of, services

BEAT_S: Final = 3.0
LONGEST_S: Final = 600.0
"""Then the browser connects again, so that no stream outlives what it began with."""
_NAME = "gateway.live"


@bp.record_once
def bind(state: BlueprintSetupState) -> None:
    """Attach the board to the application."""
    state.app.extensions[_NAME] = topics.board(of(cast(Flask, state.app)))


@bp.context_processor
def beat() -> dict[str, float]:
    """Return, for pages, how often a stream says that it is there."""
    return {"beat_s": BEAT_S}


@bp.get("/events")
def events() -> Response:
    """Stream the parts of a page named in `topics`, as server-sent events whose data is JSON: HTML,
    or rows of HTML by their id. 400 for a part that does not exist."""
    names = [name for name in request.args.get("topics", "").split(",") if name]
    if not names or any(name not in PARTS for name in names):
        abort(400)
    headers = {"X-Accel-Buffering": "no"}
    if request.method == "HEAD":  # asks whether the session is still good
        return Response(mimetype="text/event-stream", headers=headers)
    lines = stream_with_context(_events(names))
    return Response(lines, mimetype="text/event-stream", headers=headers)


def _events(names: Sequence[str]) -> Iterator[bytes]:
    parts = services()
    board = cast(Board, current_app.extensions[_NAME])
    pieces = [_Piece(board, name, PARTS[name], _view()) for name in names]
    listened = {topic for piece in pieces for topic in piece.part.topics}
    g.csrf_token = ""  # what is drawn is shared: each page puts its own token in
    login = _Login(board)
    ends_s = time.monotonic() + LONGEST_S
    beat_s = 0.0
    yield b"retry: 2000\n\n"
    with board.listen({"sessions", *listened}) as listener:
        while time.monotonic() < ends_s and not parts.draining.is_set():
            if login.is_over():
                yield b"event: ended\ndata: null\n\n"
                return
            for piece in pieces:
                if frame := piece.changed():
                    yield frame
            if time.monotonic() >= beat_s:
                beat_s = time.monotonic() + BEAT_S
                yield b"event: beat\ndata: null\n\n"
            listener.wait(max(0.0, beat_s - time.monotonic()))


class _Login:
    """The session of a tab, which was good when its stream began."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._id, self._role = current_user.login.id, current_user.role
        self._seen = self._version()

    def is_over(self) -> bool:
        """Return whether the session has ended, or its account has other rights now: told from
        sessions that were read later than the stream began."""
        version = self._version()
        if version in (0, self._seen):
            return False
        roles = cast(Mapping[int, str], self._board.value("sessions"))
        return bool(roles.get(self._id) != self._role)

    def _version(self) -> int:
        return self._board.versions(["sessions"])[0]


def _view() -> tuple[object, ...]:
    """Return everything but the topics that a drawn part depends on."""
    given = sorted((name, value) for name, value in request.args.items(True) if name != "topics")
    is_viewer = current_user.role == "viewer"
    return language.language(), language.zone(), is_viewer, request.script_root, *given


class _Piece:
    """A part as one tab has it."""

    def __init__(self, board: Board, name: str, part: Part, view: tuple[object, ...]) -> None:
        self.part = part
        self._board = board
        self._name = name
        self._view = view
        self._versions: tuple[int, ...] = ()
        self._sent: Drawn | None = None

    def changed(self) -> bytes | None:
        """Return the event to send, None while there is nothing new."""
        versions = self._board.versions(self.part.topics)
        if versions == self._versions or 0 in versions:
            return None
        self._versions = versions
        before = self._sent
        self._sent = drawn = self._board.drawn(
            (self._name, *self._view), self.part.topics, self.part.draw
        )
        if isinstance(drawn, str):
            return None if drawn == before else _event(self._name, drawn)
        known = before if isinstance(before, Mapping) else {}
        rows = {id_: row for id_, row in drawn.items() if known.get(id_) != row}
        return _event(self._name, rows) if rows else None


def _event(name: str, data: Drawn) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
