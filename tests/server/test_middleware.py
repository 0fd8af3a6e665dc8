"""The entry of the application: who closes a call, and how a connection ends."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from flask import Flask, Response, request
from werkzeug.test import Client

from gateway.server.middleware import ServerMiddleware


class Call:
    """A call and its stream in one: counts how often each was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Stream(Call):
    def __iter__(self) -> Iterator[bytes]:
        yield b"one"


class Kept:
    """An application whose only view leaves a call and streams it."""

    def __init__(self) -> None:
        self.call, self.stream = Call(), Stream()
        self.flask = Flask("kept")
        self.flask.add_url_rule("/", view_func=self._view)
        self.flask.wsgi_app = ServerMiddleware(self.flask.wsgi_app)  # type: ignore[method-assign]
        self.client = Client(self.flask)

    def _view(self) -> Response:
        request.environ["gateway.active"] = self.call
        request.environ["gateway.stream"] = self.stream
        return Response(self.stream, direct_passthrough=True)


@pytest.fixture
def kept() -> Kept:
    return Kept()


def _fail(response: Response) -> Response:
    raise RuntimeError("a hook failed")


def test_a_call_that_is_streamed_belongs_to_its_stream(kept: Kept) -> None:
    response = kept.client.get("/")

    assert response.data == b"one"
    response.close()
    assert kept.stream.closed == 1
    assert kept.call.closed == 0


def test_a_call_whose_hook_fails_is_closed(kept: Kept) -> None:
    kept.flask.after_request(_fail)

    assert kept.client.get("/").status_code == 500
    assert kept.call.closed == 1


def test_a_call_whose_application_raises_is_closed(kept: Kept) -> None:
    kept.flask.after_request(_fail)
    kept.flask.testing = True  # errors are raised through the application

    with pytest.raises(RuntimeError, match="a hook failed"):
        kept.client.get("/")
    assert kept.call.closed == 1


def test_a_call_whose_body_was_replaced_is_closed(kept: Kept) -> None:
    kept.flask.after_request(lambda response: Response("another"))

    assert kept.client.get("/").data == b"another"
    assert kept.call.closed == 1


def test_a_call_asked_for_by_head_is_closed(kept: Kept) -> None:
    assert kept.client.head("/").status_code == 200
    assert kept.call.closed == 1


def test_a_call_that_cannot_be_closed_spoils_no_answer(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.flask.after_request(lambda response: Response("another"))
    monkeypatch.setattr(kept.call, "close", lambda: 1 / 0)

    assert kept.client.get("/").data == b"another"


class _Answer:
    """What gunicorn's response looks like to an application."""

    def __init__(self) -> None:
        self.is_forced = False

    def force_close(self) -> None:
        self.is_forced = True

    def start_response(self, *args: Any) -> None: ...


def _ask(body: Iterable[bytes], header: tuple[str, str], sock: Any) -> tuple[Any, _Answer]:
    answer = _Answer()

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [header])
        return body

    found = ServerMiddleware(app)({"gunicorn.socket": sock}, answer.start_response)  # type: ignore[arg-type]
    return found, answer


CLOSE = ("Connection", "close")


def test_an_answer_that_stays_open_is_passed_on_as_it_is() -> None:
    stream = Stream()
    found, answer = _ask(stream, ("Server", "x"), None)

    assert found is stream
    assert not answer.is_forced


def test_what_comes_after_the_last_answer_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, peer = socket.socketpair()
    with ours, peer:
        peer.sendall(b"the rest of a body")
        peer.shutdown(socket.SHUT_WR)
        stream = Stream()
        found, answer = _ask(stream, CLOSE, ours)

        assert answer.is_forced
        assert list(found) == [b"one"]
        found.close()
        found.close()
        assert stream.closed == 1
        assert ours.recv(1) == b""


def test_a_body_that_fails_to_close_is_closed_once() -> None:
    class Failing(Stream):
        def close(self) -> None:
            super().close()
            raise RuntimeError("no")

    ours, peer = socket.socketpair()
    with ours:
        peer.close()
        body = Failing()
        found, _ = _ask(body, CLOSE, ours)
        with pytest.raises(RuntimeError, match="no"):
            found.close()
        found.close()

    assert body.closed == 1
