"""Models on servers by REST: pulled, watched, stopped, copied, erased, loaded; and faults."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from fake_ollama import FakeModel, FakeOllama, Fault, Script, error, status
from gateway.core.admin import CLI
from gateway.scheduling.probes import Prober
from gateway.store import catalog
from gateway.web.context import Services
from tests.admin_api.conftest import Call

pytestmark = pytest.mark.usefixtures("quick_jobs")

TERN = FakeModel("tern:latest", ("completion",), context_length=8192)


@pytest.fixture
def boxes(parts: Services) -> Iterator[list[FakeOllama]]:
    """Two servers the gateway knows, ids 1 and 2."""
    with FakeOllama([TERN]) as first, FakeOllama([TERN]) as second:
        for number, box in enumerate((first, second), 1):
            parts.servers.create({"url": box.url, "name": f"box{number}"}, CLI)
        parts.refresher.refresh()
        yield [first, second]


@pytest.fixture
def tern(parts: Services, boxes: list[FakeOllama]) -> int:
    """The id of a model both servers have."""
    return next(model.id for model in parts.catalog.models() if model.name == "tern:latest")


def until_ended(call: Call, pull_id: int) -> dict:
    deadline_s = time.monotonic() + 20
    while (pull := call("GET", f"/pulls/{pull_id}").json)["state"] in {"queued", "running"}:
        assert time.monotonic() < deadline_s, pull
        time.sleep(0.02)
    return pull


def test_a_model_is_pulled_to_the_servers_that_are_named(
    call: Call, parts: Services, boxes: list[FakeOllama]
) -> None:
    begun = call("POST", "/pulls", {"model": "mistral:7b", "server_ids": [1, 2]})
    pulls = [until_ended(call, pull["id"]) for pull in begun.json["data"]]
    listed = call("GET", "/pulls").json["data"]

    assert begun.status_code == 202
    assert [(pull["server_id"], pull["state"], pull["share"]) for pull in pulls] == [
        (1, "done", 1),
        (2, "done", 1),
    ]
    assert {pull["id"] for pull in listed} == {pull["id"] for pull in pulls}
    assert all(
        layer["completed_bytes"] == layer["total_bytes"] > 0
        for pull in pulls
        for layer in pull["layers"].values()
    )
    assert "mistral:7b" in {model["name"] for model in call("GET", "/models").json["data"]}


def test_a_pull_is_watched_and_stopped(call: Call, boxes: list[FakeOllama]) -> None:
    with boxes[0].hold("/api/pull", at=6) as gate:
        begun = call("POST", "/pulls", {"model": "mistral:7b", "server_ids": [1]})
        (pull,) = begun.json["data"]
        again = call("POST", "/pulls", {"model": "mistral:7b", "server_ids": [1]})
        gate.wait_reached()
        stopped = call("DELETE", f"/pulls/{pull['id']}")
        boxes[0].wait_disconnect()
        ended = until_ended(call, pull["id"])

    assert again.json["data"][0]["id"] == pull["id"]
    assert (stopped.status_code, ended["state"]) == (202, "cancelled")
    assert len(boxes[0].calls("/api/pull")) == 1


def test_loads_that_the_console_began_are_no_pulls(
    call: Call, boxes: list[FakeOllama], parts: Services
) -> None:
    (load,) = parts.pulls.load("tern:latest", [1], CLI)

    assert call("GET", "/pulls").json == {"data": []}
    for method in ("GET", "DELETE"):
        answer = call(method, f"/pulls/{load.job.id}")
        assert (answer.status_code, answer.json["error"]["code"]) == (404, "pull_not_found")


PULL_FAULTS = {
    "unknown to the registry": ("no-such:1b", None, "registry does not know"),
    "cut off": ("mistral:7b", Fault("reset_mid_line", after=3), "broke in the middle"),
    "refused": ("mistral:7b", error(500, "no space left on device"), "disk of the server is full"),
    "ended early": ("mistral:7b", status(200, {"status": "pulling"}), "before the model was"),
    "garbage": ("mistral:7b", Fault("garbage_line", after=2), ""),
}


@pytest.mark.parametrize(("name", "fault", "words"), PULL_FAULTS.values(), ids=PULL_FAULTS)
def test_a_pull_that_fails_says_why(
    call: Call, boxes: list[FakeOllama], name: str, fault: Fault | None, words: str
) -> None:
    if fault is not None:
        boxes[0].script("/api/pull", Script(fault=fault))
    begun = call("POST", "/pulls", {"model": name, "server_ids": [1]})
    pull = until_ended(call, begun.json["data"][0]["id"])

    assert pull["state"] == "failed"
    assert pull["error"]
    assert words in pull["error"]


def test_a_model_is_loaded_pinned_unpinned_and_unloaded(
    call: Call, boxes: list[FakeOllama], tern: int
) -> None:
    loaded = call("POST", f"/models/{tern}/load", {"server_ids": [2], "keep_alive": "10m"})
    in_memory = [[model["name"] for model in ps(box)] for box in boxes]
    pinned = call("POST", f"/models/{tern}/pin")
    unpinned = call("POST", f"/models/{tern}/unpin", {"server_ids": [2]})
    keep_alive = boxes[1].calls("/api/generate")[-1].json["keep_alive"]
    unloaded = call("POST", f"/models/{tern}/unload", {"server_ids": [1]})

    assert loaded.json == {
        "ok": True,
        "data": [{"server_id": 2, "server_name": "box2", "error": ""}],
    }
    assert in_memory == [[], ["tern:latest"]]
    assert [done["server_id"] for done in pinned.json["data"]] == [1, 2]
    assert boxes[0].calls("/api/generate")[0].json["keep_alive"] == -1
    assert (unpinned.json["ok"], keep_alive) == (True, "5m")
    assert unloaded.json["ok"] is True
    assert [len(ps(box)) for box in boxes] == [0, 1]


def test_a_server_tells_how_its_memory_is_used(call: Call, parts: Services) -> None:
    with FakeOllama([TERN], gpu_bytes=2_000_000_000) as box:
        parts.servers.create({"url": box.url, "name": "small", "vram_gb": 2}, CLI)
        parts.refresher.refresh()
        (model,) = parts.catalog.models()
        call("POST", f"/models/{model.id}/pin")
        (server,) = parts.scheduler.servers.values()
        Prober(parts.scheduler).probe(server)
        (told,) = call("GET", "/servers").json["data"]
    (loaded,), memory = told["loaded"], told["memory"]

    assert loaded["stays_loaded"] is True
    assert memory == {
        "total_bytes": 2 * 1024**3,
        "total_from": "typed",
        "vram_bytes": loaded["vram_bytes"],
        "ram_bytes": loaded["size_bytes"] - loaded["vram_bytes"],
        "free_bytes": 2 * 1024**3 - loaded["vram_bytes"],
        "warnings": ["partly_cpu"],
    }


def test_a_model_tells_its_state(call: Call, boxes: list[FakeOllama], tern: int) -> None:
    on_disk = call("GET", f"/models/{tern}").json["state"]
    disabled = call("PATCH", f"/models/{tern}", {"enabled": False}).json["state"]
    (listed,) = call("GET", "/models").json["data"]

    assert (on_disk, disabled, listed["state"]) == ("on_disk", "disabled", "disabled")


def ps(box: FakeOllama) -> list[dict]:
    import requests

    found: list[dict] = requests.get(f"{box.url}/api/ps", timeout=5).json()["models"]
    return found


def test_each_server_has_an_outcome_of_its_own(
    call: Call, boxes: list[FakeOllama], tern: int
) -> None:
    boxes[1].script("/api/copy", Script(fault=error(500, "no space left on device")))
    copied = call("POST", f"/models/{tern}/copy", {"destination": "gull"})
    names = {model["name"]: model["server_ids"] for model in call("GET", "/models").json["data"]}

    assert copied.json["ok"] is False
    assert [done["error"] for done in copied.json["data"]] == [
        "",
        "The disk of the server is full.",
    ]
    assert names["gull:latest"] == [1]


def test_a_model_is_erased_where_it_is_said_and_keeps_its_settings(
    call: Call, boxes: list[FakeOllama], tern: int
) -> None:
    unsaid = call("POST", f"/models/{tern}/erase", {})
    erased = call("POST", f"/models/{tern}/erase", {"server_ids": [1]})
    after = call("GET", f"/models/{tern}").json

    assert (unsaid.status_code, unsaid.json["error"]["param"]) == (400, "server_ids")
    assert erased.json["ok"] is True
    assert (after["server_ids"], after["available"]) == ([2], True)


def test_it_is_told_where_a_call_would_go(call: Call, boxes: list[FakeOllama], tern: int) -> None:
    call("POST", f"/models/{tern}/load", {"server_ids": [2]})
    routes = call("GET", f"/models/{tern}/routes?num_ctx=4096", role="viewer").json

    assert routes["waiting"] == 0
    assert [(one["server_id"], one["usable"]) for one in routes["data"]] == [(1, True), (2, True)]
    assert sum(one["chosen"] for one in routes["data"]) == 1
    assert all(one["reason"] and one["rank"] for one in routes["data"])


WRONG = {
    "no model": ("/pulls", {"server_ids": [1]}, "model"),
    "no name": ("/pulls", {"model": "../../etc", "server_ids": [1]}, "model"),
    "which of two": ("/pulls", {"model": "tern"}, "server_ids"),
    "no servers": ("/pulls", {"model": "tern", "server_ids": []}, "server_ids"),
    "an unknown server": ("/pulls", {"model": "tern", "server_ids": [9]}, "server_ids"),
    "a server that is true": ("/pulls", {"model": "tern", "server_ids": [True]}, "server_ids[0]"),
    "an unknown field": ("/models/{tern}/load", {"force": 1}, "force"),
    "a strange time": ("/models/{tern}/load", {"keep_alive": []}, "keep_alive"),
    "no destination": ("/models/{tern}/copy", {}, "destination"),
    "a strange destination": ("/models/{tern}/copy", {"destination": "a b"}, "destination"),
}


def test_a_wrong_order_is_refused_with_its_field(
    call: Call, boxes: list[FakeOllama], tern: int
) -> None:
    for name, (path, body, param) in WRONG.items():
        answer = call("POST", path.format(tern=tern), body)

        assert (answer.status_code, answer.json["error"]["param"]) == (400, param), name
    assert all(box.calls(path) == [] for box in boxes for path in ("/api/pull", "/api/copy"))


@pytest.mark.parametrize("what", ["load", "pin", "unpin", "unload", "copy", "erase"])
def test_an_order_for_a_model_that_is_not_there_is_not_found(refused: Call, what: str) -> None:
    body = {"destination": "x", "server_ids": [1]} if what == "copy" else {"server_ids": [1]}

    assert refused("POST", f"/models/99/{what}", body).status_code == 404
    assert refused("GET", "/pulls/99").status_code == 404


def test_what_a_window_takes_is_estimated_as_ollama_then_tells(
    call: Call, parts: Services, boxes: list[FakeOllama], tern: int
) -> None:
    call("PATCH", "/servers/1", {"vram_gb": 6})
    call("PATCH", "/servers/2", {"vram_gb": 4})
    told = call("GET", f"/models/{tern}/memory?num_ctx=8192").json
    usual = call("GET", f"/models/{tern}/memory").json
    call("PATCH", f"/models/{tern}", {"override": {"num_ctx": 8192}})
    call("POST", f"/models/{tern}/load", {"server_ids": [1]})
    (loaded,) = ps(boxes[0])

    assert told["total_bytes"] == loaded["size"]
    assert told["cache_bytes"] == 8192 * 131_072
    assert (told["slots"], usual["num_ctx"]) == (1, 4096)
    assert [(one["server_name"], one["fits"]) for one in told["data"]] == [
        ("box1", True),
        ("box2", False),
    ]


def test_a_total_that_was_only_seen_refuses_nothing(
    call: Call, boxes: list[FakeOllama], tern: int
) -> None:
    told = call("GET", f"/models/{tern}/memory").json

    assert {(one["total_from"], one["fits"]) for one in told["data"]} == {("unknown", None)}


def test_a_model_nobody_has_described_has_no_estimate(call: Call, parts: Services) -> None:
    model_id, _ = parts.store.write(catalog.ensure, "gone:1", datetime.now(UTC))
    parts.catalog.reload()
    answer = call("GET", f"/models/{model_id}/memory")

    assert answer.status_code == 404
    assert answer.json["error"]["code"] == "estimate_not_known"
