"""Models at the console: names, parameters with history, switches, pulls, and what asks first."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from flask import Flask

from fake_ollama import FakeOllama, Script, status
from gateway.admin.models.list import shown
from gateway.core.catalog import Model
from gateway.management.model_jobs import Pull
from gateway.store import jobs
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, Visitor
from tests.admin.test_live import drawn


def named(parts: Services, name: str) -> Model:
    """Return a model by Ollama's tag."""
    return next(model for model in parts.catalog.models() if model.name == name)


@pytest.fixture
def model(parts: Services, served: FakeOllama) -> Model:
    """A model that thinks and uses tools."""
    return named(parts, "qwen3:8b")


def test_names_and_patterns_reach_routing(admin: Visitor, parts: Services, model: Model) -> None:
    fields = {
        "display_name": "house-model",
        "aliases": "gpt-4o-mini\nclaude-*-haiku*",
        "notes": "n",
    }
    answer = admin.post(f"/admin/models/{model.id}/names", fields)
    index = parts.catalog.index()

    assert answer.status_code == 303
    for name in ("house-model", "gpt-4o-mini", "claude-3-5-haiku-latest", "qwen3:8b"):
        from gateway.policy.routing import resolve

        assert resolve(name, index, "").model.id == model.id


def test_a_taken_name_is_told_at_its_field(admin: Visitor, parts: Services, model: Model) -> None:
    other = next(m for m in parts.catalog.models() if m.id != model.id)
    answer = admin.post(f"/admin/models/{model.id}/names", {"display_name": other.display_name})

    assert answer.status_code == 200
    assert "already means" in answer.text
    assert named(parts, model.name).display_name == model.display_name


def test_parameters_are_saved_from_json(admin: Visitor, parts: Services, model: Model) -> None:
    text = '{"num_ctx": 16384, "think": false, "force": {"temperature": 0}}'
    answer = admin.post(
        f"/admin/models/{model.id}/parameters", {"from": "json", "override": text, "note": "why"}
    )

    assert answer.status_code == 303
    assert dict(named(parts, model.name).override) == {
        "num_ctx": 16384,
        "think": False,
        "force": {"temperature": 0},
    }
    assert "why" in admin.get(f"/admin/models/{model.id}/parameters").text


def test_parameters_are_saved_from_the_form_and_keep_what_it_cannot_say(
    admin: Visitor, parts: Services, model: Model
) -> None:
    parts.models.update(
        model.id, {"override": {"force": {"num_ctx": 8192}, "options": {"new": 1}}}, ACTOR
    )
    fields = {"from": "fields", "p-temperature": "0.7", "p-stop": "END\nSTOP", "p-think": "low"}
    answer = admin.post(f"/admin/models/{model.id}/parameters", fields)

    assert answer.status_code == 303
    assert dict(named(parts, model.name).override) == {
        "force": {"num_ctx": 8192},
        "options": {"new": 1},
        "temperature": 0.7,
        "stop": ["END", "STOP"],
        "think": "low",
    }


BROKEN = [
    (
        '{"num_ctx": 1,\n "temperature": "hot",\n "num_ctxx": 2}',
        ["Line 2: temperature", "Line 3: num_ctxx", "num_ctx"],
    ),
    ('{"num_ctx": }', ["Line 1"]),
    ("[1, 2]", ["must be an object"]),
    ('{"stop": 5}', ["Line 1: stop"]),
    ('{"a": 1, "a": 2}', ["stands here twice"]),
]


@pytest.mark.parametrize(("text", "words"), BROKEN)
def test_broken_json_is_told_line_by_line_and_kept(
    admin: Visitor, parts: Services, model: Model, text: str, words: list[str]
) -> None:
    answer = admin.post(f"/admin/models/{model.id}/parameters", {"from": "json", "override": text})
    kept = re.search(
        r"<textarea[^>]*id=\"override\"[^>]*>\r?\n?(.*?)</textarea>", answer.text, re.DOTALL
    )

    assert kept is not None
    assert kept.group(1).replace("&#34;", '"') == text
    assert [word for word in words if word not in answer.text] == []
    assert dict(named(parts, model.name).override) == {}


