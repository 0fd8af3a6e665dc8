"""Attacks that gateways of this kind have fallen for: SQL in headers, a forged host, and addresses
of an upstream that a caller names."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from fake_ollama import FakeOllama
from tests.integration.conftest import Caller, Operator
from tests.support.asking import ENDPOINTS, asked

pytestmark = pytest.mark.process

SQL = [
    "' OR 1=1 --",
    "'; DROP TABLE api_key; --",
    "sk-o2a-' UNION SELECT digest FROM api_key --",
    "1) OR pg_sleep(60) --",
    "%' OR '1'='1",
]
NAMES = [
    "Authorization", "X-Api-Key", "Api-Key", "X-Forwarded-For", "User-Agent", "X-Request-Id",
    "X-Client-Request-Id", "Anthropic-Version", "Anthropic-Beta", "OpenAI-Organization", "Origin",
    "OpenAI-Project", "Cookie", "Accept-Language", "Referer", "Traceparent", "Idempotency-Key",
]  # fmt: skip


@pytest.mark.parametrize("text", SQL, ids=range(len(SQL)))
def test_sql_in_a_header_is_a_text(
    caller: Caller, operator: Operator, ollama: FakeOllama, text: str
) -> None:
    before = operator.call("GET", "/keys?limit=1000")["data"]
    endpoint = ENDPOINTS["chat"]
    known = {
        name: caller.post(endpoint.path, endpoint.body, {name: text}).status
        for name in NAMES
        if name != "Authorization"
    }
    wrong = [
        caller.post(endpoint.path, endpoint.body, {"Authorization": "", name: f"{lead}{text}"})
        for name, lead in (("Authorization", "Bearer "), ("X-Api-Key", ""), ("Api-Key", ""))
    ]
    after = operator.call("GET", "/keys?limit=1000")["data"]

    assert known == dict.fromkeys(known, 200)
    assert [reply.status for reply in wrong] == [401] * 3
    assert not [reply for reply in wrong if text in reply.body.decode()]
    assert [key["id"] for key in after] == [key["id"] for key in before]


HOSTS = [
    "evil.example", "evil.example?x=", "evil.example#", "evil.example/..", "user@evil.example",
    "localhost@evil.example", "evil.example\\@localhost", "evil.example:80:90", "[::1]evil.example",
]  # fmt: skip
PLACES = ["/", "/admin", "/admin/", "/admin/keys", "/auth/login", "/auth/login?next=/admin/keys",
          "/openapi.json", "/v1/models", "/api/admin/v1/keys", "/v1/models/"]  # fmt: skip


@pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host", "Forwarded"])
@pytest.mark.parametrize("host", HOSTS)
def test_a_forged_host_is_in_no_redirect_and_no_page(caller: Caller, name: str, host: str) -> None:
    value = f"host={host};proto=http" if name == "Forwarded" else host
    replies = {
        place: caller.ask("GET", place, {name: value, "Accept": "text/html"}) for place in PLACES
    }

    assert {place for place, reply in replies.items() if reply.status >= 500} == set()
    told = {
        place
        for place, reply in replies.items()
        if "evil" in reply.headers.get("location", "") or b"evil" in reply.body
    }
    assert told == set()


@pytest.fixture
def canary() -> Iterator[socket.socket]:
    """A port of the attacker; nobody may connect to it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


FIELDS = [
    "api_base", "base_url", "api_url", "endpoint", "host", "url", "proxy", "proxy_url", "server",
    "server_url", "upstream", "azure_endpoint", "custom_llm_provider", "callback_url", "webhook",
]  # fmt: skip


def _nested(address: str) -> dict[str, object]:
    fields: dict[str, object] = dict.fromkeys(FIELDS, address)
    return {
        **fields,
        "litellm_params": fields,
        "extra_body": {**fields, "extra_body": fields},
        "extra_headers": {"X-Api-Base": address, "Host": address},
        "metadata": {"base_url": address, "api_base": address},
        "options": {"base_url": address, "host": address},
        "user_config": {"model_list": [{"litellm_params": fields}]},
    }


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_upstream_that_a_caller_names_is_never_asked(
    caller: Caller, ollama: FakeOllama, canary: socket.socket, name: str
) -> None:
    address = f"http://127.0.0.1:{canary.getsockname()[1]}/canary"
    headers = dict.fromkeys(("X-Api-Base", "X-Base-Url", "X-Upstream", "X-Forwarded-Host"), address)
    endpoint = ENDPOINTS[name]
    reply = caller.post(endpoint.path, {**_nested(address), **endpoint.body}, headers)
    one_by_one = [
        caller.post(endpoint.path, {field: value, **endpoint.body}, headers).status
        for field, value in _nested(address).items()
    ]

    assert {reply.status, *one_by_one} <= {200, 400}
    sent = [{**one.json, "options": None} for one in asked(ollama)]  # unknown options pass as data
    assert "canary" not in json.dumps(sent)
    with pytest.raises(BlockingIOError):
        canary.accept()
