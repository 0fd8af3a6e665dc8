"""Every form keeps what was typed and says below the field what is wrong, in both languages."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fake_ollama import FakeOllama
from tests.admin.conftest import ACTOR, PASSWORD, Visitor
from tests.admin.test_keys import PLAIN

LONG = "x" * 300
KEPT: list[tuple[str, dict[str, Any], str]] = [
    ("/admin/keys/new", PLAIN | {"owner": LONG}, "owner"),
    ("/admin/keys/1/edit", PLAIN | {"name": LONG}, "name"),
    ("/admin/servers/new", {"url": "ftp://nowhere", "name": "attic"}, "url"),
    ("/admin/servers/1", {"url": "http://127.0.0.1:1", "name": LONG}, "name"),
    ("/admin/models/1/names", {"display_name": LONG}, "display_name"),
    ("/admin/models/1/parameters", {"override": '{"temperature": "hot"}'}, "override"),
    ("/admin/models/1/copy", {"destination": LONG}, "destination"),
    ("/admin/keys/1/delete", {"typed": "another name"}, "typed"),
    ("/admin/settings/general", {"public_url": "nowhere"}, "public_url"),
    ("/admin/settings/api", {"request_timeout_ms": "-7"}, "request_timeout_ms"),
    ("/admin/settings/privacy", {"usage_max_rows": "5"}, "usage_max_rows"),
    ("/admin/settings/limits", {"max_images": "-7"}, "max_images"),
    (
        "/admin/settings/security/admins/new",
        {"username": "not a name", "role": "viewer", "password": PASSWORD},
        "username",
    ),
    ("/admin/settings/security/tokens/new", {"name": LONG, "role": "viewer"}, "name"),
]
NOT_A_CHOICE = [
    ("/admin/settings/api", {"stop_mode": "sometimes"}, "stop_mode"),
    ("/admin/settings/security/tokens/new", {"name": "ci", "role": "king"}, "role"),
]
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def below(page: str, name: str) -> tuple[str, str]:
    """Return a field as it is shown and what stands below it as wrong."""
    found = re.search(rf'<(?:input|select|textarea)\b[^>]*\bname="{name}"', page)
    rest = page[found.start() :] if found else ""
    element, _, after = rest.partition("invalid-feedback")
    return element, after.partition(">")[2].partition("<")[0]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_wrong_value_is_kept_and_explained_below_its_field(
    admin: Visitor, served: FakeOllama, parts: Any, language: str
) -> None:
    parts.keys.issue({"name": "one"}, ACTOR)
    admin.post("/auth/preferences", {"language": language})
    wrong = {}
    for path, data, name in [*KEPT, *NOT_A_CHOICE]:
        element, words = below(admin.post(path, data).text, name)
        typed = data[name].replace('"', "&#34;")
        is_kept = typed in element or (path, data, name) in NOT_A_CHOICE
        is_said = bool(words) and bool(CHINESE.search(words)) == (language == "zh")
        if not (is_kept and is_said and len(element) < 5_000):
            wrong[path, name] = (is_kept, words, len(element))

    assert wrong == {}
