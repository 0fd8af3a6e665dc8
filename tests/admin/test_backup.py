"""Taking the configuration along, bringing one in after a look, and what uploads may not do."""

from __future__ import annotations

import io
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask

from gateway.config import Settings
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, PASSWORD, Visitor, account


def upload(admin: Visitor, **files: str | bytes) -> Any:
    """Send files to be looked at; names have __ for the dot."""
    sent = [
        (io.BytesIO(text.encode() if isinstance(text, str) else text), name.replace("__", "."))
        for name, text in files.items()
    ]
    return admin.post(
        "/admin/settings/backup/import", {"files": sent}, content_type="multipart/form-data"
    )


def take_all(admin: Visitor, address: str) -> Any:
    """Import everything that the preview shows."""
    places = re.findall(r'name="take"\s+value="([^"]+)"', admin.get(address).text)
    return admin.post(address, {"take": places})


@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_an_export_has_everything_but_secrets(admin: Visitor, parts: Services, kind: str) -> None:
    _, secret = parts.keys.issue({"name": "one"}, ACTOR)
    answer = admin.get(f"/admin/settings/backup/configuration.{kind}")
    document = yaml.safe_load(answer.text)

    assert document["keys"][0]["name"] == "one"
    assert set(document) >= {"settings", "servers", "models", "keys"}
    assert "digest" not in answer.text
    assert secret not in answer.text


def test_an_exported_key_works_where_it_is_imported_with_its_fingerprint(
    admin: Visitor, parts: Services
) -> None:
    key, secret = parts.keys.issue({"name": "one"}, ACTOR)
    text = admin.get("/admin/settings/backup/configuration.yaml?digests=1").text
    parts.keys.delete(key.id, ACTOR)
    answer = upload(admin, config__yaml=text)
    take_all(admin, answer.headers["Location"])

    assert parts.keyring.find(secret).name == "one"


def test_fingerprints_are_not_given_to_viewers(app: Flask, parts: Services) -> None:
    account(parts, "vera", "viewer")
    parts.keys.issue({"name": "one"}, ACTOR)
    vera = Visitor(app)
    vera.login("vera", PASSWORD)

    assert "digest" not in vera.get("/admin/settings/backup/configuration.yaml?digests=1").text


def test_an_import_is_looked_at_before_it_is_done(admin: Visitor, parts: Services) -> None:
    document = {"product": "ollama2openai", "version": 1, "settings": {"max_images": 3}}
    answer = upload(admin, new__json=json.dumps(document))
    plan = admin.get(answer.headers["Location"]).text
    before = parts.settings.behaviour().max_images
    take_all(admin, answer.headers["Location"])
    again = admin.get(answer.headers["Location"])

    assert "max_images" in plan
    assert before == 100
    assert parts.settings.behaviour().max_images == 3
    assert again.status_code == 404


def test_the_node_products_files_are_taken_over(admin: Visitor, parts: Services) -> None:
    old = "sk-old-0123456789abcdef0123456789abcdef"
    keys = [{"id": "1", "name": "from before", "key": old, "allowedModels": ["*"]}]
    answer = upload(admin, api_keys__json=json.dumps(keys))
    plan = admin.get(answer.headers["Location"]).text
    take_all(admin, answer.headers["Location"])

    assert "from before" in plan
    assert old not in plan
    assert parts.keyring.find(old).name == "from before"


MODELS: dict[str, Any] = {
    "product": "ollama2openai",
    "version": 1,
    "settings": {"max_images": 3, "max_tools": 7},
    "servers": [{"name": "attic", "url": "http://192.168.1.9:11434"}],
    "models": [
        {"name": "one", "display_name": "First", "fallbacks": ["two"]},
        {"name": "two", "enabled": False},
    ],
}


def test_a_preview_names_things_and_shows_what_is_new(admin: Visitor) -> None:
    answer = upload(admin, new__json=json.dumps(MODELS))
    page = admin.get(answer.headers["Location"]).text
    values = [" ".join(part.split()) for part in re.findall(r">([^<>]+)<", page)]

    assert page.count('name="take"') == 5
    assert {
        "attic",
        "http://192.168.1.9:11434",
        "First",
        "two:latest",
        "Max images in a request",
    } <= {*values}
    assert not re.search(r"\[\d+\]", "".join(values))


def test_only_what_is_ticked_is_imported(admin: Visitor, parts: Services) -> None:
    address = upload(admin, new__json=json.dumps(MODELS)).headers["Location"]
    answer = admin.post(address, {"take": ["settings.max_tools", "models[1]"]})
    page = admin.get(answer.headers["Location"]).text

    assert "2 items imported." in page
    assert parts.settings.behaviour().max_tools == 7
    assert parts.settings.behaviour().max_images == 100
    assert parts.catalog.servers() == ()
    assert [model.name for model in parts.catalog.models()] == ["two:latest"]


CHOICES = [
    ([], "Choose at least one item."),
    (["models[7]"], "look at the items again"),
    (["settings.max_tools", "models[0]"], "there is no model &#39;two&#39;"),
]


