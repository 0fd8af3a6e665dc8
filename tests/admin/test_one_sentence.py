"""The same wrong value is refused with the same sentence by REST and the command line.

A form says it below the field, without its name.
"""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest

from gateway.core.admin import CLI
from gateway.web.context import of
from tests.admin.conftest import Visitor
from tests.admin.test_keys import PLAIN

WRONG = [
    ("name", " ", ()),
    ("name", "x" * 201, ()),
    ("concurrent", -1, ("--concurrent", "-1")),
    ("requests_per_minute", 2**31, ("--requests-per-minute", str(2**31))),
    ("cidrs", ["nowhere"], ("--cidrs", "nowhere")),
    ("deny", ["x" * 257], ("--deny", "x" * 257)),
    ("zone", "Mars/Olympus", ("--zone", "Mars/Olympus")),
    ("owner", "x" * 201, ("--owner", "x" * 201)),
    ("tags", ["x" * 65], ("--tags", "x" * 65)),
    ("notes", "x" * 10_001, ("--notes", "x" * 10_001)),
]


@pytest.mark.parametrize(("field", "value", "options"), WRONG)
def test_a_wrong_field_has_one_sentence(
    untouched: Visitor, field: str, value: Any, options: tuple[str, ...]
) -> None:
    app, parts = untouched.app, of(untouched.app)
    _, token = parts.admins.tokens.issue("of a test", "admin", CLI)
    refused = app.test_client().post(
        "/api/admin/v1/keys",
        json={"name": "k", field: value},
        headers={"Authorization": f"Bearer {token}"},
    )
    sentence = refused.get_json()["error"]["message"]
    name = str(value) if field == "name" else "k"
    printed = app.test_cli_runner().invoke(args=["key", "create", *options, "--", name])
    typed = value[0] if isinstance(value, list) else str(value)
    page = untouched.post("/admin/keys/new", PLAIN | {field: typed})

    problem = sentence.partition("' ")[2]

    assert (refused.status_code, refused.get_json()["error"]["param"][:4]) == (400, field[:4])
    assert printed.stderr == f"Error: {sentence}\n"
    assert problem[1:] in unescape(page.text)
    assert sentence not in unescape(page.text)
    assert parts.keys.search() == []
