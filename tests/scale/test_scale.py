"""Four gateways are one: limits, revocation, a death among them, and an upgrade at full traffic."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import requests

from fake_ollama import FakeOllama
from gateway import services
from gateway.core.admin import SYSTEM
from tests.scale.callers import Callers, call
from tests.scale.site import Site

pytestmark = [pytest.mark.slow, pytest.mark.process, pytest.mark.services, pytest.mark.timeout(600)]

WAIT_S = 60.0


@pytest.fixture(scope="module")
def ollama() -> Iterator[FakeOllama]:
    with FakeOllama(token_delay_s=(0.001, 0.004)) as server:
        yield server


@pytest.fixture(scope="module")
def site(ollama: FakeOllama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), ollama.url) as running:
        running.command("model", "refresh")
        yield running


def told(what: str) -> None:
    """Say a figure, for whoever runs this with -s."""
    sys.stdout.write(f"\n  {what}\n")


def until(claim: Callable[[], bool], what: str) -> float:
    """Wait until a claim holds; give how long that took, in seconds."""
    start_s = time.monotonic()
    while not claim():
        assert time.monotonic() - start_s < WAIT_S, f"not within {WAIT_S} s: {what}"
        threading.Event().wait(0.01)
    return time.monotonic() - start_s


def issue(site: Site, name: str, **limits: object) -> str:
    """Make a key; give its secret."""
    parts = services.make(site.settings())
    try:
        return parts.keys.issue({"name": name, "allow": ["*"], **limits}, SYSTEM)[1]
    finally:
        parts.store.database.close()


def query(site: Site, text: str, *values: object) -> list[tuple[object, ...]]:
    """Ask the database of the site."""
    with psycopg.connect(site.environ["DATABASE_URL"]) as connection:
        return connection.execute(text, values).fetchall()


def at_all(site: Site, key: str) -> list[int]:
    """Ask every gateway itself whether it knows a key; give the statuses."""
    headers = {"Authorization": f"Bearer {key}"}
    return [
        requests.get(f"{node.url}/v1/models", headers=headers, timeout=30).status_code
        for node in site.nodes
    ]


def test_a_key_is_known_everywhere_at_once(site: Site) -> None:
    key = issue(site, "everywhere")

    assert at_all(site, key) == [200] * len(site.nodes)


def test_the_limit_of_a_key_holds_across_all_gateways(site: Site) -> None:
    key = issue(site, "limited", requests_per_minute=24)
    start_s = time.monotonic()
    with ThreadPoolExecutor(12) as pool:
        urls = [site.nodes[number % len(site.nodes)].url for number in range(72)]
        results = list(pool.map(lambda url: call(url, key, stream=False)[0], urls))
    took_s = time.monotonic() - start_s
    refused = [result for result in results if result.startswith("429")]

    told(f"limit 24 a minute, 72 calls over 4 gateways: {results.count('')} answered")
    # The window slides: what it lets through beyond the limit is what has slid out meanwhile.
    assert 24 <= results.count("") <= 24 + 24 * took_s / 60
    assert len(refused) == 72 - results.count("")


def test_a_budget_of_a_key_holds_across_all_gateways(site: Site) -> None:
    budget = {"metric": "requests", "period": "total", "limit": 10}
    key = issue(site, "budgeted", budgets=[budget])
    with ThreadPoolExecutor(12) as pool:
        urls = [site.nodes[number % len(site.nodes)].url for number in range(40)]
        results = list(pool.map(lambda url: call(url, key, stream=True)[0], urls))

    assert results.count("") == 10
    # while the others run, what they hold may still come back; then it is used up for good
    words = ("insufficient_quota", "rate_limit_exceeded")
    assert sum(any(word in result for word in words) for result in results) == 30
    until(lambda: "insufficient_quota" in call(urls[0], key, stream=True)[0], "the end")


def test_a_revoked_key_is_refused_everywhere_within_a_second(site: Site) -> None:
    secret = issue(site, "revoked soon")
    parts = services.make(site.settings())
    try:
        assert at_all(site, secret) == [200] * len(site.nodes)
        ids = query(site, "SELECT id FROM api_key WHERE name = %s", "revoked soon")
        parts.keys.revoke([int(str(ids[0][0]))], SYSTEM)
        took_s = until(
            lambda: at_all(site, secret) == [401] * len(site.nodes), "refused everywhere"
        )
    finally:
        parts.store.database.close()

    told(f"a revoked key was refused by all after {took_s:.2f} s")
    assert took_s < 1.0


def test_a_revoked_key_ends_its_running_calls(site: Site, ollama: FakeOllama) -> None:
    secret = issue(site, "revoked in mid-stream")
    body = {"model": "tinyllama", "messages": [{"role": "user", "content": "x"}], "stream": True}
    with (
        ollama.hold("tinyllama", at=2) as gate,
        requests.post(
            f"{site.nodes[1].url}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {secret}"},
            stream=True,
            timeout=60,
        ) as answer,
    ):
        gate.wait_reached()
        ids = query(site, "SELECT id FROM api_key WHERE name = %s", "revoked in mid-stream")
        site.command("key", "revoke", str(ids[0][0]))
        text = answer.text

    assert '"error"' in text
    assert "[DONE]" not in text


def test_a_gateway_that_dies_loses_nothing_but_its_own_streams(
    site: Site, ollama: FakeOllama
) -> None:
    key = issue(site, "survivor")
    victim = site.nodes[3]
    body = {"model": "tinyllama", "messages": [{"role": "user", "content": "x"}], "stream": True}
    headers = {"Authorization": f"Bearer {key}"}
    with ollama.hold("tinyllama", at=2) as gate:
        cut = requests.post(
            f"{victim.url}/v1/chat/completions", json=body, headers=headers, stream=True, timeout=60
        )
        gate.wait_reached()
        lost_id = cut.headers["x-request-id"]
        until(
            lambda: bool(query(site, "SELECT 1 FROM request_log WHERE request_id = %s", lost_id)),
            "the admission is stored",
        )
        with Callers(site.url, key) as callers:
            callers.wait_for(12)
            victim.kill()
            callers.wait_for(30)
        cut.close()
    outcome = callers.outcome
    settled = (
        "SELECT finish, status FROM request_log WHERE request_id = %s AND settled_at IS NOT NULL"
    )
    took_s = until(lambda: bool(query(site, settled, lost_id)), "the lost call is settled")
    until(lambda: _settled(site, outcome.ids) == len(set(outcome.ids)), "all are settled")
    victim.launch()
    victim.wait_ready()

    told(f"a killed gateway: {outcome.good} other calls, {len(outcome.bad)} failed")
    told(f"its own open call was settled by the others after {took_s:.1f} s")
    assert query(site, settled, lost_id) == [("worker_lost", 500)]
    assert outcome.good >= 42
    # Whole calls are repeated by nginx; streams that had begun there cannot be.
    assert outcome.bad_whole == []
    assert len(outcome.bad) <= callers.streams


def test_a_rolling_restart_fails_no_call(site: Site) -> None:
    key = issue(site, "roller")
    with Callers(site.url, key) as callers:
        callers.wait_for(12)
        codes = []
        for node in site.nodes:
            codes.append(node.stop())
            node.launch()
            node.wait_ready()
            callers.wait_for(12)
    outcome = callers.outcome

    told(f"a rolling restart of 4: {outcome.good} calls answered, {len(outcome.bad)} failed")
    assert outcome.bad == []
    assert codes == [0] * len(site.nodes)


def test_what_the_keys_used_is_the_sum_of_their_calls(site: Site) -> None:
    until(
        lambda: query(site, "SELECT count(*) FROM request_log WHERE settled_at IS NULL") == [(0,)],
        "everything is settled",
    )
    columns = "coalesce(sum(prompt_tokens + completion_tokens), 0)"
    rows = query(site, f"SELECT {columns}, count(*) FROM request_log")

    for table in ("usage_hour", "usage_day"):
        assert query(site, f"SELECT {columns}, sum(requests) FROM {table}") == rows


def _settled(site: Site, ids: list[str]) -> int:
    query_ = (
        "SELECT count(*) FROM request_log WHERE request_id = ANY(%s) AND settled_at IS NOT NULL"
    )
    return int(str(query(site, query_, ids)[0][0]))
