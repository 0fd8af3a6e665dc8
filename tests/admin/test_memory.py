"""Memory at the console: what is loaded, what stays, what is down."""

from __future__ import annotations

import re

import pytest

from fake_ollama import FakeModel, FakeOllama
from gateway.core.catalog import Model
from gateway.scheduling.memory import MemoryLog
from gateway.scheduling.probes import Prober
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, Visitor


@pytest.fixture
def model(parts: Services, served: FakeOllama) -> Model:
    """A model of a server that is up."""
    return named(parts, "qwen3:8b")


def named(parts: Services, name: str) -> Model:
    """Return a model by Ollama's tag."""
    return next(model for model in parts.catalog.models() if model.name == name)


def probe(parts: Services) -> None:
    """Look what is in memory of every server."""
    prober = Prober(parts.scheduler, MemoryLog(parts.store))
    for server in parts.scheduler.servers.values():
        prober.probe(server)


def states(page: str) -> dict[str, str]:
    """Return the state of each model in the list, in its order."""
    rows = re.findall(r'fw-semibold" href="/admin/models/\d+">([^<]+)</a>.*?</svg>([^<]+)</span>',
                      page, re.DOTALL)  # fmt: skip
    return dict(rows)


def test_a_model_that_stays_loaded_says_so_and_can_be_let_go(
    admin: Visitor, parts: Services, model: Model, served: FakeOllama
) -> None:
    parts.operations.pin(model.name, model.server_ids, ACTOR)
    probe(parts)
    pages = [admin.get(path).text for path in ("/admin/models", f"/admin/models/{model.id}")]
    answer = admin.post(f"/admin/models/{model.id}/memory", {"to": "unpin", "back": "detail"})
    probe(parts)
    after = admin.get(f"/admin/models/{model.id}").text
    audit = admin.get("/admin/settings/audit").text

    assert all("Stays loaded" in page for page in pages)
    assert "Stop keeping" in pages[1]
    assert "Keep in memory" not in pages[1]
    assert answer.status_code == 303
    assert "leaves memory after its usual time." in after
    assert "Keep in memory" in after
    assert "Stays loaded" not in after
    assert "model.unpin" in audit


def test_models_of_servers_that_are_down_stand_last_and_say_so(
    admin: Visitor, parts: Services, model: Model
) -> None:
    with FakeOllama([FakeModel("aaa:1"), FakeModel("qwen3:8b")]) as away:
        parts.servers.create({"url": away.url, "name": "attic"}, ACTOR)
        parts.refresher.refresh()
    probe(parts)
    lists = admin.get("/admin/models").text
    page = admin.get(f"/admin/models/{named(parts, 'aaa:1').id}").text
    found = states(lists)

    assert list(found)[-1] == "aaa:1"
    assert found["aaa:1"].strip() == "Server down"
    assert found["qwen3:8b"].strip() == "On disk"
    assert "Server down" in page


@pytest.mark.usefixtures("model")
def test_the_playground_offers_models_of_servers_that_are_down_last(
    admin: Visitor, parts: Services
) -> None:
    parts.keys.issue({"name": "one"}, ACTOR)
    with FakeOllama([FakeModel("aaa:1")]) as away:
        parts.servers.create({"url": away.url, "name": "attic"}, ACTOR)
        parts.refresher.refresh()
    probe(parts)
    page = admin.get("/admin/playground").text
    options = re.search(r'<select class="form-select" id="model">(.*?)</select>', page, re.DOTALL)
    assert options is not None

    assert options[1].endswith(">aaa:1 (server down)</option>")
    assert not re.search(r'value="aaa:1"[^>]* selected', options[1])
