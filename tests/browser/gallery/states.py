"""Every state, made by the functions that pages use. Each needs a request: words are translated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, get_args

from flask_babel import force_locale

from gateway.admin.dashboard import active_rows
from gateway.admin.keys.presenters import state as key_state
from gateway.admin.models.list import shown as shown_job
from gateway.admin.models.state import ModelState, shown_state
from gateway.admin.status import Status, header, of
from gateway.admin.usage.labels import ERRORS
from gateway.core.catalog import Loaded, Model
from gateway.core.requests import CallRow
from gateway.management.model_jobs import Pull
from gateway.reports.key_status import BudgetUse
from gateway.reports.model_state import STATES
from gateway.schemas.key import Budget, Key
from gateway.schemas.server import Server, ServerStatus, ServerView
from gateway.store import jobs
from tests.admin.test_dashboard import CALL as ACTIVE

NOW = datetime.now(UTC)
SERVER = Server(id=1, name="workstation", url="http://192.168.1.20:11434")
UP = ServerView(SERVER, "ready", version="0.35.0")
DOWN = ServerView(SERVER, "down", "No answer.", healthy=False)
KEY = Key(id=1, name="laptop", last_used_at=NOW)
MODEL = Model(1, "qwen3:8b", "qwen3:8b", server_ids=(1,))
JOB = jobs.Job(
    id=1,
    kind="pull",
    server_id=1,
    model="qwen3:8b",
    state="queued",
    status="",
    completed_bytes=0,
    total_bytes=0,
    max_bytes=0,
    layers={},
    error="",
    cancel_requested=False,
    actor_name="admin",
    created_at=NOW,
    started_at=NOW,
    finished_at=None,
    heartbeat_at=None,
    worker="w",
)
CALL = CallRow(
    id=1,
    request_id="req_1",
    at=NOW,
    key_id=1,
    key_name="laptop",
    endpoint="chat",
    model_id=1,
    model="qwen3:8b",
    requested_model="qwen3:8b",
    server_name="workstation",
    streamed=True,
    settled=True,
    status=200,
    finish="stop",
    error_code="",
    error_message="",
    prompt_tokens=1,
    completion_tokens=1,
    reasoning_tokens=0,
    first_token_ms=1.0,
    duration_ms=1.0,
    eval_ms=1.0,
    has_tools=False,
    has_images=False,
    had_thinking=False,
    client_app="",
    load_reason="",
    cut=False,
)
States: TypeAlias = Mapping[str, Any]


def models() -> Mapping[str, ModelState]:
    """Return a model in each state."""
    kept = Loaded(MODEL.name, stays_loaded=True)
    made = [
        shown_state(replace(MODEL, available=False), (UP,)),
        shown_state(replace(MODEL, enabled=False), (UP,)),
        shown_state(MODEL, (UP,), is_loading=True),
        shown_state(MODEL, (replace(UP, loaded={MODEL.name: kept}),)),
        shown_state(MODEL, (replace(UP, loaded={MODEL.name: Loaded(MODEL.name)}),)),
        shown_state(MODEL, (DOWN,)),
        shown_state(replace(MODEL, remote=True), (UP,)),
        shown_state(MODEL, (UP,)),
    ]
    assert tuple(one.name for one in made) == STATES
    return {one.name: one for one in made}


def keys() -> Mapping[str, Status]:
    """Return a key in each state."""
    day, total = Budget("tokens", "day", 1), Budget("tokens", "total", 1)
    return {
        "revoked": key_state(replace(KEY, revoked_at=NOW), NOW),
        "disabled": key_state(replace(KEY, enabled=False), NOW),
        "expired": key_state(replace(KEY, expires_at=NOW), NOW),
        "used up today": key_state(KEY, NOW, [BudgetUse(day, 1)]),
        "used up": key_state(KEY, NOW, [BudgetUse(total, 1)]),
        "expires soon": key_state(replace(KEY, expires_at=NOW + timedelta(days=1)), NOW),
        "not used yet": key_state(replace(KEY, last_used_at=None), NOW),
        "active": key_state(KEY, NOW),
    }


def servers() -> Mapping[str, Status]:
    """Return a server in each state."""
    states: dict[str, Status] = {
        name: of(ServerView(SERVER, name)) for name in get_args(ServerStatus)
    }
    return {"disabled": of(ServerView(replace(SERVER, enabled=False))), **states}


def headers() -> Mapping[str, Status]:
    """Return each state of all servers together."""
    views: Mapping[str, tuple[ServerView, ...]] = {
        "none": (),
        "ready": (UP,),
        "some down": (UP, DOWN),
        "unreachable": (DOWN,),
    }
    return {name: header(some, (), ()).servers for name, some in views.items()}


def requests() -> Mapping[str, CallRow]:
    """Return a request in each state; errors whose codes have one word in common are one."""
    with force_locale("en"):
        codes = {str(words): code for code, words in ERRORS.items()}
    return {
        "running": replace(CALL, settled=False),
        "disconnected": replace(CALL, status=499, finish="client_closed"),
        "cancelled": replace(CALL, status=503, finish="cancelled"),
        "ok": CALL,
        "unknown error": replace(CALL, status=500, error_code="new"),
        **{code: replace(CALL, status=400, error_code=code) for code in codes.values()},
    }


def phases() -> States:
    """Return an active request in each phase."""
    names = ("queued", "loading", "prefill", "thinking", "answering")
    rows = active_rows([replace(ACTIVE, phase=name) for name in names], ()).rows
    return dict(zip(names, rows, strict=True))


def pulls() -> States:
    """Return a pull in each state."""
    return _jobs("pull")


def loads() -> States:
    """Return a load in each state."""
    return _jobs("load")


def _jobs(kind: jobs.Kind) -> States:
    return {
        name: shown_job(Pull(replace(JOB, kind=kind, state=name)), {1: "workstation"}, NOW)
        for name in get_args(jobs.State)
    }


KINDS: Mapping[str, Callable[[], States]] = {
    "model": models,
    "key": keys,
    "server": servers,
    "header": headers,
    "request": requests,
    "phase": phases,
    "pull": pulls,
    "load": loads,
}
