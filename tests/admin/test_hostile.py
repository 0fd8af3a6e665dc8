"""Each hostile text in each place that keeps text, over every page: all of it stays text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar
from urllib.parse import quote

import pytest

from fake_ollama import FakeOllama
from gateway.core.usage import GROUPS
from gateway.web.context import Services
from tests.admin import hostile
from tests.admin.conftest import ACTOR, Visitor
from tests.admin.hostile import PAYLOADS, alive, request_id
from tests.admin.test_live import drawn
from tests.admin.test_pages import PAGES
from tests.soak import times

A, B = TypeVar("A"), TypeVar("B")
OF_A_KEY = ("", "/edit", "/rotate", "/revoke", "/delete")
OF_A_MODEL = ("", "/names", "/parameters", "/usage", "/copy", "/delete")
ASKED = (
    "/admin/requests?model_id={}&client_app={}&request_id={}&since={}&finish={}",
    "/admin/requests?endpoint={}&status={}&features={}&after={}",
    "/admin/keys?search={}&state={}&sort={}",
    "/admin/keys/new?name={}",
    "/admin/models?pull={}",
    "/admin/servers/new?url={}",
    "/admin/playground?model={}",
    "/admin/usage?model_id={}&endpoint={}&client_app={}&status={}&range={}&group={}",
    "/admin/settings/audit?object_kind={}&action={}&actor={}",
    "/admin/welcome?step={}",
    "/auth/login?next={}",
    "/admin/{}",
)


@pytest.fixture
def full(parts: Services) -> Iterator[Services]:
    """A gateway where every text came from somebody hostile."""
    with FakeOllama(hostile.models()) as server:
        parts.servers.create({"url": server.url, "name": "one"}, ACTOR)
        parts.refresher.refresh()
        hostile.fill(parts)
        yield parts


def test_the_reader_sees_what_comes_alive() -> None:
    dead = {
        text
        for text in PAYLOADS[:30]
        if not alive(f"<p>{text}</p>") and not text.startswith(("<noscript", "<template"))
    }
    quotes = "\"'"
    inside = [t for t in PAYLOADS[30:36] if any(alive(f"<p title={q}{t}{q}>") for q in quotes)]

    assert dead == set()
    assert len(inside) >= 5
    assert alive('<script type="application/json">{"a": "</script><b>"}</script>')
    assert alive('<p title="&lt;script&gt;">&lt;img onerror=x&gt;</p><a href="/admin/">x</a>') == []


def _pairs(texts: Sequence[A], places: Sequence[B]) -> Iterator[tuple[A, B]]:
    """Return every place with a tenth of the texts; with SOAK=1 all pairs."""
    step = times(10, 1)
    for row, text in enumerate(texts):
        for column, place in enumerate(places):
            if (row + column) % step == 0:
                yield text, place


@pytest.mark.timeout(300)
def test_hostile_text_stays_text_on_every_page(admin: Visitor, full: Services) -> None:
    keys = [key.id for key in full.keys.search()]
    ids = [model.id for model in full.catalog.models()]
    paths = [
        *(path for path in PAGES if "req_" not in path),
        "/admin/keys?offset=50",
        "/admin/keys?sort=name&offset=50",
        *(f"/admin/usage?group={group}&range=24h" for group in GROUPS),
        *(f"/admin/keys/{id_}{part}" for id_, part in _pairs(keys, OF_A_KEY)),
        *(f"/admin/models/{id_}{part}" for id_, part in _pairs(ids, OF_A_MODEL)),
        *(f"/admin/requests/{request_id(number)}" for number in range(len(PAYLOADS))),
    ]
    broken, shown = {}, 0
    for path in paths:
        answer = admin.get(path)
        shown += "xss7" in answer.text
        if answer.status_code != 200 or (found := alive(answer.text)):
            broken[path] = (answer.status_code, found[:3])
    for name in ("tail", "errors", "jobs", "memory"):
        part = drawn(admin, name)
        html = part if isinstance(part, str) else "".join(part.values())
        if found := alive(html):
            broken[name] = (200, found[:3])

    assert len(keys) == len(ids) == len(PAYLOADS) >= 60
    assert broken == {}
    assert shown > 0.9 * len(paths) - len(PAGES)


@pytest.mark.timeout(300)
def test_hostile_text_in_an_address_stays_text(admin: Visitor) -> None:
    broken = {}
    for text, pattern in _pairs(PAYLOADS, ASKED):
        path = pattern.replace("{}", quote(text, safe=""))
        answer = admin.get(path)
        if answer.status_code not in {200, 303, 404} or (found := alive(answer.text)):
            broken[path] = (answer.status_code, found[:3])

    assert broken == {}
