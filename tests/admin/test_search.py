"""The search of the console: what it finds, for whom, and how much of it."""

from __future__ import annotations

import re

from flask import Flask

from fake_ollama import FakeOllama
from gateway.admin import search
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, Visitor, account
from tests.admin.test_requests import write


def found(visitor: Visitor, text: str) -> list[tuple[str, str, str]]:
    """Return kind, title and address of what is found."""
    piece = visitor.get("/admin/search/hits", query_string={"q": text}).text
    words = [re.findall(r"<span[^>]*>(.*?)</span>", hit) for hit in piece.split("<a")[1:]]
    urls = re.findall(r'href="([^"]*)"\s*>', piece)
    return [(kind, title, url) for (title, _hint, kind), url in zip(words, urls, strict=True)]


def test_keys_models_requests_and_pages_are_found(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    key, secret = parts.keys.issue({"name": "Lama farm"}, ACTOR)
    call = write(parts, 0xABC)
    model = next(one for one in parts.catalog.models() if one.display_name == "llama3.2")
    parts.models.update(model.id, {"aliases": {"gpt-4o": {}}}, ACTOR)

    assert ("Key", "Lama farm", f"/admin/keys/{key.id}") in found(admin, "lama")
    assert ("Model", "llama3.2", f"/admin/models/{model.id}") in found(admin, "LAMA")
    assert ("Model", "llama3.2", f"/admin/models/{model.id}") in found(admin, "gpt-4")
    assert ("Key", "Lama farm", f"/admin/keys/{key.id}") in found(admin, secret[-4:])
    assert found(admin, call) == [("Request", call, f"/admin/requests/{call}")]
    assert found(admin, call[:34]) == [("Request", call, f"/admin/requests/{call}")]
    assert ("Page", "Audit log", "/admin/settings/audit") in found(admin, "audit")
    assert found(admin, "%_") == []


def test_every_page_it_names_opens(admin: Visitor, served: FakeOllama) -> None:
    statuses = {url: admin.get(url).status_code for _kind, _title, url in found(admin, "")}

    assert len(statuses) > 15
    assert set(statuses.values()) == {200}


def test_a_viewer_finds_what_a_viewer_may_open(app: Flask, parts: Services) -> None:
    parts.keys.issue({"name": "new one"}, ACTOR)
    account(parts, "guest", "viewer")
    viewer = Visitor(app)
    viewer.login("guest")

    assert [title for _kind, title, _url in found(viewer, "new")] == ["new one"]


def test_a_stranger_finds_nothing(visitor: Visitor) -> None:
    assert visitor.get("/admin/search/hits?q=a").status_code == 303
    assert visitor.get("/admin/search?q=a").status_code == 303


def test_it_is_a_page_without_scripts(admin: Visitor, parts: Services) -> None:
    parts.keys.issue({"name": "<b>Bold</b>"}, ACTOR)
    page = admin.get("/admin/search?q=bold").text

    assert "&lt;b&gt;Bold&lt;/b&gt;" in page
    assert 'value="bold"' in page
    assert "Nothing found" in admin.get("/admin/search?q=no+such+thing").text
    assert 'action="/admin/search"' in admin.get("/admin/keys").text


def test_of_many_a_few_are_found(admin: Visitor, parts: Services) -> None:
    for number in range(20):
        parts.keys.issue({"name": f"key {number}"}, ACTOR)

    assert len([one for one in found(admin, "key ") if one[0] == "Key"]) == search.OF_EACH
