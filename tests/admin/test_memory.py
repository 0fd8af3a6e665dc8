"""Memory at the console: what is loaded, what stays, what is down."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from fake_ollama import FakeModel, FakeOllama
from gateway.core.catalog import Model
from gateway.scheduling.memory import MemoryLog
from gateway.scheduling.probes import Prober
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, Visitor
from tests.support.registry import Registry
from tests.support.servers import free_port

GB = 1_000_000_000


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

    assert options[1].strip().endswith(">aaa:1 (server down)</option>")
    assert not re.search(r'value="aaa:1"[^>]* selected', options[1])


@pytest.fixture
def half_loaded(parts: Services) -> Iterator[FakeOllama]:
    """A server whose model does not fit its GPU: half a gigabyte is free, the rest in RAM."""
    with FakeOllama([FakeModel("tern:latest"), FakeModel("gull:latest")], gpu_bytes=6 * GB) as box:
        parts.servers.create({"url": box.url, "name": "small", "vram_gb": 6}, ACTOR)
        parts.refresher.refresh()
        for name in ("tern:latest", "gull:latest"):
            parts.operations.load(name, [1], ACTOR)
        probe(parts)
        yield box


@pytest.mark.usefixtures("half_loaded")
@pytest.mark.parametrize("path", ["/admin/", "/admin/servers"])
def test_memory_is_drawn_against_what_the_gpu_has(admin: Visitor, path: str) -> None:
    page = admin.get(path).text
    bar = re.search(r'<svg\s+class="bar".*?</svg>', page, re.DOTALL)
    assert bar is not None
    pieces = re.findall(
        r'(?:class="(\w+)"|fill="url\(#([\w-]+)\)")\s+x="(\d+)"\s+width="(\d+)"', bar[0]
    )

    assert [kind or hatch for kind, hatch, *_ in pieces] == ["k1", "k2", "free", "hatch-1-1"]
    assert sum(int(width) for *_, width in pieces) == 1000
    assert "of 6.4 GB on the GPU" in page
    assert "gull:latest: runs partly on the CPU, which is slow." in page
    assert "Hatched: in RAM." in page


def test_a_learned_total_is_drawn_as_a_lower_bound(
    admin: Visitor, parts: Services, half_loaded: FakeOllama
) -> None:
    parts.servers.update(1, {"vram_gb": 0}, ACTOR)
    page = admin.get("/admin/").text

    assert re.search(r"[\d.]+ GB of at least [\d.]+ GB on the GPU", page)


def test_a_typed_total_that_is_too_small_is_said(
    admin: Visitor, parts: Services, half_loaded: FakeOllama
) -> None:
    parts.servers.update(1, {"vram_gb": 2}, ACTOR)

    assert "More is on the GPU than the memory typed for this server" in admin.get("/admin/").text


def test_what_stays_loaded_is_let_go_on_the_dashboard(
    admin: Visitor, parts: Services, model: Model, served: FakeOllama
) -> None:
    parts.operations.pin(model.name, model.server_ids, ACTOR)
    probe(parts)
    before = admin.get("/admin/").text
    answer = admin.post("/admin/dashboard/unpin", {"server": "1", "model": model.name})
    probe(parts)
    after = admin.get("/admin/").text
    admin.post("/auth/preferences", {"language": "zh"})
    in_chinese = admin.get("/admin/").text

    assert "stays loaded" in before
    assert "292 years" not in before
    assert answer.headers["Location"].endswith("/admin/#memory")
    assert "Stop keeping" not in after
    assert re.search(r"unloads <time[^>]*>in \d+ minutes</time>", after)
    assert re.search(r"<time[^>]*>\d+ 分钟后</time>卸载", in_chinese)


def test_the_memory_of_the_gpu_is_typed_on_the_server(admin: Visitor, parts: Services) -> None:
    with FakeOllama([]) as box:
        fields = {"url": box.url, "weight": "1", "slots": "0", "tls_verify": "y", "do": "save"}
        admin.post("/admin/servers/new", fields | {"vram_gb": "24"})
        wrong = admin.post("/admin/servers/1", fields | {"vram_gb": "a lot"}).text
    (server,) = parts.catalog.servers()

    assert server.vram_gb == 24
    assert "Must be a whole number from 0 to 100000" in wrong


def test_what_a_model_needs_is_said_on_its_page_and_beside_its_window(
    admin: Visitor, parts: Services, model: Model
) -> None:
    parts.servers.update(1, {"vram_gb": 8}, ACTOR)
    overview = admin.get(f"/admin/models/{model.id}").text
    parameters = admin.get(f"/admin/models/{model.id}/parameters").text
    more = admin.get(f"/admin/models/{model.id}/need.json?num_ctx=32768").json["words"]
    usual = admin.get(f"/admin/models/{model.id}/need.json?num_ctx=-1").json["words"]
    fits = "4,096 tokens ≈ +537 MB, with the model about 5.9 GB. Fits the GPU of workstation"

    assert all(fits in text for text in (overview, parameters, usual))
    assert more == (
        "32,768 tokens ≈ +4.3 GB, with the model about 9.6 GB. Too large for the GPU of "
        "workstation (8.6 GB): part of it would run on the CPU."
    )


def test_beside_its_window_a_model_needs_what_stands_in_the_field(
    admin: Visitor, parts: Services, model: Model
) -> None:
    parts.models.update(model.id, {"override": {"num_ctx": 16_384}}, ACTOR)
    page = admin.get(f"/admin/models/{model.id}/parameters").text
    emptied = admin.get(f"/admin/models/{model.id}/need.json?num_ctx=0").json["words"]

    assert "16,384 tokens ≈ +2.1 GB" in page
    assert emptied.startswith("4,096 tokens")


def test_of_a_model_of_the_cloud_nothing_is_said(
    admin: Visitor, parts: Services, model: Model
) -> None:
    cloud = next(one for one in parts.catalog.models() if one.remote)

    assert admin.get(f"/admin/models/{cloud.id}/need.json").json == {"words": ""}
    assert "data-need" not in admin.get(f"/admin/models/{cloud.id}/parameters").text


def asked_size(admin: Visitor, model: str) -> str:
    """Return the page after the button that asks how large a model is."""
    sent = {"model": model, "servers": "1", "do": "size"}
    return admin.post("/admin/models/pull", sent).text


@pytest.mark.usefixtures("model")
def test_how_large_a_pull_is_stands_in_the_registry(admin: Visitor, parts: Services) -> None:
    parts.servers.update(1, {"vram_gb": 8}, ACTOR)
    with Registry() as registry:
        parts.settings.update({"model_registry": registry.url}, ACTOR)
        page = asked_size(admin, "mistral")
        registry.status = 404
        unknown = asked_size(admin, "no-such-model")
        admin.get("/admin/models")
        asked = [path for path, _ in registry.asked]

    assert "2 GB to pull; its context window takes more. Fits the GPU of workstation" in page
    assert "The registry does not know this model" in unknown
    assert asked == [
        f"/v2/library/{name}/manifests/latest" for name in ("mistral", "no-such-model")
    ]
    assert parts.pulls.all() == []


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("registry", ["", f"http://127.0.0.1:{free_port()}"])
def test_without_a_registry_the_size_is_not_known(
    admin: Visitor, parts: Services, registry: str
) -> None:
    parts.settings.update({"model_registry": registry}, ACTOR)

    assert "Its size is not known." in asked_size(admin, "mistral")


@pytest.mark.usefixtures("model")
def test_other_registries_are_not_asked(admin: Visitor, parts: Services) -> None:
    with Registry() as registry:
        parts.settings.update({"model_registry": registry.url}, ACTOR)
        page = asked_size(admin, "hf.co/user/Model-GGUF:Q4_K_M")

    assert "Its size is not known." in page
    assert registry.asked == []


@pytest.mark.usefixtures("model")
def test_asking_for_no_model_is_told_at_the_field(admin: Visitor) -> None:
    assert "Type a model's name." in asked_size(admin, "")
