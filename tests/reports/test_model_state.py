"""The state of a model over all servers, in one word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.catalog import Loaded, Model
from gateway.reports.model_state import STATES, State, is_down, place, state_of
from gateway.schemas.server import Server, ServerStatus, ServerView

MODEL = Model(1, "tern:latest", "tern", server_ids=(1, 2))


def view(number: int, state: ServerStatus = "ready", *loaded: Loaded) -> ServerView:
    server = Server(number, f"box {number}", f"http://10.0.0.{number}:11434")
    return ServerView(server, state, loaded={one.name: one for one in loaded})


UP = (view(1), view(2))
DOWN = (view(1, "down"), view(2, "down"))
HALF = (view(1, "down"), view(2, "degraded"))
LOADED = (view(1), view(2, "busy", Loaded("tern:latest")))
KEPT = (view(1, "ready", Loaded("tern:latest", stays_loaded=True)), view(2))
CASES: dict[str, tuple[dict[str, Any], tuple[ServerView, ...], bool, State]] = {
    "no server has it": ({"available": False, "server_ids": ()}, DOWN, False, "missing"),
    "disabled, though loaded": ({"enabled": False}, LOADED, True, "disabled"),
    "being loaded": ({}, UP, True, "loading"),
    "in memory": ({}, LOADED, False, "loaded"),
    "kept in memory": ({}, KEPT, False, "stays_loaded"),
    "all its servers are down": ({}, DOWN, False, "down"),
    "one of its servers is down": ({}, HALF, False, "on_disk"),
    "another server is down": ({"server_ids": (2,)}, (view(1, "down"), view(2)), False, "on_disk"),
    "only its server is down": ({"server_ids": (1,)}, (view(1, "down"), view(2)), False, "down"),
    "its server is not looked at yet": ({}, (view(1, "unknown"),), False, "on_disk"),
    "in the cloud": ({"remote": True}, UP, False, "cloud"),
    "in the cloud, behind a server that is down": ({"remote": True}, DOWN, False, "down"),
    "on disk": ({}, UP, False, "on_disk"),
}


@pytest.mark.parametrize(("changes", "views", "is_loading", "state"), CASES.values(), ids=CASES)
def test_the_first_that_is_true_is_the_state(
    changes: dict[str, Any], views: tuple[ServerView, ...], is_loading: bool, state: State
) -> None:
    assert state_of(replace(MODEL, **changes), views, is_loading=is_loading) == state


def test_every_state_is_tried() -> None:
    assert {state for *_, state in CASES.values()} == set(STATES)


def test_a_model_without_servers_is_not_down() -> None:
    assert not is_down(replace(MODEL, server_ids=()), DOWN)


def test_what_nobody_can_call_stands_last() -> None:
    assert [state for state in STATES if place(state)] == ["missing", "down"]
    assert place("down") < place("missing")
