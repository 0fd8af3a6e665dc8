"""The OpenAPI document as a gateway serves it."""

from __future__ import annotations

import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from werkzeug.test import TestResponse

from gateway import create_app, lifecycle
from gateway.config import Secret, Settings
from gateway.web.context import of
from tests.support.database import migrated


@cache
def document() -> dict[str, Any]:
    """Return the document of a gateway without servers."""
    with tempfile.TemporaryDirectory() as folder:
        url = migrated(Path(folder))
        secret = Secret("x" * 32)
        app = create_app(Settings(data_dir=Path(folder), database_url=url, session_secret=secret))
        found: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
        parts = of(app)
        lifecycle.end(parts)
        parts.keyring.versions.stop()
        parts.store.database.close()
    return found


def check_answer(method: str, path: str, answer: TestResponse) -> None:
    """Raise unless an answer is what the document says of its operation."""
    whole = document()
    for template, item in whole["paths"].items():
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        if not re.fullmatch(pattern, path.partition("?")[0]) or method.lower() not in item:
            continue
        if "{" in template and path.partition("?")[0] in whole["paths"]:
            continue
        responses = item[method.lower()]["responses"]
        content = responses[str(answer.status_code)]["content"]
        schema = content.get(answer.mimetype, {}).get("schema")
        assert schema is not None, (method, path, answer.status_code, answer.mimetype)
        if answer.mimetype == "application/json":
            schema = {**schema, "components": whole["components"]}
            jsonschema.validate(answer.get_json(), schema)
        return