def test_a_wrong_field_of_the_form_is_told_beside_it(
    admin: Visitor, parts: Services, model: Model
) -> None:
    fields = {"from": "fields", "p-top_p": "7", "p-seed": "42"}
    page = admin.post(f"/admin/models/{model.id}/parameters", fields).text

    assert "Must be from 0 to 1." in page
    assert re.search(r'id="p-seed"[^>]*value="42"', page)
    assert dict(named(parts, model.name).override) == {}


def test_an_earlier_version_can_be_put_in_force_again(
    admin: Visitor, parts: Services, model: Model
) -> None:
    for value in (1024, 2048):
        parts.models.update(model.id, {"override": {"num_ctx": value}}, ACTOR)
    page = admin.get(f"/admin/models/{model.id}/parameters").text
    older = re.findall(rf"/admin/models/{model.id}/parameters/(\d+)/restore", page)
    admin.post(f"/admin/models/{model.id}/parameters/{older[0]}/restore")

    assert "<ins>+   &#34;num_ctx&#34;: 2048</ins>" in page
    assert dict(named(parts, model.name).override) == {"num_ctx": 1024}


def test_a_disabled_model_cannot_be_called(admin: Visitor, parts: Services, model: Model) -> None:
    admin.post(f"/admin/models/{model.id}/enabled", {"to": "off"})
    off = named(parts, model.name).enabled
    admin.post(f"/admin/models/{model.id}/enabled", {"to": "on"})

    assert (off, named(parts, model.name).enabled) == (False, True)


def test_loading_is_accepted_at_once_and_seen_to_its_end(
    admin: Visitor, parts: Services, model: Model, served: FakeOllama
) -> None:
    with served.hold("qwen3:8b", at="load") as gate:
        answer = admin.post(f"/admin/models/{model.id}/memory", {"to": "load"})
        gate.wait_reached()
        lists = admin.get("/admin/models").text
        page = admin.get(f"/admin/models/{model.id}").text
        shown = drawn(admin, "jobs", "&model=qwen3:8b")
    job = parts.pulls.all()[0].job
    ended(parts, job.id)
    after = drawn(admin, "jobs", until="Loaded")
    loaded = served.loaded()
    admin.post(f"/admin/models/{model.id}/memory", {"to": "unload"})

    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/models#pulls")
    assert "is being loaded. You may leave this page." in lists
    for text in (lists, page):
        assert "Stop loading" in text
        assert f"/admin/models/pulls/{job.id}/cancel" in text
    assert ("Loading" in shown, "data-open" in shown, "data-load" in shown) == (True, True, True)
    assert re.search(r"<progress[^>]*value=", shown) is None
    assert "data-open" not in after
    assert (loaded, served.loaded()) == (["qwen3:8b"], [])


@pytest.mark.parametrize("way", ["row", "job"])
def test_loading_is_stopped(
    admin: Visitor, parts: Services, model: Model, served: FakeOllama, way: str
) -> None:
    with served.hold("qwen3:8b", at="load") as gate:
        admin.post(f"/admin/models/{model.id}/memory", {"to": "pin", "back": "detail"})
        gate.wait_reached()
        job = parts.pulls.all()[0].job
        path = {
            "row": f"/admin/models/{model.id}/memory",
            "job": f"/admin/models/pulls/{job.id}/cancel",
        }[way]
        answer = admin.post(path, {"to": "stop"})
        served.wait_disconnect()
        ended(parts, job.id)

    assert answer.status_code == 303
    assert served.loaded() == []
    page = admin.get(f"/admin/models/{model.id}").text
    assert "Stopped" in page
    assert "Stop loading" not in page


def test_why_a_model_was_not_loaded_stays_on_its_page(
    admin: Visitor, parts: Services, model: Model, served: FakeOllama
) -> None:
    served.script("qwen3:8b", Script(fault=status(500, {"error": "not enough memory here"})))
    admin.post(f"/admin/models/{model.id}/memory", {"to": "load"})
    ended(parts, parts.pulls.all()[0].job.id)

    assert "not enough memory here" in admin.get(f"/admin/models/{model.id}").text
    assert "not enough memory here" in admin.get("/admin/models").text


def test_a_model_on_no_server_that_is_on_is_not_loaded(
    admin: Visitor, parts: Services, model: Model, served: FakeOllama
) -> None:
    parts.servers.update(1, {"enabled": False}, ACTOR)
    admin.post(f"/admin/models/{model.id}/memory", {"to": "load"})

    assert "No server has this model." in admin.get("/admin/models").text
    assert parts.pulls.all() == []


