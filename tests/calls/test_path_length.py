"""How many functions of ours a plain streamed chat passes: each costs, and each must be read.

The bounds are what was seen when the call path was built, rounded up: more is a step back. A
failure lists them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder

import gateway
from gateway.core.admin import SYSTEM
from tests.api.apps import App, application
from tests.calls.maze import LINES, Maze

OURS = str(Path(gateway.__file__).parent)
UP_TO_THE_ANSWER = 270
"""Four fifths of them read the body, apply overrides and check what the key and model may do."""
FROM_THE_PRODUCER = 60
A_TOKEN = 10


class Steps:
    """The functions of ours that run, in all greenlets; `asking` are those before the head of
    Ollama's answer was waited for."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.asking: list[str] = []

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call":
            return
        if code.co_filename.startswith(OURS):
            module = code.co_filename.removeprefix(OURS).strip("/").removesuffix(".py")
            self.names.append(f"{module}.{code.co_qualname}")
        elif code.co_name == "recv" and _is_head(frame.f_back):
            self.asking = self.asking or self.take()

    def take(self) -> list[str]:
        """Return what has run since the last time."""
        names, self.names = self.names, []
        return names


def _is_head(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_code.co_name == "receive_head"


class Measured:
    """The functions of one call: up to the wait for the answer, and for each of its tokens."""

    def __init__(self, app: App, maze: Maze) -> None:
        self._maze = maze
        self._wsgi = app.wsgi
        _, key = app.services.keys.issue({"name": "steps"}, SYSTEM)
        self._fields = {"Authorization": f"Bearer {key}"}

    def call(self) -> tuple[list[str], list[list[str]]]:
        """Make one streamed call, a token at a time."""
        messages = [{"role": "user", "content": "Hello?"}]
        body = {"model": "paced", "messages": messages, "stream": True}
        path, fields = "/v1/chat/completions", self._fields
        builder = EnvironBuilder(path, method="POST", json=body, headers=fields)
        environ = builder.get_environ()
        self._maze.pace.release()
        steps, tokens = Steps(), []
        sys.setprofile(steps)
        try:
            answer: Any = self._wsgi(environ, lambda *_: None)
            frames = iter(answer)
            sent = [next(frames)]
            for _ in range(LINES - 1):
                steps.take()
                self._maze.pace.release()
                sent.append(next(frames))
                tokens.append(steps.take())
        finally:
            sys.setprofile(None)
        assert b"[DONE]" in b"".join([*sent, *frames])
        answer.close()
        return steps.asking, tokens


@pytest.fixture
def measured(tmp_path: Path) -> Iterator[Measured]:
    maze = Maze("paced")
    with application(tmp_path, maze) as app:
        found = Measured(app, maze)
        found.call()  # what is made at first use is made
        yield found
        for task in (app.services.calls.monitor._task, app.services.calls.monitor.loop):
            assert task is not None
            task.interrupt("the test is over")
            assert task.wait(10)
    maze.close()


def shown(names: list[str]) -> str:
    return "\n".join(f"{number:3} {name}" for number, name in enumerate(names, 1))


def test_the_way_to_ollama_is_short(measured: Measured) -> None:
    asking = min((measured.call()[0] for _ in range(3)), key=len)  # without the monitor's look

    assert "ollama/http.Connection.receive_head" in asking
    assert len(asking) <= UP_TO_THE_ANSWER, shown(asking)
    producing = asking[asking.index("calls/produce.produce") :]
    assert len(producing) <= FROM_THE_PRODUCER, shown(producing)


def test_the_way_of_a_token_is_short(measured: Measured) -> None:
    _, tokens = measured.call()
    token = sorted(tokens, key=len)[LINES // 2]

    assert "calls/channel.Channel.put" in token
    assert len(token) <= A_TOKEN, shown(token)
