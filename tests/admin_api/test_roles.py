"""Models for roles by the admin API: set, refused, shown when ignored, taken along."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.core.admin import CLI
from gateway.store import catalog
from gateway.web.context import Services
from tests.admin_api.conftest import Call

NO_MODEL = "'{}' names a model that does not exist."
NOT_ALLOWED = "'{}' names a model that this key may not use."


@pytest.fixture(autouse=True)
def models(parts: Services) -> list[int]:
    """Two models that no server lists yet."""
    names = ("qwen3:32b", "qwen3:4b")
    return [parts.store.write(catalog.ensure, name, datetime.now(UTC))[0] for name in names]


def test_a_role_is_set_changed_and_cleared(call: Call) -> None:
    made = call("POST", "/keys", {"name": "agent", "opus_model": "QWEN3:32b"}).get_json()
    path = f"/keys/{made['id']}"
    call("PATCH", path, {"haiku_model": "qwen3:4b"})
    both = call("GET", path).get_json()
    cleared = call("PATCH", path, {"opus_model": ""}).get_json()

    assert (made["opus_model"], both["opus_model"]) == ("qwen3:32b", "qwen3:32b")
    assert both["haiku_model"] == "qwen3:4b"
    assert cleared["opus_model"] == ""
    assert both["ignored_roles"] == ["opus", "haiku"]  # no server has them now


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"opus_model": "gone:1"}, NO_MODEL),
    ({"sonnet_model": "qwen3:*"}, NO_MODEL),
    ({"sub_agent_model": "qwen3:4b", "allow": ["qwen3:32b"]}, NOT_ALLOWED),
]


@pytest.mark.parametrize(("fields", "sentence"), REFUSED)
def test_a_role_without_a_model_it_may_use_is_refused(
    call: Call, parts: Services, fields: dict[str, Any], sentence: str
) -> None:
    role = next(iter(fields))
    key, _ = parts.keys.issue({"name": "agent"}, CLI)
    made = call("POST", "/keys", {"name": "other", **fields})
    changed = call("PATCH", f"/keys/{key.id}", fields)

    for answer in (made, changed):
        assert answer.status_code == 400
        assert answer.get_json()["error"]["param"] == role
        assert answer.get_json()["error"]["message"] == sentence.format(role)
    assert parts.keys.get(key.id) == key


def test_an_import_says_which_role_of_which_key_is_wrong(call: Call, parts: Services) -> None:
    key, _ = parts.keys.issue({"name": "agent", "opus_model": "qwen3:4b"}, CLI)
    document = call("GET", "/config").get_json()
    document["keys"][0]["opus_model"] = "gone:1"
    answer = call("POST", "/config", document)

    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == "keys[0].opus_model"
    assert parts.keys.get(key.id).opus_model == "qwen3:4b"


def test_roles_go_along_with_an_export_and_with_a_rotation(call: Call, parts: Services) -> None:
    key, _ = parts.keys.issue({"name": "agent", "opus_model": "qwen3:4b"}, CLI)
    rotated, _ = parts.keys.rotate(key.id, 1, CLI)
    document = call("GET", "/config?digests=true").get_json()
    for one in (rotated, key):
        parts.keys.delete(one.id, CLI)
    answer = call("POST", "/config", document)

    assert rotated.opus_model == "qwen3:4b"
    assert answer.status_code == 200, answer.text
    assert [one.opus_model for one in parts.keys.search()] == ["qwen3:4b"] * 2


def test_what_became_of_a_model_does_not_hold_up_other_changes(call: Call, parts: Services) -> None:
    key, _ = parts.keys.issue({"name": "agent", "opus_model": "qwen3:4b"}, CLI)
    narrowed = call("PATCH", f"/keys/{key.id}", {"allow": ["qwen3:32b"]})
    renamed = call("PATCH", f"/keys/{key.id}", {"name": "new", "opus_model": "qwen3:4b"})

    assert (narrowed.status_code, renamed.status_code) == (200, 200)
    assert renamed.get_json()["ignored_roles"] == ["opus"]