def ended(parts: Services, job_id: int) -> None:
    """Wait for the end of a job, ten seconds at most."""
    deadline_s = time.monotonic() + 10
    while parts.pulls.get(job_id).job.is_open:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_deleting_names_the_keys_that_use_the_model(
    admin: Visitor, parts: Services, model: Model, served: FakeOllama
) -> None:
    parts.keys.issue({"name": "Support bot", "allow": [], "model_ids": [model.id]}, ACTOR)
    asked = admin.get(f"/admin/models/{model.id}/delete").text
    admin.post(f"/admin/models/{model.id}/delete", {"typed": "wrong"})
    still = named(parts, model.name).available
    admin.post(f"/admin/models/{model.id}/delete", {"typed": "qwen3:8b"})

    assert "Support bot" in asked
    assert "workstation" in asked
    assert still
    assert not named(parts, model.name).available


def test_a_missing_model_keeps_its_settings_until_it_is_forgotten(
    admin: Visitor, parts: Services, model: Model
) -> None:
    parts.models.update(model.id, {"override": {"num_ctx": 1024}}, ACTOR)
    parts.operations.delete(model.name, [1], ACTOR)
    kept = dict(named(parts, model.name).override)
    answer = admin.post(f"/admin/models/{model.id}/delete", {"typed": "qwen3:8b"})

    assert kept == {"num_ctx": 1024}
    assert answer.status_code == 303
    assert [m for m in parts.catalog.models() if m.name == model.name] == []


def test_every_job_that_runs_is_shown(admin: Visitor, parts: Services, served: FakeOllama) -> None:
    now = datetime.now(UTC)
    with parts.store.database.write() as session:
        for number in range(25):
            jobs.open_or_insert(session, 1, f"tern{number}:1b", actor_name="eve", now=now)

    html = drawn(admin, "jobs")
    assert html.count("data-open") == 25


@pytest.mark.parametrize("name", ["", "not a name!", "a" * 300])
def test_a_pull_of_no_model_is_explained(
    admin: Visitor, parts: Services, served: FakeOllama, name: str
) -> None:
    answer = admin.post("/admin/models/pull", {"model": name, "servers": ["1"]})

    assert answer.status_code == 200
    assert "invalid-feedback" in answer.text
    assert parts.pulls.all() == []


def test_a_copy_appears_as_a_model(admin: Visitor, parts: Services, model: Model) -> None:
    admin.post(f"/admin/models/{model.id}/copy", {"destination": "mine:v1"})

    assert named(parts, "mine:v1").available


def names_in(page: str) -> list[str]:
    """Return the names of the models a list shows, in its order."""
    return re.findall(r'<a class="fw-semibold" href="/admin/models/\d+">([^<]+)</a>', page)


SEEN = [
    ("search=QWEN", {"qwen3:8b", "qwen2.5-coder:7b"}),
    ("capability=vision", {"gemma3:4b", "llava:7b"}),
    ("state=disabled", {"llama3.2", "deepseek-v3.1:671b-cloud"}),
    ("capability=flying&state=lost&sort=colour&search=nimble", {"nimble"}),
]


@pytest.mark.parametrize(("query", "names"), SEEN)
def test_the_list_is_filtered_by_its_address(
    admin: Visitor, parts: Services, served: FakeOllama, query: str, names: set[str]
) -> None:
    parts.models.enable([named(parts, "llama3.2:latest").id], False, ACTOR)

    assert set(names_in(admin.get(f"/admin/models?{query}").text)) == names


