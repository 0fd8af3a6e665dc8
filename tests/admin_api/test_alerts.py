"""Targets of alerts by REST, import and command line; what is refused, and what is never told."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from gateway.core.admin import CLI
from gateway.web.context import Services
from tests.admin_api.conftest import Call
from tests.support.receivers import webhook

SECRET = "t0p-secret-path"
HOOK = {"name": "ops", "url": f"https://hooks.example.org/{SECRET}", "token": f"{SECRET}-token"}
MAIL = {"kind": "email", "sender": "a@example.org", "recipients": ["b@example.org"]}


def test_targets_are_kept_and_their_secrets_are_not_told(call: Call, parts: Services) -> None:
    made = call("POST", "/alerts", HOOK)
    changed = call("PATCH", "/alerts/1", {"rules": ["disk"], "quiet_s": 60})
    answers = [
        made,
        changed,
        call("GET", "/alerts"),
        call("GET", "/alerts/1"),
        call("GET", "/audit"),
    ]
    exported = call("GET", "/config?digests=true")

    assert made.status_code == 201
    assert (made.json["has_url"], made.json["has_token"]) == (True, True)
    assert made.json["place"] == "https://hooks.example.org"
    assert changed.json["rules"] == ["disk"]
    assert not any(SECRET in answer.text for answer in (*answers, exported))
    assert parts.alert_targets.get(1).url == HOOK["url"]
    assert call("DELETE", "/alerts/1").json == {"id": 1, "deleted": True}
    assert call("GET", "/alerts/1").status_code == 404


def test_a_test_and_the_log_say_what_came_of_it(call: Call) -> None:
    with webhook(401) as hook:
        call("POST", "/alerts", {**HOOK, "url": hook.url})
        outcome = call("POST", "/alerts/1/test").json
    log = call("GET", "/alerts/log?limit=1").json

    assert outcome == {"is_sent": False, "words": "It refuses the token or password."}
    assert (log["data"][0]["rule"], log["data"][0]["outcome"]) == ("test", outcome["words"])
    assert log["next"] is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"url": ""}, "url"),
        ({"url": "hooks.example.org"}, "url"),
        ({"url": "ftp://hooks.example.org"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "http://user:pw@hooks.example.org"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "http://[fe80::1]/"}, "url"),
        ({"url": "http://[fd00:ec2::254]/"}, "url"),
        ({"url": "http://[::ffff:169.254.169.254]/"}, "url"),
        ({"url": "http://metadata.google.internal/"}, "url"),
        ({"url": "http://2852039166/"}, "url"),
        ({"url": "http://[::1"}, "url"),
        ({"url": "http://x:99999/"}, "url"),
        ({"url": "https://ntfy.sh", "kind": "ntfy"}, "url"),
        ({"url": "https://mail.example.org", **MAIL}, "url"),
        ({"url": "smtp://mail.example.org", "kind": "email"}, "sender"),
        ({"url": "smtp://mail.example.org", **MAIL, "recipients": []}, "recipients"),
        ({"sender": "a@b\r\nBcc: x@y"}, "sender"),
        ({"rules": ["nothing"]}, "rules[0]"),
        ({"quiet_s": 1}, "quiet_s"),
        ({"language": "fr"}, "language"),
        ({"token": "a\r\nX: y"}, "token"),
        ({"name": " "}, "name"),
        ({"place": "x"}, "place"),
    ],
)
def test_what_cannot_be_is_refused(refused: Call, fields: dict[str, Any], param: str) -> None:
    answer = refused("POST", "/alerts", {**HOOK, **fields})

    assert (answer.status_code, answer.json["error"]["param"]) == (400, param)
    assert SECRET not in answer.text


def test_a_private_address_may_be_told(call: Call) -> None:
    urls = ("http://192.168.1.5/x", "http://127.0.0.1:8080/x", "https://ops.lan/x")
    for number, url in enumerate(urls):
        assert call("POST", "/alerts", {"name": f"t{number}", "url": url}).status_code == 201


def test_a_token_goes_to_no_other_host(call: Call) -> None:
    call("POST", "/alerts", HOOK)
    moved = {"url": "https://elsewhere.example.org/x"}

    assert call("PATCH", "/alerts/1", moved).json["error"]["param"] == "token"
    assert call("PATCH", "/alerts/1", {**moved, "token": ""}).status_code == 200


def test_a_name_is_there_once(call: Call) -> None:
    call("POST", "/alerts", HOOK)
    again = call("POST", "/alerts", {**HOOK, "name": "OPS"})

    assert again.json["error"]["param"] == "name"


def test_an_imported_target_waits_for_its_address(call: Call, parts: Services) -> None:
    call("POST", "/alerts", {**HOOK, "rules": ["disk"]})
    document = call("GET", "/config").json
    call("DELETE", "/alerts/1")
    call("POST", "/config", document)
    (found,) = parts.alert_targets.all()
    again = call("POST", "/config", {"alerts": document["alerts"]})
    changed = {**document["alerts"][0], "enabled": False, "quiet_s": 90}
    call("PATCH", f"/alerts/{found.id}", {"url": HOOK["url"]})
    call("POST", "/config", {"alerts": [changed]})

    assert (found.name, found.rules, found.url, found.enabled) == ("ops", ("disk",), "", False)
    assert again.json["changes"] == []
    kept = parts.alert_targets.get(found.id)
    assert (kept.url, kept.quiet_s) == (HOOK["url"], 90)


def test_the_command_sends_a_test(app: Flask, parts: Services) -> None:
    run = app.test_cli_runner().invoke
    with webhook() as hook:
        parts.alert_targets.create({"name": "ops", "url": hook.url}, CLI)
        good = run(args=["alert", "test", "OPS"])
        hook.status = 500
        bad = run(args=["alert", "test", "ops"])
    unknown = run(args=["alert", "test", "x"])

    assert (good.exit_code, good.output) == (0, "ops: Sent.\n")
    assert (bad.exit_code, bad.output) == (1, "ops: It answered with an error.\n")
    assert (unknown.exit_code, unknown.output) == (
        1,
        "Error: There is no target of alerts called 'x'.\n",
    )


def test_the_doctor_says_who_is_told(app: Flask, parts: Services) -> None:
    run = app.test_cli_runner().invoke
    nobody = run(args=["doctor", "--offline"]).output
    with webhook(500) as hook:
        parts.alert_targets.create({"name": "ops", "url": hook.url}, CLI)
        parts.alerts.attempt(parts.alert_targets.get(1))
    failed = run(args=["doctor", "--offline"]).output

    assert "alerts: nobody is told when something is wrong" in nobody
    assert "alerts: the last one to ops was not sent: It answered with an error." in failed
