"""Every route has a guard that is stated, and holds when nobody signs in."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from gateway import create_app
from gateway.config import Settings
from gateway.web.context import of
from tests.support.database import prepare

OPEN = {
    "api.front_door": "says that it runs",
    "api.healthz": "says that it runs",
    "api.readyz": "says whether it can serve",
    "api.openapi_document": "the public contract",
    "reference.chapter": "the public contract, as pages",
    "auth.login": "where one signs in",
    "static": "style sheets and scripts",
    "bootstrap.static": "style sheets and scripts",
}
"""What answers anybody, and why. A new entry needs a reason."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    folder = tmp_path_factory.mktemp("routes")
    environ = {"DATA_DIR": str(folder), "ADMIN_PASSWORD": "correct horse battery",
               "LOG_LEVEL": "error"}  # fmt: skip
    settings = Settings.load(environ, None)
    prepare(settings)
    made = create_app(settings)
    yield made
    of(made).store.database.close()


def _calls(app: Flask) -> Iterator[tuple[Rule, str, str]]:
    """Give every rule with each of its methods and an address that fits it."""
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:(\w+)[^:<>]*:)?[^<>]+>", lambda m: "1" if m[1] else "x", rule.rule)
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            yield rule, method, path


def _ask(app: Flask, method: str, path: str) -> TestResponse:
    return app.test_client().open(
        path,
        method=method,
        json={} if method != "GET" else None,
        environ_base={"REMOTE_ADDR": "203.0.113.9"},
    )


def _guard(rule: Rule) -> str:
    return rule.endpoint.split(".")[0]


def test_the_open_routes_exist_and_are_few(app: Flask) -> None:
    known = {rule.endpoint for rule in app.url_map.iter_rules()}

    assert set(OPEN) <= known


def test_a_route_of_the_api_needs_a_key(app: Flask) -> None:
    for rule, method, path in _calls(app):
        if _guard(rule) == "api" and rule.endpoint not in {*OPEN, "api.metrics"}:
            answer = _ask(app, method, path)

            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_metrics_are_for_this_machine(app: Flask) -> None:
    assert _ask(app, "GET", "/metrics").status_code == 403
    assert app.test_client().get("/metrics").status_code == 200


def test_a_route_of_the_admin_api_needs_a_token(app: Flask) -> None:
    for rule, method, path in _calls(app):
        if _guard(rule) == "admin_api":
            answer = _ask(app, method, path)

            assert answer.status_code == 401, (method, path)
            assert b"o2a-admin" in answer.data or method == "HEAD"


def test_a_page_needs_a_session(app: Flask) -> None:
    for rule, method, path in _calls(app):
        if _guard(rule) in {"admin", "auth"} and rule.endpoint not in OPEN:
            answer = _ask(app, method, path)

            assert answer.status_code in {302, 303, 400, 401, 403}, (method, path)
            if answer.status_code in {302, 303}:
                assert "/auth/login" in answer.headers["Location"], (method, path)


def test_every_route_belongs_to_a_guard(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        assert rule.endpoint in OPEN or _guard(rule) in {"api", "admin_api", "admin", "auth"}


@pytest.mark.parametrize("endpoint", OPEN)
def test_what_is_open_only_reads(app: Flask, endpoint: str) -> None:
    changing = {
        method
        for rule in app.url_map.iter_rules()
        if rule.endpoint == endpoint
        for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    }

    assert not changing or endpoint.startswith("auth.")


def test_no_route_is_registered_twice(app: Flask) -> None:
    seen = [(rule.rule, method) for rule, method, _ in _calls(app)]

    assert len(seen) == len(set(seen))