def test_the_list_is_sorted_by_its_heads(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    page = admin.get("/admin/models?sort=-size").text
    sizes = {model.display_name: model.size_bytes for model in parts.catalog.models()}
    found = [sizes[name] for name in names_in(page)]

    assert found == sorted(found, reverse=True)
    assert 'aria-sort="descending"' in page
    assert 'href="/admin/models?sort=size"' in page


def test_a_row_names_its_actions_and_each_icon_means_one(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    page = admin.get("/admin/models?search=qwen3:8b").text
    menu = page.partition('dropdown-menu-end">')[2]
    actions = dict(re.findall(r'#([a-z0-9-]+)"/></svg>\s*(?:<span>)?([A-Z][a-z ]+)', page))

    assert actions["memory"] == "Load"
    assert actions["slash-circle"] == "Disable"
    assert "pause-fill" not in page
    assert [word for word in ("Parameters", "Try it", "Delete …") if word not in menu] == []


@pytest.mark.usefixtures("served")
def test_the_field_to_pull_a_model_has_the_focus(admin: Visitor) -> None:
    closed = admin.get("/admin/models").text
    opened = admin.get("/admin/models?pull=").text

    assert 'href="/admin/models?pull="' in closed
    assert 'id="pull"' not in closed
    assert re.search(r'<input[^>]*autofocus[^>]*id="model"|id="model"[^>]*autofocus', opened)


def test_a_download_that_failed_is_retried_or_dismissed(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    served.script("tern:1b", Script(fault=status(500, {"error": "no such thing"})))
    admin.post("/admin/models/pull", {"model": "tern:1b", "servers": ["1"]})
    first = parts.pulls.all()[0].job.id
    ended(parts, first)
    page = admin.get("/admin/models").text
    admin.post(f"/admin/models/pulls/{first}/retry")
    (second,) = [one.job.id for one in parts.pulls.all()]
    ended(parts, second)
    admin.post(f"/admin/models/pulls/{second}/dismiss")

    assert f"/admin/models/pulls/{first}/dismiss" in page
    assert "Retry" in page
    assert second != first
    assert parts.pulls.all() == []


LEFT = [(0.02, "1 s left"), (2.67, "3 s left"), (75.4, "1 min 15 s left")]


@pytest.mark.parametrize(("eta_s", "words"), LEFT)
def test_the_time_left_is_told_in_whole_seconds(
    app: Flask, parts: Services, served: FakeOllama, eta_s: float, words: str
) -> None:
    now = datetime.now(UTC)
    with parts.store.database.write() as session:
        job, _ = jobs.open_or_insert(session, 1, "tern:1b", actor_name="eve", now=now)
    seen = Pull(replace(job, status="pulling dc21ffd1c666"), eta_s=eta_s)
    with app.test_request_context("/admin/models"):
        row = shown(seen, {1: "workstation"}, now)

    assert (row["figures"], row["status"]) == (words, "")


def groups_in(page: str) -> list[str]:
    """Return the groups of the form of parameters, those that are open in capitals."""
    form = page.partition("override-fields")[2].partition("</form>")[0]
    found = re.findall(
        r"<details[^>]*?( open)?>\s*<summary[^>]*>\s*(?:<span[^>]*>\s*)*([^<]+?)\s*<", form
    )
    return [name.upper() if is_open else name for is_open, name in found]


def test_what_is_asked_most_stands_first_and_open(
    admin: Visitor, parts: Services, model: Model
) -> None:
    page = admin.get(f"/admin/models/{model.id}/parameters").text
    common = page.partition("<details")[2].partition("</details>")[0]

    assert groups_in(page)[:3] == ["COMMON", "Memory and context", "Sampling"]
    assert re.findall(r'name="p-(\w+)"', common) == [
        "num_ctx",
        "think",
        "keep_alive",
        "temperature",
    ]
    assert page.index("override-fields") < page.index("override-json")


def test_a_model_that_embeds_has_no_sampling(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    embedder = named(parts, "nomic-embed-text:latest")
    parts.models.update(embedder.id, {"override": {"temperature": 0.5}}, ACTOR)
    page = admin.get(f"/admin/models/{embedder.id}/parameters").text
    fields = {"from": "fields", "p-num_ctx": "1024"}
    admin.post(f"/admin/models/{embedder.id}/parameters", fields)

    assert "p-num_ctx" in page
    assert [name for name in ("p-temperature", "p-think", "Sampling") if name in page] == []
    assert dict(named(parts, embedder.name).override) == {"temperature": 0.5, "num_ctx": 1024}


def test_a_parameter_that_is_misspelt_is_asked_about_in_one_sentence(
    admin: Visitor, model: Model
) -> None:
    text = '{"temperatur": 1}'
    page = admin.post(
        f"/admin/models/{model.id}/parameters", {"from": "json", "override": text}
    ).text

    assert "Line 1: temperatur: unknown parameter; did you mean &#39;temperature&#39;?<" in page


def test_the_rows_share_one_form(admin: Visitor, parts: Services, served: FakeOllama) -> None:
    page = admin.get("/admin/models").text
    table = page.partition("<tbody>")[2]

    assert "<form" not in table
    assert len(page) < 60_000
