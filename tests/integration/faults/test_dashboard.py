"""What the dashboard shows of every worker: seen and ended from any of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import requests

from fake_ollama import Script
from tests.integration.faults.conftest import PATIENT, QUICK
from tests.integration.faults.site import RawCaller, Site, caller
from tests.support.process import ADMIN_PASSWORD, until

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

AT_ONCE = 8
_TOKEN = re.compile(r'name="csrf-token" content="([^"]+)"')


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("dashboard"), workers=2, **{**QUICK, **PATIENT}) as site:
        yield site


@pytest.fixture
def console(two_workers: Site) -> Iterator[requests.Session]:
    """A browser that is signed in; each request is a connection of its own, to any worker."""
    url = two_workers.gateway.url
    with requests.Session() as session:
        session.headers["Connection"] = "close"
        token = _TOKEN.search(session.get(f"{url}/auth/login", timeout=10).text)
        assert token is not None
        fields = {"csrf_token": token[1], "username": "admin", "password": ADMIN_PASSWORD}
        session.post(f"{url}/auth/login", data=fields, timeout=10)
        page = session.get(f"{url}/admin/", timeout=10)
        token = _TOKEN.search(page.text)
        assert token is not None, page.text[:500]
        session.headers["X-CSRFToken"] = token[1]
        yield session


def in_both(site: Site, stack: ExitStack) -> list[RawCaller]:
    """Let calls run until each worker has some."""
    found: list[RawCaller] = []

    def workers() -> set[str]:
        return {row.worker for row in site.rows() if row.settled_at is None}

    def is_spread() -> bool:
        if len(found) < 40 and len(workers()) < 2:
            found.extend(
                stack.enter_context(caller(site, stream=True)).send() for _ in range(AT_ONCE)
            )
        return len(workers()) == 2

    until(is_spread, "calls in both workers")
    return found


def test_calls_of_all_workers_are_shown_and_ended_from_any(
    two_workers: Site, console: requests.Session
):
    site, url = two_workers, two_workers.gateway.url
    site.change_servers(slots=4)
    site.ollama.script("tern", Script(content="Tide. " * 20, delay_s=0.05, endless=True))
    with ExitStack() as stack:
        running = in_both(site, stack)
        for _ in range(3):  # whichever worker is asked, it shows the calls of both
            page = until(
                lambda: found if shown(found := dashboard(console, url)) == len(running) else "",
                "every call on the page",
            )
        for path in re.findall(r'action="(/admin/dashboard/cancel/[^"]+)"', page):
            answer = console.post(url + path, timeout=10)
            assert answer.status_code == 200
        bodies = [found.read_until(b"cancelled") for found in running]
        until(lambda: site.open_calls() == 0, "the end of all calls")

    rows = site.rows()[-len(running) :]
    assert all(b"ended this call" in body for body in bodies)
    assert {row.error_code for row in rows} == {"cancelled"}
    assert len({row.worker for row in rows}) == 2
    site.ollama.wait_idle(10)


def dashboard(console: requests.Session, url: str) -> str:
    return console.get(f"{url}/admin/", timeout=10).text


def shown(page: str) -> int:
    return len(set(re.findall(r"/admin/dashboard/cancel/(req_[0-9a-f]+)", page)))
