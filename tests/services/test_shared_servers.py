"""Several real workers before one server: its slots hold, whichever worker the calls came to, and
all of them are answered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests

from fake_ollama import FakeOllama, Script
from tests.support.process import Gateway, until
from tests.support.servers import Postgres, running_redis

pytestmark = [pytest.mark.process, pytest.mark.services, pytest.mark.timeout(300)]

MODEL = "llama3.2"
WAIT_S = 30.0


class Site:
    """Gateways that serve the same keys, and the administrator's view of them."""

    def __init__(self, urls: list[str], token: str, ollama: FakeOllama) -> None:
        self._urls = urls
        self._headers = {"Authorization": f"Bearer {token}"}
        self.ollama = ollama
        self.begin()
        (found,) = self.ask("GET", "/servers")["data"]
        self._server = f"/servers/{found['id']}"
        models = self.ask("GET", "/models")["data"]
        self._model = next(one["id"] for one in models if one["name"].startswith(MODEL))

    def begin(self) -> None:
        """Forget what Ollama was asked."""
        self.most = 0
        self.ollama.reset()
        self.ollama.script(MODEL, self._count)

    def _count(self, body: dict) -> Script:
        """Count the calls that are in Ollama when one begins there."""
        now = [one for one in self.ollama.calls("/api/chat") if not one.over]
        self.most = max(self.most, len(now))
        return Script(content="Well.", delay_s=0.01)

    def ask(self, method: str, path: str, body: object = None) -> dict:
        response = requests.request(
            method,
            f"{self._urls[0]}/api/admin/v1{path}",
            json=body,
            headers=self._headers,
            timeout=30,
        )
        assert response.ok, response.text
        return response.json()

    def allow(self, slots: int) -> None:
        """Tell all workers how many slots the server has."""
        self.ask("PATCH", self._server, {"slots": slots})
        time.sleep(1.0)  # the stated bound: every worker knows

    def issue(self, name: str, priority: str = "normal") -> str:
        secret: str = self.ask("POST", "/keys", {"name": name, "priority": priority})["secret"]
        return secret

    def waiting(self) -> int:
        waiting: int = self.ask("GET", f"/models/{self._model}/routes")["waiting"]
        return waiting

    def chat(self, number: int, key: str, text: str) -> int:
        """Ask on a connection of its own: some worker takes it."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": text}]}
        return requests.post(
            f"{self._urls[number % len(self._urls)]}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {key}", "Connection": "close"},
            timeout=60,
        ).status_code


@pytest.fixture(
    scope="module", params=["workers", pytest.param("instances", marks=pytest.mark.slow)]
)
def gateways(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("shared")
    with ExitStack() as stack:
        ollama = stack.enter_context(FakeOllama())
        redis = stack.enter_context(running_redis())
        env = {"REDIS_URL": redis.url, "SESSION_SECRET": "s" * 32}
        workers = {"a": 3}
        if request.param == "instances":
            postgres: Postgres = request.getfixturevalue("postgres")
            env["DATABASE_URL"] = postgres.url()
            workers = {"a": 2, "b": 2}
        started = [
            stack.enter_context(
                Gateway(
                    folder / name,
                    ollama_url=ollama.url,
                    workers=number,
                    env=env,
                    issue_key=False,
                )
            )
            for name, number in workers.items()
        ]
        yield Site([one.url for one in started], started[0].issue_token(), ollama)


@pytest.fixture
def site(gateways: Site) -> Site:
    gateways.begin()
    return gateways


@pytest.mark.parametrize("slots", [1, 3])
def test_never_more_calls_reach_ollama_than_it_has_slots(site: Site, slots: int) -> None:
    site.allow(slots)
    key = site.issue("busy")

    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(lambda n: site.chat(n, key, str(n)), range(80)))

    assert set(codes) == {200}
    assert site.most == slots


def test_calls_that_wait_are_counted_over_all_workers_and_answered(site: Site) -> None:
    site.allow(1)
    flood, modest, urgent = (
        site.issue("flood"),
        site.issue("modest"),
        site.issue("urgent", "interactive"),
    )
    calls: list[Future[int]] = []
    with ThreadPoolExecutor(64) as pool, site.ollama.hold(MODEL, at=0) as gate:
        calls.append(pool.submit(site.chat, 0, flood, "flood"))
        gate.wait_reached(WAIT_S)
        calls += [pool.submit(site.chat, n, flood, "flood") for n in range(40)]
        until(lambda: site.waiting() == 40, "the flood")
        calls += [pool.submit(site.chat, n, modest, "modest") for n in range(3)]
        calls.append(pool.submit(site.chat, 1, urgent, "urgent"))
        until(lambda: site.waiting() == 44, "the other calls")
        assert len(site.ollama.calls("/api/chat")) == 1
        gate.release()
        codes = {call.result(WAIT_S) for call in calls}

    assert codes == {200}
    assert site.most == 1
