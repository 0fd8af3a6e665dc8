"""Requests without a key that do not come from a client at its address (D62)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.core.admin import SYSTEM
from tests.api.homes import INSIDE, OUTSIDE, Home

SITES: dict[str, tuple[dict[str, str], int]] = {
    "a program": ({}, 200),
    "a page of the gateway": ({"Host": "gateway:3000", "Origin": "http://gateway:3000"}, 200),
    "the same, by fetch metadata": ({"Sec-Fetch-Site": "same-origin"}, 200),
    "an address typed in": ({"Sec-Fetch-Site": "none"}, 200),
    "another site": ({"Host": "gateway:3000", "Origin": "https://evil.example"}, 401),
    "another port": ({"Host": "gateway:3000", "Origin": "http://gateway:8080"}, 401),
    "a name that ends alike": ({"Host": "gateway:3000", "Origin": "http://a.gateway:3000"}, 401),
    "a page without an origin": ({"Origin": "null"}, 401),
    "no origin at all": ({"Origin": "http://["}, 401),
    "an empty one": ({"Origin": ""}, 401),
    "an image on another site": ({"Sec-Fetch-Site": "cross-site"}, 401),
    "both": ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 401),
    "a lie about the site": ({"Origin": "http://evil.example", "Sec-Fetch-Site": "none"}, 401),
}


@pytest.mark.parametrize(("headers", "status"), SITES.values(), ids=SITES)
def test_pages_of_other_sites_are_refused(
    open_home: Home, headers: dict[str, str], status: int
) -> None:
    answer = open_home.send("/v1/models", INSIDE, **headers)

    assert answer.status_code == status


HOSTS = {
    "an address": ("192.168.1.5:3000", 200),
    "an address of IPv6": ("[fd00::5]:3000", 200),
    "this machine": ("localhost:3000", 200),
    "a name of one label": ("gateway", 200),
    "a name of the public DNS": ("evil.example:3000", 401),
    "a name in brackets": ("[evil.example]:3000", 401),
    "half an address": ("192.168.1:3000", 401),
    "a name of one label with a dot": ("evil.", 401),
}


@pytest.mark.parametrize(("host", "status"), HOSTS.values(), ids=HOSTS)
def test_a_name_that_anybody_could_lead_here_is_refused(
    open_home: Home, host: str, status: int
) -> None:
    answer = open_home.send("/v1/models", INSIDE, Host=host, Origin=f"http://{host}")

    assert answer.status_code == status


def test_a_name_of_trusted_hosts_is_let_in(guarded: Callable[..., Home]) -> None:
    home = guarded(TRUSTED_HOSTS="ai.example.org")

    assert home.status(Host="ai.example.org", Origin="https://ai.example.org") == 200
    assert home.status(Host="ai.example.org", Origin="https://evil.example") == 401
    assert home.status(Host="evil.example") == 400


@pytest.mark.parametrize(
    ("setting", "status"),
    [("*", 401), ("https://other.example", 401), ("https://chat.example.org", 200)],
)
def test_an_origin_that_is_named_is_let_in(
    guarded: Callable[..., Home], setting: str, status: int
) -> None:
    home = guarded()
    home.parts.settings.update({"cors_allow_origins": setting}, SYSTEM)
    site = {"Origin": "https://chat.example.org", "Sec-Fetch-Site": "cross-site"}

    assert home.status(**site) == status
    assert home.status(Host="evil.example", **site) == 401


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-Ip"])
def test_a_proxy_nobody_told_of_speaks_for_nobody(open_home: Home, header: str) -> None:
    assert open_home.status(**{header: INSIDE}) == 401


def test_behind_a_trusted_proxy_the_address_of_the_client_counts(
    guarded: Callable[..., Home],
) -> None:
    home = guarded(TRUSTED_PROXIES="1")
    proxy = "203.0.113.1"

    assert home.status(proxy, X_Forwarded_For=INSIDE) == 200
    assert home.status(proxy, X_Forwarded_For=f"{INSIDE}, {OUTSIDE}") == 401
    assert home.status(INSIDE, X_Forwarded_For=OUTSIDE) == 401


def test_why_a_page_was_refused_stands_in_the_log_only(
    open_home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "gateway.api.auth"):
        answer = open_home.send("/v1/models", INSIDE, Origin="https://evil.example")

    assert "cors_allow_origins does not name" in caplog.text
    assert "evil.example" not in caplog.text
    assert answer.get_json()["error"]["code"] == "missing_api_key"