@pytest.mark.parametrize(("places", "words"), CHOICES)
def test_a_choice_that_cannot_be_imported_changes_nothing(
    admin: Visitor, parts: Services, places: list[str], words: str
) -> None:
    before = parts.settings.behaviour()
    address = upload(admin, new__json=json.dumps(MODELS)).headers["Location"]
    page = admin.post(address, {"take": places}).text
    ticked = re.findall(r'value="([^"]+)" checked', page)

    assert words in page
    assert ticked == [place for place in places if place != "models[7]"]
    assert parts.settings.behaviour() == before
    assert parts.catalog.models() == ()


BROKEN = [
    ("half.json", '{"settings": {"max_im'),
    ("wrong.yaml", "settings: {max_images: many}"),
    ("list.json", "[1, 2, 3]"),
    ("binary.yaml", b"\xff\xfe\x00\x01"),
    ("bomb.yaml", "a: &a [x, x]\nb: &b [*a, *a]\nc: !!python/object/apply:os.system ['true']"),
    ("api_keys.json", '{"not": "a list"}'),
    ("empty.yaml", ""),
]


@pytest.mark.parametrize(("name", "text"), BROKEN, ids=[case[0] for case in BROKEN])
def test_a_broken_file_changes_nothing(
    admin: Visitor, parts: Services, name: str, text: str | bytes
) -> None:
    before = parts.settings.behaviour()
    answer = upload(admin, **{name.replace(".", "__"): text})
    field = answer.text.partition('id="files"')[2].partition("files-help")[2].partition("</div>")[0]

    assert answer.status_code == 200
    assert "invalid-feedback" in field
    assert list((parts.config.data_dir / "imports").iterdir()) == []
    assert parts.settings.behaviour() == before
    assert parts.keys.search() == []


@pytest.mark.parametrize("token", ["x", "a" * 43, ".." + "a" * 41, "%2e%2e%2f" + "a" * 34])
def test_a_guessed_upload_is_not_there(admin: Visitor, token: str) -> None:
    answer = admin.get(f"/admin/settings/backup/import/{token}")

    assert answer.status_code == 404


def test_a_file_name_cannot_leave_its_folder(admin: Visitor, app: Flask, parts: Services) -> None:
    keys = json.dumps([{"name": "old", "key": "sk-old-0123456789abcdef"}]).encode()
    sent = [(io.BytesIO(keys), "../../../api_keys.json"), (io.BytesIO(b"{}"), "../../evil.json")]
    admin.post("/admin/settings/backup/import", {"files": sent}, content_type="multipart/form-data")
    kept = list(parts.config.data_dir.rglob("*.json"))

    assert [path.name for path in kept] == ["api_keys.json"]
    assert kept[0].parent.parent == parts.config.data_dir / "imports"
    assert not (parts.config.data_dir.parent / "evil.json").exists()


def test_a_backup_is_a_whole_database(admin: Visitor, parts: Services, tmp_path: Path) -> None:
    parts.keys.issue({"name": "one"}, ACTOR)
    answer = admin.post("/admin/settings/backup/everything")
    file = tmp_path / "copy.db"
    file.write_bytes(answer.data)
    answer.close()
    with sqlite3.connect(file) as copy:
        names = [row[0] for row in copy.execute("SELECT name FROM api_key")]
    copy.close()

    assert names == ["one"]
    assert "attachment" in answer.headers["Content-Disposition"]
    assert list(parts.config.data_dir.glob("backup-*")) == []
    assert "downloaded a full backup" in admin.get("/admin/settings/audit").text


def test_only_owners_take_the_whole_store(app: Flask, parts: Services) -> None:
    account(parts, "ada", "admin")
    ada = Visitor(app)
    ada.login("ada", PASSWORD)

    assert ada.post("/admin/settings/backup/everything").status_code == 403


SIZES = [
    ("/auth/login", 70_000),
    ("/admin/settings/backup/import", 70_000),
    ("/admin/keys/new", 70_000),
]


@pytest.mark.parametrize(("path", "size"), SIZES)
def test_a_stranger_cannot_upload_much(visitor: Visitor, path: str, size: int) -> None:
    visitor.get("/auth/login")
    sent = {"file": (io.BytesIO(b"x" * size), "x.bin")}
    answer = visitor.post(path, sent, content_type="multipart/form-data")

    assert answer.status_code == 413


def test_a_form_of_an_owner_is_bounded_too(admin: Visitor) -> None:
    answer = admin.client.post(
        "/admin/keys/new",
        data=b"x" * (5 << 20),
        content_type="multipart/form-data; boundary=x",
        headers={"X-CSRFToken": admin.token},
    )

    assert answer.status_code == 413


def test_with_postgresql_the_page_names_its_own_programs(
    admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings, "uses_sqlite", property(lambda _: False))
    page = admin.get("/admin/settings/backup").text

    assert "pg_dump --format=custom" in page
    assert "/settings/backup/everything" not in page


def test_the_page_shows_what_the_schedule_made_and_gives_it_to_owners(
    admin: Visitor, parts: Services
) -> None:
    made = parts.backups.make()
    assert made is not None
    page = admin.get("/admin/settings/backup").text
    given = admin.post(f"/admin/settings/backup/scheduled/{made.name}")
    missing = admin.post("/admin/settings/backup/scheduled/gateway-20200101-000000.db")
    start = given.data[:15]
    given.close()

    assert made.name in page
    assert start == b"SQLite format 3"
    assert missing.status_code == 404
