"""Several real workers before one server: its slots hold, whichever worker the calls came to, and
all of them are answered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import requests

from fake_ollama import FakeOllama, Script
from tests.support.process import Gateway, until
from tests.support.servers import running_redis

pytestmark = [pytest.mark.process, pytest.mark.services, pytest.mark.timeout(300)]

MODEL = "llama3.2"
WAIT_S = 30.0


class Site:
    """A gateway of several workers, and the administrator's view of it."""

    def __init__(self, gateway: Gateway, ollama: FakeOllama) -> None:
        self._gateway, self._url, token = gateway, gateway.url, gateway.issue_token()
        self._headers = {"Authorization": f"Bearer {token}"}
        self.ollama = ollama
        self.begin()
        (found,) = self.ask("GET", "/servers")["data"]
        self._server = f"/servers/{found['id']}"
        models = self.ask("GET", "/models")["data"]
        self._model = next(one["id"] for one in models if one["name"].startswith(MODEL))

    def errors(self) -> str:
        """Return what the gateway logged as an error."""
        return "".join(line for line in self._gateway.log if "ERROR" in line)

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
            method, f"{self._url}/api/admin/v1{path}", json=body, headers=self._headers, timeout=30
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

    def chat(self, key: str, text: str) -> int:
        """Ask on a connection of its own: some worker takes it."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": text}]}
        return requests.post(
            f"{self._url}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {key}", "Connection": "close"},
            timeout=60,
        ).status_code


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One gateway of three workers."""
    folder = tmp_path_factory.mktemp("shared")
    with FakeOllama() as ollama, running_redis() as redis:
        env = {"REDIS_URL": redis.url}
        with Gateway(folder, ollama_url=ollama.url, workers=3, env=env, issue_key=False) as started:
            yield Site(started, ollama)


@pytest.fixture
def site(gateways: Site) -> Site:
    gateways.begin()
    return gateways


def test_never_more_calls_reach_ollama_than_it_has_slots(site: Site) -> None:
    site.allow(3)
    key = site.issue("busy")

    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(lambda n: site.chat(key, str(n)), range(80)))

    assert set(codes) == {200}, site.errors()
    assert site.most == 3


def test_calls_that_wait_are_counted_over_all_workers_and_answered(site: Site) -> None:
    site.allow(1)
    flood, modest, urgent = (
        site.issue("flood"),
        site.issue("modest"),
        site.issue("urgent", "interactive"),
    )
    calls: list[Future[int]] = []
    with ThreadPoolExecutor(64) as pool, site.ollama.hold(MODEL, at=0) as gate:
        calls.append(pool.submit(site.chat, flood, "flood"))
        gate.wait_reached(WAIT_S)
        calls += [pool.submit(site.chat, flood, "flood") for _ in range(40)]
        until(lambda: site.waiting() == 40, "the flood")
        calls += [pool.submit(site.chat, modest, "modest") for _ in range(3)]
        calls.append(pool.submit(site.chat, urgent, "urgent"))
        until(lambda: site.waiting() == 44, "the other calls")
        assert len(site.ollama.calls("/api/chat")) == 1
        gate.release()
        codes = {call.result(WAIT_S) for call in calls}

    assert codes == {200}
    assert site.most == 1
