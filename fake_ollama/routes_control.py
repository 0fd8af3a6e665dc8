"""``/__fake__/…``: the in-process API over HTTP, for when the fake runs as a process.

``GET requests`` (``?path=`` filters), ``GET loads``, ``POST script {"target", "scripts": [...]}``,
``POST hold {"target", "at"}``, ``POST release {"target"?}``, ``POST reset``, ``POST freeze``,
``POST thaw``, ``POST advance {"seconds"}``, ``POST cloud {"state"}``.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from fake_ollama.board import Recorded
from fake_ollama.exchange import Exchange
from fake_ollama.refusals import Refused
from fake_ollama.scripts import parse_script

if TYPE_CHECKING:
    from fake_ollama.server import FakeOllama

PREFIX = "/__fake__/"


def control(fake: FakeOllama, exchange: Exchange) -> None:
    """Serve one control request."""
    command = exchange.request.path.removeprefix(PREFIX)
    body = json.loads(exchange.request.body or b"{}")
    try:
        exchange.send_json(200, _run(fake, command, body, exchange.request.query))
    except (ValueError, TypeError, KeyError) as exc:
        raise Refused(400, f"{type(exc).__name__}: {exc}") from exc


def _run(fake: FakeOllama, command: str, body: dict[str, Any], query: str) -> Any:
    match command:
        case "requests":
            wanted = parse_qs(query).get("path", [""])[0]
            return [_shown(one) for one in fake.requests if wanted in ("", one.path)]
        case "loads":
            return [dataclasses.asdict(load) for load in fake.loads]
        case "script":
            scripts = [parse_script(one) for one in body["scripts"]]
            fake.script(body["target"], *scripts)
            return {"scripts": len(scripts)}
        case "hold":
            fake.hold(body["target"], body.get("at", 0))
            return {"held": True}
        case "release":
            return {"released": fake.release(body.get("target"))}
        case "reset":
            fake.reset()
        case "freeze":
            fake.freeze()
        case "thaw":
            fake.thaw()
        case "advance":
            fake.advance(float(body["seconds"]))
        case "cloud":
            fake.library.cloud = body["state"]
        case _:
            raise ValueError(f"no such command: {command}")
    return {"ok": True}


def _shown(one: Recorded) -> dict[str, Any]:
    made = {item.name: getattr(one, item.name) for item in dataclasses.fields(one)}
    made["headers"] = dict(one.headers)
    made["body"] = one.body.decode("utf-8", "replace")
    return made
