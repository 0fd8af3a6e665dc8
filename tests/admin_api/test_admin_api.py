"""The administrators' REST API: guarded, described, and doing what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask

from gateway.core.admin import CLI, Role
from gateway.errors import InvalidRequest, Unauthenticated
from gateway.store import audit, catalog
from gateway.web.context import Services, of
from tests.admin_api.conftest import ROLES, Call
from tests.support.document import document
from tests.test_cli import record


def _routes(app: Flask) -> list[tuple[str, str]]:
    return sorted(
        (method, re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("admin_api.")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    )


def test_a_model_has_a_hundred_names_at_most_whichever_way_they_come(
    call: Call, parts: Services
) -> None:
    model_id, _ = parts.store.write(catalog.ensure, "llama3.2:latest", datetime.now(UTC))
    names = {f"name-{n}": {} for n in range(101)}
    document = {"models": [{"name": "llama3.2:latest", "aliases": names}]}
    answers = [
        call("PATCH", f"/models/{model_id}", {"aliases": names}),
        call("POST", "/config", document),
        call("PATCH", f"/models/{model_id}", {"aliases": {"x" * 201: {}}}),
    ]
    with pytest.raises(InvalidRequest, match="must hold at most 100 names"):
        parts.models.update(model_id, {"aliases": names}, CLI)

    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert "must hold at most 100 names" in answers[0].get_json()["error"]["message"]
    assert parts.catalog.model(model_id).aliases == ()


def test_every_route_is_in_the_openapi_document_and_nothing_else(app: Flask) -> None:
    described = sorted(
        (method.upper(), path)
        for path, item in document()["paths"].items()
        if path.startswith("/api/admin")
        for method in item
        if method != "parameters"
    )

    assert described == _routes(app)


@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param(lambda parts: "", id="nothing"),
        pytest.param(lambda parts: "Bearer o2a-admin-" + "A" * 49, id="wrong token"),
        pytest.param(
            lambda parts: "Bearer " + parts.keys.issue({"name": "k"}, CLI)[1], id="an API key"
        ),
        pytest.param(lambda parts: "Basic YWRtaW46YWRtaW4=", id="basic"),
    ],
)
def test_no_route_opens_without_an_admin_token(
    app: Flask, parts: Services, credentials: Callable[[Services], str]
) -> None:
    headers = {"Authorization": credentials(parts)}
    client = app.test_client()
    for method, path in _routes(app):
        url = re.sub(r"\{[^}]+\}", "1", path)
        response = client.open(url, method=method, headers=headers, json={})
        assert response.status_code == 401, (method, url)
        assert response.get_json()["error"]["code"].endswith("admin_token")


def test_roles_bound_what_a_token_may_do(app: Flask, call: Call) -> None:
    seen: dict[Role, set[str]] = {}
    for role in ROLES:
        seen[role] = {
            f"{method} {path.removeprefix('/api/admin/v1')}"
            for method, path in _routes(app)
            if call(
                method,
                re.sub(r"\{[^}]+\}", "999", path).removeprefix("/api/admin/v1"),
                None if method in {"GET", "DELETE"} else {"nonsense": 1},
                role=role,
            ).status_code
            != 403
        }

    owners_only = {name for name in seen["owner"] if re.search(r"/(accounts|tokens)", name)}
    assert seen["owner"] - seen["admin"] == owners_only
    assert {name.split()[0] for name in seen["viewer"]} == {"GET"}
    assert "GET /config" not in seen["viewer"]


def test_dashboards_are_reported_as_the_console_shows_them(call: Call, parts: Services) -> None:
    key, _ = parts.keys.issue(
        {"name": "ci", "budgets": [{"metric": "tokens", "period": "day", "limit": 100}]}, CLI
    )
    record(parts)
    board = call("GET", "/reports/dashboard", role="viewer").get_json()
    status = call("GET", f"/reports/keys/{key.id}", role="viewer").get_json()

    assert [one["name"] for one in board["figures"]] == [
        "requests", "tokens", "errors", "first_token", "speed", "queue",
    ]  # fmt: skip
    assert (board["figures"][0]["value"], len(board["figures"][0]["hours"])) == (3, 24)
    assert (board["keys"], board["models"], board["servers"]) == (1, 0, 0)
    assert (status["state"], status["sums"]["requests"]) == ("active", 3)
    assert status["budgets"][0]["budget"]["limit"] == 100
    assert call("GET", "/reports/keys/99").status_code == 404


def test_a_key_lives_from_issue_to_deletion(call: Call, parts: Services) -> None:
    made = call("POST", "/keys", {"name": "ci", "requests_per_minute": 9})
    secret, key_id = made.get_json()["secret"], made.get_json()["id"]
    shown = call("GET", f"/keys/{key_id}").get_json()
    changed = call("PATCH", f"/keys/{key_id}", {"name": "build", "enabled": False}).get_json()
    rotated = call("POST", f"/keys/{key_id}/rotate", {"grace_hours": 1})
    listed = call("GET", "/keys?search=build").get_json()
    revoked = call("POST", f"/keys/{key_id}/revoke").get_json()
    deleted = call("DELETE", f"/keys/{key_id}")

    assert (made.status_code, rotated.status_code, deleted.status_code) == (201, 201, 200)
    assert "secret" not in shown
    assert secret not in json.dumps(listed)
    assert (shown["state"], changed["state"], revoked["state"]) == ("active", "disabled", "revoked")
    assert (changed["name"], changed["requests_per_minute"]) == ("build", 9)
    assert listed["total"] == 2
    assert call("GET", f"/keys/{key_id}").status_code == 404
    with pytest.raises(Unauthenticated):
        parts.keyring.find(secret)


def test_a_key_is_marked_for_requests_without_one(call: Call, parts: Services) -> None:
    made = call("POST", "/keys", {"name": "home", "cidrs": ["10.0.0.0/8"], "anonymous": True})
    key_id = made.get_json()["id"]
    bare = call("PATCH", f"/keys/{key_id}", {"cidrs": []})
    served = parts.keyring.anonymous("10.0.0.1")
    changed = call("PATCH", f"/keys/{key_id}", {"anonymous": False}).get_json()
    (entry, *_) = parts.store.read(audit.page)

    assert (made.get_json()["anonymous"], changed["anonymous"]) == (True, False)
    assert (bare.status_code, bare.get_json()["error"]["param"]) == (400, "cidrs")
    assert served is not None
    assert served.id == key_id
    assert parts.keyring.anonymous("10.0.0.1") is None
    assert (entry.action, entry.before["anonymous"]) == ("key.update", True)


WRONG_KEYS: list[tuple[str, Any, str]] = [
    ("name", "", "name"),
    ("is_admin", True, "is_admin"),
    ("id", 5, "id"),
    ("allow", "*", "allow"),
    ("allow", [5], "allow[0]"),
    ("scopes", ["admin"], "scopes[0]"),
    ("concurrent", 1.5, "concurrent"),
    ("tokens_per_minute", True, "tokens_per_minute"),
    ("expires_at", "2001-01-01", "expires_at"),
    ("expires_at", "soon", "expires_at"),
    ("expires_at", "0001-01-01T00:00:00+14:00", "expires_at"),
    ("expires_at", "9999-12-31T23:59:59-14:00", "expires_at"),
    ("budgets", [{"metric": "tokens"}], "budgets[0]"),
    ("budgets", [{"metric": "gold", "period": "day", "limit": 1}], "budgets[0].metric"),
    ("budgets", [{"metric": "tokens", "period": "day", "limit": 0}], "budgets[0].limit"),
    ("priority", "first", "priority"),
    ("log_bodies", "yes", "log_bodies"),
    ("forced_params", [], "forced_params"),
    ("anonymous", True, "cidrs"),
    ("anonymous", "yes", "anonymous"),
]


@pytest.mark.parametrize(("field", "value", "param"), WRONG_KEYS)
def test_a_wrong_key_is_refused_with_its_field(
    refused: Call, untouched: Flask, field: str, value: Any, param: str
) -> None:
    response = refused("POST", "/keys", {"name": "x", field: value})

    assert response.status_code == 400
    assert response.get_json()["error"]["param"] == param
    assert of(untouched).keys.search() == []


def test_a_hostile_name_comes_back_as_it_is_and_as_json(call: Call) -> None:
    name = '<script>alert(1)</script>=HYPERLINK("x")'
    response = call("POST", "/keys", {"name": name})

    assert response.get_json()["name"] == name
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"


def test_settings_change_together_and_null_brings_defaults_back(
    call: Call, parts: Services
) -> None:
    first = call("PATCH", "/settings", {"max_n": 4, "stop_mode": "gateway"}).get_json()
    wrong = call("PATCH", "/settings", {"max_n": 2, "stop_mode": "never"})
    back = call("PATCH", "/settings", {"max_n": None}).get_json()

    assert (first["max_n"], first["stop_mode"]) == (4, "gateway")
    assert (wrong.status_code, wrong.get_json()["error"]["param"]) == (400, "stop_mode")
    assert (back["max_n"], back["stop_mode"]) == (8, "gateway")
    assert parts.settings.behaviour().max_n == 8


def test_a_model_changes_as_a_whole_or_not_at_all(call: Call, parts: Services) -> None:
    now = datetime.now(UTC)
    for name in ("a:latest", "b:latest"):
        parts.store.write(catalog.ensure, name, now)
    parts.catalog.drop()
    a, b = (model["id"] for model in call("GET", "/models").get_json()["data"])
    good = call(
        "PATCH",
        f"/models/{a}",
        {
            "display_name": "Alpha",
            "override": {"num_ctx": 4096},
            "fallbacks": [b],
            "aliases": {"gpt-4o": {"temperature": 0}},
        },
    )
    wrong = call("PATCH", f"/models/{a}", {"display_name": "Beta", "override": {"num_ctx": "x"}})
    shown = call("GET", f"/models/{a}").get_json()
    versions = call("GET", f"/models/{a}/versions").get_json()["data"]

    assert (good.status_code, wrong.status_code) == (200, 400)
    assert (shown["display_name"], shown["override"], shown["fallbacks"]) == (
        "Alpha",
        {"num_ctx": 4096},
        [b],
    )
    assert shown["aliases"] == {"gpt-4o": {"temperature": 0}}
    assert [version["alias"] for version in versions] == ["gpt-4o", ""]


def test_the_share_of_the_prompt_cache_is_told_where_it_is_known(
    call: Call, parts: Services
) -> None:
    parts.keys.issue({"name": "laptop"}, CLI)
    shares = []
    for count, cached in ((2, False), (4, True)):
        record(parts, count, cached=cached)
        for group in ("key", "model", "client"):
            (row,) = call("GET", f"/reports/usage?group={group}").get_json()["groups"]
            shares.append(row["cached_share"])

    assert shares == [None] * 3 + [0.4] * 3  # calls 0 and 1 keep their first record


def test_usage_is_summed_listed_and_exported(call: Call, parts: Services) -> None:
    parts.keys.issue({"name": "laptop"}, CLI)
    record(parts, 5)
    sums = call("GET", "/reports/usage?group=model&step=hour").get_json()
    first = call("GET", "/requests?limit=3").get_json()
    second = call("GET", f"/requests?limit=3&after={first['next']}").get_json()
    one = call("GET", "/requests/req_0").get_json()
    csv = call("GET", "/requests/export?format=csv")

    assert sums["total"]["requests"] == 5
    assert [(row["group"], row["completion_tokens"]) for row in sums["groups"]] == [("1", 35)]
    assert (sums["series"][0]["group"], sum(sums["series"][0]["values"])) == ("1", 5)
    assert len(sums["starts"]) == len(sums["series"][0]["values"]) + 1
    assert [len(first["data"]), len(second["data"]), second["next"]] == [3, 2, None]
    assert one["row"]["completion_tokens"] == 7
    assert csv.headers["Content-Disposition"] == 'attachment; filename="requests.csv"'
    assert csv.get_data(as_text=True).count("\r\n") == 6


@pytest.mark.parametrize(
    "path",
    [
        "/reports/usage?group=colour",
        "/reports/usage?step=second",
        "/reports/usage?since=yesterday",
        "/requests?limit=0",
        "/requests?limit=99999999999999999999",
        "/requests?after=1e9",
        "/requests?key_id=x",
        "/audit?before=-1",
        "/requests/export?format=xls",
        "/keys?limit=--5",
        "/keys?offset=²",
        "/requests?after=²-²",
        "/requests?after=999999999999999999-1",
        "/requests?after=1-9999999999999999999",
        "/reports/usage?since=0001-01-01T00:00:00%2B14:00",
        "/requests?until=9999-12-31T23:59:59-14:00",
        "/reports/usage?finish=stop",
        "/reports/usage?min_ms=5",
        "/reports/usage?status=running",
    ],
)
def test_a_wrong_query_is_refused(refused: Call, path: str) -> None:
    response = refused("GET", path)

    assert response.status_code == 400
    assert response.get_json()["error"]["param"]


def test_every_change_is_in_the_audit_log_with_its_token(call: Call) -> None:
    key_id = call("POST", "/keys", {"name": "x"}).get_json()["id"]
    call("PATCH", f"/keys/{key_id}", {"notes": "n"})
    entries = call("GET", f"/audit?object_kind=key&object_id={key_id}").get_json()["data"]

    assert [(e["action"], e["actor_kind"], e["actor_name"]) for e in entries] == [
        ("key.update", "token", "owner"),
        ("key.create", "token", "owner"),
    ]


def test_owners_manage_accounts_and_tokens(call: Call, parts: Services) -> None:
    made = call(
        "POST", "/accounts", {"username": "dana", "password": "violet harbour 71", "role": "admin"}
    )
    admin_id = made.get_json()["id"]
    lowered = call("PATCH", f"/accounts/{admin_id}", {"role": "viewer"}).get_json()
    token = call("POST", "/tokens", {"name": "ci", "role": "viewer"})
    listed = call("GET", "/tokens").get_data(as_text=True)
    revoked = call("DELETE", f"/tokens/{token.get_json()['id']}")
    last_owner = next(a for a in parts.admins.accounts.all() if a.role == "owner")

    assert (made.status_code, token.status_code, revoked.status_code) == (201, 201, 200)
    assert "password" not in made.get_data(as_text=True).replace(
        "must_change_password", ""
    ).replace("password_changed_at", "")
    assert lowered["role"] == "viewer"
    assert token.get_json()["secret"] not in listed
    assert call("DELETE", f"/accounts/{last_owner.id}").status_code == 403
    assert call("DELETE", f"/accounts/{admin_id}").status_code == 200


def test_a_configuration_can_be_rehearsed_and_imported(call: Call, parts: Services) -> None:
    document = {"settings": {"max_n": 2}, "servers": [{"name": "box", "url": "http://10.0.0.9:1"}]}
    rehearsed = call("POST", "/config?dry_run=true", document).get_json()
    before = parts.settings.behaviour().max_n
    done = call("POST", "/config", document).get_json()
    exported = call("GET", "/config?digests=true").get_json()

    assert rehearsed["changes"] == done["changes"]
    assert (before, parts.settings.behaviour().max_n) == (8, 2)
    assert [server["name"] for server in exported["servers"]] == ["box"]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"data": "{}", "content_type": "text/plain"}, 415),
        ({"data": "{", "content_type": "application/json"}, 400),
        ({"data": "[]", "content_type": "application/json"}, 400),
        ({"data": "", "content_type": "application/json"}, 400),
        ({"data": "[" * 3000, "content_type": "application/json"}, 400),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(
    refused: Call, more: dict[str, str], status: int
) -> None:
    response = refused("POST", "/keys", **more)

    assert response.status_code == status
    assert set(response.get_json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("path", ["/keys/{}", "/models/{}", "/servers/{}", "/tokens/{}"])
@pytest.mark.parametrize("number", [0, 10**18, 2**63, 10**30])
def test_a_number_no_row_has_is_not_found(refused: Call, path: str, number: int) -> None:
    method = "DELETE" if "tokens" in path else "GET"
    response = refused(method, path.format(number))

    assert response.status_code == 404
    assert response.get_json()["error"]["message"]


WRONG_FILTERS = [
    ("key_id", "x", "must be a whole number from 0"),
    ("server_id", "9" * 40, "must be a whole number from 0"),
    ("since", "2030-13-99", "must be a day or a time such as"),
    ("until", "soon", "must be a day or a time such as"),
    ("range", "1y", "must be one of 1h, 24h"),
    ("min_ms", "-1", "must be a whole number from 0"),
    ("min_ms", "nan", "must be a whole number from 0"),
    ("status", "9" * 65, "must be a text of at most 64 characters"),
    ("features", "legs", "must be one of cut, images, "),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG_FILTERS)
def test_a_filter_that_cannot_be_read_is_named(
    refused: Call, untouched: Flask, name: str, value: str, words: str
) -> None:
    error = refused("GET", "/requests", query_string={name: value}).get_json()["error"]
    option = f"--{name.replace('_', '-')}={value}"
    printed = untouched.test_cli_runner().invoke(args=["usage", "--format=csv", option])

    assert error["param"].partition("[")[0] == name
    assert words in error["message"]
    assert printed.exit_code == 1
    assert error["message"] in printed.stderr


def test_a_status_there_cannot_be_finds_nothing(call: Call, parts: Services) -> None:
    record(parts)

    for word in ("²", "\0", "9" * 40, "xx", "²xx", "0xx"):
        found = call("GET", "/requests", query_string={"status": word}).get_json()["data"]
        total = call("GET", "/reports/usage", query_string={"status": word}).get_json()["total"]

        assert (found, total["requests"]) == ([], 0), word


def test_a_rule_that_fits_no_model_is_told(call: Call, parts: Services) -> None:
    parts.store.write(catalog.ensure, "llama3.2:latest", datetime.now(UTC))
    parts.catalog.drop()
    body = {"name": "x", "allow": ["llama3.2", "lama*"], "deny": ["*vision*"]}
    made = call("POST", "/keys", body).get_json()

    assert made["unknown_models"] == ["lama*", "*vision*"]


def test_unknown_paths_and_methods_answer_json(call: Call) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("PUT", "/keys", 405)):
        response = call(method, path)
        assert response.status_code == status
        assert response.get_json()["error"]["message"]
