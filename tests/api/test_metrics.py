"""Who may read /metrics, and that workers' counts are added up."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request as WerkzeugRequest

from fake_ollama import FakeOllama
from gateway.api.metrics import check
from gateway.config import Secret, Settings
from gateway.errors import Forbidden, GatewayError, Unauthenticated
from tests.support.process import Gateway

LOCAL, IPV6, AFAR = "127.0.0.1", "::1", "192.0.2.7"
TOKEN = Settings(metrics_token=Secret("hush"))
OPEN = Settings()
BEHIND = replace(OPEN, trusted_proxies=1)

CASES = {
    "from this machine": (OPEN, LOCAL, {}, None),
    "from this machine by IPv6": (OPEN, IPV6, {}, None),
    "from elsewhere": (OPEN, AFAR, {}, Forbidden),
    "from nowhere": (OPEN, "", {}, Forbidden),
    "an unknown proxy here": (OPEN, LOCAL, {"X-Forwarded-For": LOCAL}, Forbidden),
    "an unknown proxy, other header": (OPEN, LOCAL, {"X-Real-Ip": LOCAL}, Forbidden),
    "an unknown proxy, standard header": (OPEN, LOCAL, {"Forwarded": "for=::1"}, Forbidden),
    "a trusted proxy speaks for this machine": (BEHIND, LOCAL, {"X-Forwarded-For": LOCAL}, None),
    "a trusted proxy speaks for others": (BEHIND, AFAR, {"X-Forwarded-For": AFAR}, Forbidden),
    "the token": (TOKEN, AFAR, {"Authorization": "Bearer hush"}, None),
    "the token, other case": (TOKEN, AFAR, {"Authorization": "bearer  hush "}, None),
    "a wrong token": (TOKEN, AFAR, {"Authorization": "Bearer husk"}, Unauthenticated),
    "a wrong token from here": (TOKEN, LOCAL, {"Authorization": "Bearer x"}, Unauthenticated),
    "no token from here": (TOKEN, LOCAL, {}, Unauthenticated),
    "the token as a name": (TOKEN, LOCAL, {"Authorization": "Basic hush"}, Unauthenticated),
    "a token that is no ASCII": (TOKEN, LOCAL, {"Authorization": "Bearer ü"}, Unauthenticated),
}


def _outcome(settings: Settings, address: str, headers: dict[str, str]) -> type | None:
    environ = EnvironBuilder(headers=headers, environ_base={"REMOTE_ADDR": address}).get_environ()
    try:
        check(WerkzeugRequest(environ), settings)  # type: ignore[arg-type]
    except GatewayError as error:
        return type(error)
    return None


@pytest.mark.parametrize(("settings", "address", "headers", "expected"), CASES.values(), ids=CASES)
def test_who_may_read_the_metrics(
    settings: Settings, address: str, headers: dict[str, str], expected: type | None
) -> None:
    assert _outcome(settings, address, headers) is expected


def _sum(text: str, name: str) -> float:
    return sum(float(v) for v in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M))


@pytest.mark.process
def test_a_call_shows_up_with_its_tokens(live: Gateway, shared_ollama: FakeOllama) -> None:
    before = requests.get(f"{live.url}/metrics", timeout=20).text
    answer = requests.post(
        f"{live.url}/v1/chat/completions",
        headers={"Authorization": f"Bearer {live.key}"},
        json={"model": "llama3.2", "messages": [{"role": "user", "content": "Hello"}]},
        timeout=20,
    )
    after = requests.get(f"{live.url}/metrics", timeout=20).text

    assert answer.status_code == 200, answer.text
    assert _sum(after, "o2a_requests_total") == _sum(before, "o2a_requests_total") + 1
    spent = answer.json()["usage"]["total_tokens"]
    assert _sum(after, "o2a_tokens_total") == _sum(before, "o2a_tokens_total") + spent


@pytest.mark.process
def test_a_wrong_key_shows_up(live: Gateway) -> None:
    before = requests.get(f"{live.url}/metrics", timeout=20).text
    wrong = {"Authorization": "Bearer sk-nobody-has-this-one"}
    answer = requests.get(f"{live.url}/v1/models", headers=wrong, timeout=20)
    after = requests.get(f"{live.url}/metrics", timeout=20).text

    assert answer.status_code == 401
    for series in ("o2a_requests_total", "o2a_errors_total"):
        assert _sum(after, series) == _sum(before, series) + 1


@pytest.mark.process
def test_every_worker_gives_the_counts_of_all(ollama: FakeOllama, tmp_path: Path) -> None:
    shared = tmp_path / "metrics"
    shared.mkdir()
    env = {"PROMETHEUS_MULTIPROC_DIR": str(shared)}
    with Gateway(tmp_path / "data", ollama_url=ollama.url, workers=2, env=env) as gateway:
        for _ in range(12):
            answer = requests.post(
                f"{gateway.url}/v1/embeddings",
                headers={"Authorization": f"Bearer {gateway.key}", "Connection": "close"},
                json={"model": "nomic-embed-text", "input": "one"},
                timeout=20,
            )
            assert answer.status_code == 200, answer.text
        texts = [
            requests.get(f"{gateway.url}/metrics", headers={"Connection": "close"}, timeout=20).text
            for _ in range(6)
        ]

    assert {_sum(text, "o2a_requests_total") for text in texts} == {12.0}
