"""The first steps: find Ollama, choose or pull models, make a key."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from fake_ollama import FakeOllama
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, PASSWORD, Visitor, account
from tests.admin.test_memory import probe


@pytest.fixture
def unused_url() -> str:
    """An address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def empty(parts: Services, shared_ollama: FakeOllama) -> Iterator[FakeOllama]:
    """A fake Ollama without models that the gateway knows as its server."""
    shared_ollama.reset()
    shared_ollama.library.replace_all(())
    parts.servers.create({"url": shared_ollama.url, "name": "empty"}, ACTOR)
    yield shared_ollama
    shared_ollama.reset()


def test_the_steps_lead_to_a_key(
    admin: Visitor, parts: Services, shared_ollama: FakeOllama
) -> None:
    shared_ollama.reset()
    connected = admin.post("/admin/welcome/connect", {"url": shared_ollama.url})
    chosen = admin.get(connected.headers["Location"]).text
    ticked = re.findall(r'name="model" value="(\d+)"[^>]* checked', chosen)
    listed = re.findall(r'name="listed" value="(\d+)"', chosen)
    named = admin.post("/admin/welcome/models", {"model": ticked[:2], "listed": listed})
    made = admin.post("/admin/welcome/key", {"name": "First key"})
    shown = admin.get(made.headers["Location"]).text

    assert connected.headers["Location"] == "/admin/welcome?step=models"
    assert named.headers["Location"] == "/admin/welcome?step=key"
    assert sum(model.enabled for model in parts.catalog.models()) == 2
    assert re.search(r"sk-o2a-\w{49}", shown)
    assert 'id="waiting"' in shown


def test_an_address_is_taken_without_scheme_and_port(
    admin: Visitor, parts: Services, shared_ollama: FakeOllama
) -> None:
    shared_ollama.reset()
    admin.post("/admin/welcome/connect", {"url": shared_ollama.url.removeprefix("http://")})
    (server,) = parts.catalog.servers()

    assert server.url == shared_ollama.url


def test_an_address_without_ollama_is_explained_at_its_field(
    admin: Visitor, parts: Services, unused_url: str
) -> None:
    page = admin.post("/admin/welcome/connect", {"url": unused_url}).text
    field = re.search(r'<input[^>]* name="url".*?</div>\s*</div>', page, re.DOTALL)

    assert field is not None
    assert f'value="{unused_url}"' in field.group()
    assert "Nothing listens on port" in field.group()
    assert "ollama serve" in field.group()
    assert parts.catalog.servers() == ()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "Enter the address of the server"),
        ("ftp://x", "must begin with http:// or https://"),
        ("http://169.254.169.254", "cloud metadata addresses are not allowed"),
    ],
)
def test_a_wrong_address_is_kept_and_explained(untouched: Visitor, typed: str, words: str) -> None:
    page = untouched.post("/admin/welcome/connect", {"url": typed})

    assert page.status_code == 200
    assert words in page.text
    assert f'value="{typed}"' in page.text
    assert "candidate" not in page.text
    assert "Save anyway" not in page.text


def test_a_server_that_does_not_answer_is_added_anyway(
    admin: Visitor, parts: Services, unused_url: str
) -> None:
    offered = admin.post("/admin/welcome/connect", {"url": unused_url}).text
    admin.post("/admin/welcome/connect", {"url": unused_url, "anyway": "1"})
    probe(parts)
    page = admin.get("/admin/welcome?step=models").text

    assert "Save anyway" in offered
    assert [server.url for server in parts.catalog.servers()] == [unused_url]
    assert "The server does not answer yet." in page


def test_where_nothing_is_found_the_next_steps_are_named(
    admin: Visitor, monkeypatch: pytest.MonkeyPatch, unused_url: str
) -> None:
    monkeypatch.setattr("gateway.ollama.nearby.USUAL", (unused_url,))
    page = admin.get("/admin/welcome").text

    for words in (
        "Addresses checked",
        unused_url,
        "Scan again",
        "make demo",
        "ollama.com/download",
    ):
        assert words in page


def test_a_model_is_pulled_without_leaving_the_steps(
    admin: Visitor, parts: Services, empty: FakeOllama
) -> None:
    before = admin.get("/admin/welcome").text
    begun = admin.post("/admin/welcome/pull", {"suggested": "llama3.2"})
    (job,) = parts.pulls.all()
    during = admin.get(begun.headers["Location"]).text

    assert before.count("Pull a model") == 1
    assert "llama3.2 · 2 GB" in before
    assert begun.headers["Location"] == "/admin/welcome?step=models"
    assert job.job.model.startswith("llama3.2")
    assert 'data-live="jobs"' in during
    assert f"/admin/models/pulls/{job.job.id}/cancel" not in during


def test_a_name_that_cannot_be_pulled_is_explained_at_its_field(
    admin: Visitor, empty: FakeOllama
) -> None:
    page = admin.post("/admin/welcome/pull", {"model": "no spaces please"})

    assert page.status_code == 200
    assert 'value="no spaces please"' in page.text
    assert "invalid-feedback" in page.text


def test_a_model_that_came_meanwhile_stays_enabled(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    first, *others = [model.id for model in parts.catalog.models() if model.enabled]
    admin.post("/admin/welcome/models", {"listed": [str(first)]})

    assert [model.id for model in parts.catalog.models() if model.enabled] == others


def test_a_key_without_a_name_is_explained_at_its_field(untouched: Visitor) -> None:
    page = untouched.post("/admin/welcome/key", {"name": " "})

    assert page.status_code == 200
    assert "Must not be empty" in page.text


def test_the_console_leads_to_the_first_steps_while_there_is_no_server(
    admin: Visitor, parts: Services, shared_ollama: FakeOllama
) -> None:
    account(parts, "guest", "viewer")
    guest = Visitor(admin.app)
    guest.login("guest", PASSWORD)
    before = admin.get("/admin/")
    shared_ollama.reset()
    parts.servers.create({"url": shared_ollama.url, "name": "workstation"}, ACTOR)
    after = admin.get("/admin/")

    assert before.headers["Location"] == "/admin/welcome"
    assert guest.get("/admin/").status_code == 200
    for step in ("connect", "models", "key"):
        assert f'href="/admin/welcome?step={step}"' in after.text


def test_models_come_next_though_a_key_was_made_before(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    parts.keys.issue({"name": "made by command"}, ACTOR)
    page = admin.get("/admin/welcome").text

    assert "Choose models" in page
    assert 'aria-current="step"' in page
