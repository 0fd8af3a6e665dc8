"""Servers at the console: tried before they are kept, drained, switched off, removed."""

from __future__ import annotations

import re
import socket
from datetime import UTC, datetime

import pytest

from fake_ollama import FakeOllama
from gateway.core.catalog import Loaded
from gateway.web.context import Services, of
from tests.admin.conftest import ACTOR, Visitor

PLAIN = {"weight": "1", "slots": "0", "vram_gb": "0", "tls_verify": "y", "do": "save"}


@pytest.fixture
def dead_url() -> str:
    """An address on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_a_second_server_of_a_host_is_called_after_its_port(
    admin: Visitor, parts: Services, shared_ollama: FakeOllama
) -> None:
    shared_ollama.reset()
    admin.post("/admin/servers/new", PLAIN | {"url": shared_ollama.url})
    with FakeOllama() as other:
        admin.post("/admin/servers/new", PLAIN | {"url": other.url})
        names = {server.name for server in parts.catalog.servers()}

        assert names == {"127.0.0.1", other.url.removeprefix("http://")}


def test_a_test_tells_version_and_models_and_keeps_nothing(
    admin: Visitor, parts: Services, shared_ollama: FakeOllama
) -> None:
    shared_ollama.reset()
    answer = admin.post("/admin/servers/new", PLAIN | {"url": shared_ollama.url, "do": "test"})

    assert "Ollama 0.33.0 answers." in answer.text
    assert parts.catalog.servers() == ()


def test_a_server_that_refuses_is_explained_with_the_fix(
    admin: Visitor, parts: Services, dead_url: str
) -> None:
    answer = admin.post("/admin/servers/new", PLAIN | {"url": dead_url})

    assert "Nothing listens on port" in answer.text
    assert "ollama serve" in answer.text
    assert parts.catalog.servers() == ()


def test_a_server_can_be_kept_although_it_is_away(
    admin: Visitor, parts: Services, dead_url: str
) -> None:
    answer = admin.post("/admin/servers/new", PLAIN | {"url": dead_url, "anyway": "1"})

    assert answer.status_code == 303
    assert [server.url for server in parts.catalog.servers()] == [dead_url]


WRONG = [
    ("", "Enter the address of the server"),
    ("ftp://host", "must begin with http"),
    ("http://user:secret@host", "must not hold a name or password"),
    ("http://host:99999", "cannot be read"),
    ("http://169.254.169.254", "metadata addresses are not allowed"),
    ("http://metadata.google.internal", "metadata addresses are not allowed"),
    ("http://host/?a=b", "must not hold a query"),
    ("http://ho st", "only plain characters"),
]


@pytest.mark.parametrize(("url", "words"), WRONG)
def test_a_wrong_address_is_explained_at_its_field(
    untouched: Visitor, url: str, words: str
) -> None:
    answer = untouched.post("/admin/servers/new", PLAIN | {"url": url, "tags": "kept"})

    assert words in answer.text
    assert of(untouched.app).catalog.servers() == ()


def test_a_header_is_kept_secret_and_kept_when_left_empty(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    fields = PLAIN | {"url": served.url, "name": "workstation"}
    admin.post("/admin/servers/1", fields | {"auth_header": "Authorization: Bearer hidden-value"})
    admin.post("/admin/servers/1", fields | {"weight": "3"})
    pages = "".join(
        admin.get(path).text
        for path in ("/admin/servers", "/admin/servers/1", "/admin/settings/audit")
    )

    assert parts.catalog.server(1).auth_header == "Authorization: Bearer hidden-value"
    assert parts.catalog.server(1).weight == 3
    assert "hidden-value" not in pages


@pytest.mark.parametrize("do", ["test", "save"])
def test_a_header_is_asked_for_again_when_the_host_changes(
    admin: Visitor, parts: Services, served: FakeOllama, do: str
) -> None:
    """The other host never sees it, not even in a trial."""
    parts.servers.update(1, {"auth_header": "Authorization: Bearer hidden-value"}, ACTOR)
    with FakeOllama() as other:
        url = other.url.replace("127.0.0.1", "localhost")
        fields = PLAIN | {"url": url, "name": "workstation", "do": do, "anyway": "1"}
        asked = admin.post("/admin/servers/1", fields)
        unseen = other.requests
        typed = admin.post("/admin/servers/1", fields | {"auth_header": "X-Key: new"})
        seen = {request.headers.get("x-key") for request in other.requests}

    assert "enter its authorization header again" in asked.text
    assert list(unseen) == []
    assert typed.status_code == (303 if do == "save" else 200)
    assert seen == {"new"}
    assert parts.catalog.server(1).auth_header == (
        "X-Key: new" if do == "save" else "Authorization: Bearer hidden-value"
    )


def test_a_header_can_be_forgotten_while_the_host_changes(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    parts.servers.update(1, {"auth_header": "X-Key: v"}, ACTOR)
    with FakeOllama() as other:
        url = other.url.replace("127.0.0.1", "localhost")
        fields = PLAIN | {"url": url, "name": "workstation", "forget_header": "y"}
        answer = admin.post("/admin/servers/1", fields)
        seen = [request.headers for request in other.requests]

    assert answer.status_code == 303
    assert parts.catalog.server(1).auth_header == ""
    assert all("x-key" not in headers for headers in seen)


STATES = [("draining", (True, True)), ("disabled", (False, False)), ("enabled", (True, False))]


@pytest.mark.parametrize(("state", "wanted"), STATES)
def test_a_server_is_switched(
    admin: Visitor, parts: Services, served: FakeOllama, state: str, wanted: tuple[bool, bool]
) -> None:
    admin.post("/admin/servers/1/state", {"to": state})
    server = parts.catalog.server(1)

    assert (server.enabled, server.draining) == wanted


def test_removing_names_the_models_that_leave_with_it(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    asked = admin.get("/admin/servers/1/delete").text
    kept = len(parts.catalog.models())
    admin.post("/admin/servers/1/delete")

    assert "are only there and cannot be called any more" in asked
    assert parts.catalog.servers() == ()
    assert len(parts.catalog.models()) == kept


def test_a_refresh_that_fails_is_told(admin: Visitor, parts: Services, dead_url: str) -> None:
    parts.servers.create({"url": dead_url, "name": "away"}, ACTOR)
    admin.post("/admin/servers/refresh")
    page = admin.get("/admin/servers").text

    assert "away: Nothing listens" in page


def model_id(parts: Services, name: str) -> int:
    return next(model.id for model in parts.catalog.models() if model.name == name)


def test_it_is_explained_which_server_a_call_would_get(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    with FakeOllama() as second:
        parts.servers.create({"url": second.url, "name": "attic", "weight": 3}, ACTOR)
        parts.refresher.refresh()
        wanted = model_id(parts, "llama3.2:latest")
        page = admin.get(f"/admin/servers?model={wanted}").text
        parts.servers.update(2, {"draining": True}, ACTOR)
        alone = admin.get(f"/admin/servers?model={wanted}&num_ctx=4096").text
        parts.servers.update(1, {"enabled": False}, ACTOR)
        parts.servers.update(2, {"draining": False}, ACTOR)
        parts.scheduler.on_probe_success(
            list(parts.scheduler.servers.values())[1],
            datetime.now(UTC),
            {wanted_name(): in_memory()},
            1.0,
            "1",
        )
        loaded = admin.get(f"/admin/servers?model={wanted}").text

    assert "A request would go to “attic”: of 2 equally good matches" in page
    assert "A request would go to “workstation”: it is the best match." in alone
    assert "It takes no new requests; 0 requests still running." in alone
    assert "Loaded, a slot is free" in loaded
    assert "32,768" in loaded


def wanted_name() -> str:
    return "llama3.2:latest"


def in_memory() -> Loaded:
    return Loaded(wanted_name(), 1 << 30, 1 << 30, 32_768)


@pytest.mark.usefixtures("served")
def test_a_question_about_no_model_is_no_error(admin: Visitor) -> None:
    for query in ("model=0", "model=x", "model=999999", "num_ctx=-1", "num_ctx=x"):
        page = admin.get(f"/admin/servers?{query}")

        assert page.status_code == 200, query
        assert "A request would" not in page.text, query


def test_buttons_of_a_server_have_an_icon_each(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    """What is drained pauses, what is disabled is crossed out, as on every page."""
    page = admin.get("/admin/servers").text
    buttons = dict(re.findall(r'#([a-z-]+)"/></svg>\s*<span>(\w+)</span>', page))

    assert buttons["pause-fill"] == "Drain"
    assert buttons["slash-circle"] == "Disable"
