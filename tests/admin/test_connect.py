"""Connect an app: what is shown, what its test says, and what is wrong with pasted things."""

from __future__ import annotations

import re
from html import unescape

import pytest

from fake_ollama import FakeOllama, Script, status
from gateway.core.requests import Filter
from gateway.policy.clients.kit import KIT
from gateway.store.usage import request_queries
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, Visitor

SCOPES = ["models", "chat", "completions", "embeddings", "responses", "messages", "load"]


@pytest.fixture
def key(parts: Services, served: FakeOllama) -> int:
    """A key that may use everything."""
    return parts.keys.issue({"name": "one", "scopes": SCOPES}, ACTOR)[0].id


def lines(page: str) -> list[str]:
    """Return the words of each line of a result."""
    found = re.findall(r'<li class="list-group-item.*?</li>', page, re.S)
    return [" ".join(unescape(re.sub(r"<svg.*?</svg>|<[^>]+>", " ", one)).split()) for one in found]


def tried(admin: Visitor, key: int, app: str, model: str) -> list[str]:
    """Test an app; give its lines."""
    answer = admin.post("/admin/connect/test", {"key": key, "app": app, "model": model})
    assert answer.status_code == 200
    return lines(answer.text)


def checked(admin: Visitor, key: int, app: str, **pasted: str) -> list[str]:
    """Check what was pasted; give its lines."""
    fields = {"key": key, "app": app, "model": "qwen3:8b", **pasted}
    return lines(admin.post("/admin/connect/check", fields).text)


def test_every_app_of_the_kit_works_with_a_model_that_can_all(admin: Visitor, key: int) -> None:
    for app, client in KIT.items():
        found = tried(admin, key, app, "qwen3:8b")

        assert len(found) == len(client.steps), app
        assert all(line.startswith("Works") for line in found), (app, found)


def test_every_app_that_needs_tools_says_that_they_are_missing(admin: Visitor, key: int) -> None:
    for app, client in KIT.items():
        found = tried(admin, key, app, "gemma3:4b")
        failed = [line for line in found if not line.startswith("Works")]

        assert len(failed) == ("tools" in client.steps), (app, found)
        assert all("does not support tools. Choose a model" in line for line in failed), failed


def test_a_test_is_recorded_as_the_keys_own(admin: Visitor, parts: Services, key: int) -> None:
    tried(admin, key, "claude", "qwen3:8b")
    parts.usage.start()
    parts.usage.flush(5)
    parts.usage.stop()
    calls = parts.store.read(request_queries.page, Filter(key_id=key))

    assert {call.client_app for call in calls} == {"connect test"}
    assert [call.endpoint for call in calls] == ["messages"] * 3


def test_what_a_key_may_not_do_is_named_with_its_page(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    narrow = parts.keys.issue({"name": "narrow", "scopes": ["chat"]}, ACTOR)[0].id
    listed, streamed = tried(admin, narrow, "openwebui", "qwen3:8b")

    assert "may not use" in listed
    assert "Endpoints of narrow" in listed
    assert streamed.startswith("Works Streams: yes, first token after")


def test_a_revoked_key_is_not_tried(admin: Visitor, parts: Services, key: int) -> None:
    parts.keys.revoke([key], ACTOR)

    assert tried(admin, key, "python", "qwen3:8b") == [
        "Does not work Key: This API key was revoked."
    ]


def test_steps_after_a_broken_server_are_not_tried(
    admin: Visitor, key: int, served: FakeOllama
) -> None:
    served.script("qwen3:8b", *[Script(fault=status(500, {"error": "no such thing"}))] * 3)
    first, second = tried(admin, key, "opencode", "qwen3:8b")

    assert first.startswith("Does not work")
    assert second.startswith("Not tried")


def test_the_page_shows_what_is_missing_before_it_is_tried(
    admin: Visitor, parts: Services, key: int
) -> None:
    model = next(one for one in parts.catalog.models() if one.name == "gemma3:4b")
    parts.models.update(model.id, {"override": {"num_ctx": 4096}}, ACTOR)
    page = admin.get(f"/admin/connect?key={key}&app=claude&model=gemma3:4b").text

    assert "gemma3:4b has no tools, but Claude Code needs them" in page
    assert "needs a context window of 65,536 tokens, gemma3:4b has 4,096" in page
    assert "works on this machine only" in page
    assert "ANTHROPIC_BASE_URL=http://localhost" in page


ADDRESSES = [
    ("python", "http://localhost", "The address lacks /v1: use http://localhost/v1."),
    ("claude", "http://localhost/v1", "Claude Code adds /v1 by itself: use http://localhost."),
    ("python", "localhost/v1", "An address begins with http:// or https://"),
    ("python", "http://other:3000/v1", "This is another host than this gateway"),
    ("python", "https://localhost/v1", "This gateway is reached by http://"),
    ("python", "http://localhost/v2", "The path of the address is wrong"),
    ("python", "http://localhost/v1/", "works on this machine only"),
    ("python", "http://[", "This is no address"),
]


@pytest.mark.parametrize(("client", "address", "words"), ADDRESSES)
def test_a_wrong_address_is_explained(
    admin: Visitor, key: int, client: str, address: str, words: str
) -> None:
    (line,) = checked(admin, key, client, address=address)

    assert words in line


def test_a_wrong_key_is_explained_and_never_shown(
    admin: Visitor, parts: Services, key: int
) -> None:
    _app, secret = parts.keys.issue({"name": "app", "allow": ["gemma3*"]}, ACTOR)
    _free, free = parts.keys.issue({"name": "free"}, ACTOR)
    gone, revoked = parts.keys.issue({"name": "gone"}, ACTOR)
    off, disabled = parts.keys.issue({"name": "off"}, ACTOR)
    parts.keys.revoke([gone.id], ACTOR)
    parts.keys.enable([off.id], False, ACTOR)
    expected = {
        f"Bearer {free}": "The key “free” works.",
        secret: "may not use the model 'qwen3:8b'",
        revoked: "This key was revoked on",
        disabled: "This key is disabled",
        free[:-1]: "A character of this key is missing or wrong",
        "sk-other": "This key is not known here",
        "o2a-admin-x": "This is an admin token",
    }
    for pasted, words in expected.items():
        fields = {"key": key, "app": "python", "model": "qwen3:8b", "secret": pasted}
        page = admin.post("/admin/connect/check", fields).text

        assert words in lines(page)[0], words
        assert pasted not in page


def test_without_a_key_the_page_leads_to_one(untouched: Visitor) -> None:
    page = untouched.get("/admin/connect").text

    assert "No working key yet" in page
    assert untouched.post("/admin/connect/check", {"secret": "x"}).status_code == 200
