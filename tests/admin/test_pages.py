"""Every page: with nothing, with a month of calls, in both languages, in few questions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, event

from fake_ollama import FakeOllama
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, Visitor
from tests.browser.sample import fill
from tests.support.process import ROOT

NOW = datetime.now(UTC)
PAGES = (
    "/admin/",
    "/admin/playground",
    "/admin/models",
    "/admin/models/1",
    "/admin/models/1/names",
    "/admin/models/1/parameters",
    "/admin/models/1/usage",
    "/admin/models/1/copy",
    "/admin/models/1/delete",
    "/admin/keys",
    "/admin/keys?search=bot&state=active&sort=tokens",
    "/admin/keys/new",
    "/admin/keys/1",
    "/admin/keys/1/edit",
    "/admin/keys/1/rotate",
    "/admin/keys/1/revoke",
    "/admin/keys/1/delete",
    "/admin/connect",
    "/admin/connect?app=claude",
    "/admin/usage",
    "/admin/usage?metric=first_token&group=model&range=30d&compare=1",
    "/admin/usage?metric=error_rate&group=key&range=365d",
    "/admin/usage?metric=queue&group=none&range=24h",
    "/admin/requests",
    "/admin/requests?status=failed&range=30d&features=tools&min_ms=100",
    "/admin/requests/req_00000000000000000000000000000001",
    "/admin/servers",
    "/admin/servers?model=1&num_ctx=4096",
    "/admin/servers/new",
    "/admin/servers/1",
    "/admin/servers/1/delete",
    "/admin/settings",
    "/admin/settings/api",
    "/admin/settings/privacy",
    "/admin/settings/limits",
    "/admin/settings/security",
    "/admin/settings/security/two-factor",
    "/admin/settings/security/admins/new",
    "/admin/settings/security/tokens/new",
    "/admin/settings/observability",
    "/admin/settings/audit",
    "/admin/settings/backup",
    "/admin/settings/about",
    "/admin/welcome",
    "/admin/welcome?step=connect",
    "/admin/welcome?step=models",
    "/admin/welcome?step=key",
)
EMPTY = tuple(path for path in PAGES[1:] if "/1" not in path and "req_" not in path)
MOST_QUERIES = 16
SPRITE = ROOT / "static" / "vendor" / "icons" / "icons.svg"


@contextmanager
def counted(parts: Services) -> Iterator[list[str]]:
    """Collect the statements of a page, whoever asks."""
    seen: list[str] = []

    def note(conn: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("path", EMPTY)
def test_a_page_without_anything_has_its_next_step(untouched: Visitor, path: str) -> None:
    answer = untouched.get(path)

    assert answer.status_code == 200
    assert 'href="/admin/' in answer.text


def test_every_page_opens_in_both_languages_and_asks_the_store_a_bounded_number_of_times(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    fill(parts, NOW, calls=300)
    statuses = {}
    for language in ("zh", "en"):
        admin.post("/auth/preferences", {"language": language})
        statuses |= {(language, path): admin.get(path).status_code for path in PAGES}
    counts, icons = {}, set()
    for path in PAGES:
        with counted(parts) as statements:
            page = admin.get(path)
        counts[path] = len(statements)
        icons |= set(re.findall(r"icons\.svg[^#\"]*#([a-z0-9-]+)", page.text))
    sprite = set(re.findall(r'<symbol id="([^"]+)"', SPRITE.read_text()))

    assert len(icons) > 50
    assert icons <= sprite
    assert {page for page, status in statuses.items() if status != 200} == set()
    assert {path: count for path, count in counts.items() if count > MOST_QUERIES} == {}


def test_more_keys_need_no_more_questions(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    counts = []
    for _round in range(2):
        fill(parts, NOW, calls=20) if not counts else None
        for number in range(15):
            parts.keys.issue({"name": f"key {len(counts)} {number}"}, ACTOR)
        admin.get("/admin/keys")
        with counted(parts) as statements:
            admin.get("/admin/keys")
            admin.get("/admin/models")
        counts.append(len(statements))

    assert counts[0] == counts[1]


GONE = (
    "/admin/keys/999",
    "/admin/keys/999/edit",
    "/admin/models/999",
    "/admin/models/999/parameters",
    "/admin/servers/999",
    "/admin/requests/req_nothing",
    "/admin/settings/nothing",
    "/admin/settings/security/admins/999/password",
    "/admin/nothing",
    "/admin/keys/99999999999999999999999",
    "/admin/usage/export.exe",
)


@pytest.mark.parametrize("path", GONE)
def test_what_is_gone_gets_a_friendly_page(untouched: Visitor, path: str) -> None:
    answer = untouched.get(path)

    assert answer.status_code == 404
    assert "Page not found" in answer.text
    assert 'href="/admin/"' in answer.text


ODD = (
    "/admin/requests?after=99999999999999999-1&status=abc&min_ms=nan&key_id=-1&since=x&until=2030-13-99",
    "/admin/requests?after=x&features=%00&request_id=%27%22&server_id=99999999999999999999999999",
    "/admin/requests?since=0001-01-01&until=9999-12-31",
    "/admin/usage?metric=x&group=x&step=minute&range=x&since=0001-01-01&until=9999-12-31",
    "/admin/usage?endpoint=x&_external=1&_scheme=javascript&_anchor=y&_method=POST&kind=z",
    "/admin/requests?endpoint=x&_external=1&_scheme=javascript&_anchor=y&values=z",
    "/admin/usage?since=2030-01-01&until=2020-01-01&step=hour",
    "/admin/keys?sort=column;drop&offset=-5&search=%25_%5C",
    "/admin/keys?offset=1000000000&state=%3Cx%3E",
    "/admin/settings/audit?before=-1&object_kind=%27&action=%25",
    "/admin/models?pull=%3Cscript%3E",
    "/admin/keys/new?name=%3Cb%3E",
)


def test_an_odd_address_gives_a_page_all_the_same(admin: Visitor, parts: Services) -> None:
    fill(parts, NOW, calls=20)
    answers = {path: admin.get(path) for path in ODD}

    assert {path for path, answer in answers.items() if answer.status_code != 200} == set()
    assert {path for path, answer in answers.items() if "javascript:" in answer.text} == set()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "a" * 200, "[::1]"])
def test_a_foreign_host_header_changes_no_decision(app, host: str) -> None:  # type: ignore[no-untyped-def]  # a fixture
    answer = app.test_client().get("/admin/keys", headers={"Host": host})

    is_to_login = answer.headers.get("Location", "").startswith("/auth/login")

    assert (answer.status_code, is_to_login) in {(303, True), (400, False)}
