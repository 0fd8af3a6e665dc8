"""The page of alerts: targets are added, tried and removed, and their secrets are never shown."""

from __future__ import annotations

from typing import Any

from gateway.core.admin import SYSTEM
from gateway.errors import Message
from gateway.store import audit
from gateway.web.context import Services
from tests.admin.conftest import Visitor
from tests.support.receivers import webhook

PAGE = "/admin/settings/alerts"
SECRET = "t0p-secret-path"
HOOK: dict[str, Any] = {
    "name": "ops",
    "kind": "webhook",
    "url": f"https://hooks.example.org/{SECRET}",
    "token": f"{SECRET}-token",
    "rules": ["disk", "backup"],
    "language": "en",
    "quiet_s": "600",
    "enabled": "y",
}


def test_a_target_is_added_changed_and_removed(admin: Visitor, parts: Services) -> None:
    assert "No targets yet" in admin.get(PAGE).text
    added = admin.post(f"{PAGE}/new", HOOK)
    changed = admin.post(f"{PAGE}/1", {**HOOK, "url": "", "token": "", "name": "night"})
    found = parts.alert_targets.get(1)
    pages = [admin.get(path).text for path in (PAGE, f"{PAGE}/1", "/admin/settings/audit")]
    removed = admin.post(f"{PAGE}/1/delete")

    assert [one.status_code for one in (added, changed, removed)] == [303, 303, 303]
    assert (found.name, found.url, found.token) == ("night", HOOK["url"], HOOK["token"])
    assert (found.rules, found.quiet_s, found.enabled) == (("disk", "backup"), 600, True)
    assert "https://hooks.example.org" in pages[0]
    assert not any(SECRET in page for page in pages)
    assert parts.alert_targets.all() == []


def test_a_refused_target_shows_why_and_not_its_secrets(admin: Visitor) -> None:
    page = admin.post(f"{PAGE}/new", {**HOOK, "url": f"ftp://x.example.org/{SECRET}"})

    assert page.status_code == 200
    assert "must begin with http:// or https://" in page.text
    assert f"{SECRET}-token" not in page.text


def test_a_test_says_what_came_of_it(admin: Visitor, parts: Services) -> None:
    with webhook() as hook:
        parts.alert_targets.create({"name": "ops", "url": hook.url}, SYSTEM)
        admin.post(f"{PAGE}/1/test")
        good = admin.get(PAGE).text
        hook.status = 500
        admin.post(f"{PAGE}/1/test")
        bad = admin.get(PAGE).text

    assert [body["rule"] for body in hook.bodies] == ["test", "test"]
    assert "This is a test." in hook.bodies[0]["lines"][0]
    assert "ops: Sent." in good
    assert "ops: It answered with an error." in bad


def test_an_audit_entry_says_only_that_there_are_secrets(parts: Services) -> None:
    parts.alert_targets.create({"name": "ops", "url": HOOK["url"], "token": SECRET}, SYSTEM)
    (entry,) = parts.store.read(audit.page, object_kind="alert")

    assert entry.action == "alert.create"
    assert (entry.after["has_url"], entry.after["has_token"]) == (True, True)
    assert SECRET not in str(entry)


def test_a_failed_backup_is_noted(parts: Services) -> None:
    parts.backups.on_failure(Message("no room"))

    assert list(parts.alerts._noted) == [("backup", "backup")]
