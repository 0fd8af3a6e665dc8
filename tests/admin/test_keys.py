"""Keys at the console: made and shown once, changed, rotated, revoked, watched for a first call."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy.orm import Session

from fake_ollama import FakeOllama
from gateway.admin.keys.presenters import PLACEHOLDER
from gateway.core.periods import period_start
from gateway.core.usage import Admission, Settlement
from gateway.policy.clients.kit import KIT
from gateway.schemas.key import Budget, Key
from gateway.store.tables import KeyCounterRow
from gateway.store.usage import records
from gateway.web.context import Services, of
from tests.admin.conftest import ACTOR, Visitor
from tests.support.keys import insert_many

KEYLESS = ["ollamacli", "vscodeollama", "zed"]
"""Applications that send no key, or ask for it themselves."""
SECRET = re.compile(r"sk-o2a-[0-9A-Za-z]{49}")
PLAIN: dict[str, Any] = {
    "name": "Support bot",
    "access": "all",
    "lifetime": "never",
    "scopes": ["chat", "completions", "embeddings", "responses", "messages", "models"],
    "priority": "normal",
    "log_bodies": "inherit",
}


def make(admin: Visitor, **fields: Any) -> str:
    """Make a key by the form; give its secret."""
    answer = admin.post("/admin/keys/new", PLAIN | fields)
    assert answer.status_code == 303, answer.text[:4_000]
    found = SECRET.search(admin.get(answer.headers["Location"]).text)
    assert found is not None
    return found.group()


def words(page: str) -> str:
    """Return a page with single spaces between its words."""
    return " ".join(page.split())


def test_a_new_key_works_and_is_shown_only_once(admin: Visitor, parts: Services) -> None:
    answer = admin.post("/admin/keys/new", PLAIN)
    first = admin.get(answer.headers["Location"])
    second = admin.get(answer.headers["Location"])
    secret = SECRET.search(first.text)

    assert secret is not None
    assert parts.keyring.find(secret.group()).name == "Support bot"
    assert parts.keyring.find(secret.group()).enabled
    assert "no-store" in first.headers["Cache-Control"]
    assert second.status_code == 303
    assert secret.group() not in admin.get("/admin/keys").text
    assert secret.group() not in answer.headers["Location"]


def test_an_old_copy_of_the_cookie_shows_no_secret_again(admin: Visitor, parts: Services) -> None:
    address = admin.post("/admin/keys/new", PLAIN).headers["Location"]
    with admin.client.session_transaction() as session:
        before = dict(session)
    secret = SECRET.search(admin.get(address).text)
    with admin.client.session_transaction() as session:
        session.update(before)
    again = admin.get(address)

    assert secret is not None
    assert secret.group() not in str(before)
    assert again.status_code == 303
    assert not SECRET.search(again.text)


def test_every_limit_of_the_form_reaches_the_key(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    model = parts.catalog.models()[0]
    secret = make(
        admin,
        access="some",
        models=[str(model.id)],
        patterns="qwen3*\nllama3.2, gemma3*",
        deny="secret*",
        requests_per_minute="60",
        tokens_per_minute="9000",
        concurrent="2",
        requests_day="100",
        tokens_month="1000000",
        zone="Europe/Berlin",
        priority="batch",
        cidrs="10.0.0.0/8\n192.168.1.7",
        scopes=["chat", "models"],
        default_params='{"temperature": 0.2}',
        forced_params='{"num_ctx": 8192, "think": false}',
        log_bodies="on",
        owner="Mara",
        tags="a, b",
        notes="for tests",
    )
    key = parts.keyring.find(secret)

    assert (key.requests_per_minute, key.tokens_per_minute, key.concurrent) == (60, 9000, 2)
    assert key.budgets == (Budget("requests", "day", 100), Budget("tokens", "month", 1_000_000))
    assert (key.model_ids, key.allow, key.deny) == (
        (model.id,),
        ("qwen3*", "llama3.2", "gemma3*"),
        ("secret*",),
    )
    assert (key.zone, key.priority, key.scopes) == ("Europe/Berlin", "batch", ("chat", "models"))
    assert key.cidrs == ("10.0.0.0/8", "192.168.1.7/32")
    assert dict(key.default_params) == {"temperature": 0.2}
    assert dict(key.forced_params) == {"num_ctx": 8192, "think": False}
    assert (key.log_bodies, key.owner, key.tags, key.notes) == (
        True,
        "Mara",
        ("a", "b"),
        "for tests",
    )


WRONG = [
    ({"opus_model": "gone:1"}, "Names a model that does not exist."),
    ({"name": " "}, "Must not be empty."),
    ({"name": "a" * 300}, "Must be a text of at most 200 characters."),
    ({"access": "some"}, "Choose at least one model"),
    ({"models": ["1"]}, "You ticked models: choose “Only these”, or untick them."),
    ({"tokens_day": "1.000"}, "Must be a whole number from 1 to"),
    ({"lifetime": "date"}, "Choose the last day."),
    ({"lifetime": "date", "expires_on": "2020-01-01"}, "Lies in the past."),
    ({"requests_per_minute": "-1"}, "Must be a whole number from 0 to 2147483647."),
    ({"tokens_day": "many"}, "Must be a whole number from 1 to"),
    ({"cidrs": "10.0.0.0/99"}, "Line 1: must be an address or network"),
    ({"anonymous": "y"}, "Must say which addresses need no key."),
    ({"scopes": []}, "Choose at least one endpoint."),
    ({"zone": "Mars/Olympus"}, "Must be a time zone such as"),
    ({"default_params": '{\n"temperature": "hot"\n}'}, "Line 2: temperature: must be a number"),
    ({"forced_params": '{"num_ctx": 1'}, "Line 1"),
    ({"forced_params": '{"num_ctxx": 1}'}, "did you mean &#39;num_ctx&#39;"),
]


@pytest.mark.parametrize(("fields", "words"), WRONG, ids=[str(list(w[0])[-1]) for w in WRONG])
def test_a_wrong_entry_is_explained_and_nothing_typed_is_lost(
    untouched: Visitor, fields: dict[str, Any], words: str
) -> None:
    answer = untouched.post("/admin/keys/new", PLAIN | {"owner": "still here"} | fields)

    assert answer.status_code == 200
    assert words in answer.text
    assert "still here" in answer.text
    assert of(untouched.app).keys.search() == []


def test_a_key_for_requests_without_one_is_made_and_warned_of(
    admin: Visitor, parts: Services
) -> None:
    make(admin, anonymous="y", cidrs="192.168.1.0/24")
    (key,) = parts.keys.search()
    page = f"/admin/keys/{key.id}"
    warned, listed = words(admin.get(page).text), admin.get("/admin/keys").text
    form = admin.get(f"{page}/edit").text
    admin.post(f"{page}/edit", PLAIN | {"enabled": "y", "anonymous": "y", "cidrs": "0.0.0.0/0"})
    severe = words(admin.get(page).text)
    admin.post(f"{page}/edit", PLAIN | {"enabled": "y", "cidrs": "0.0.0.0/0"})

    accepted = "Requests without a key are accepted from"
    assert key.anonymous
    assert f"{accepted} 192.168.1.0/24, as this key. Whoever is there" in warned
    assert f"{accepted} 0.0.0.0/0, as this key. That is everybody" in severe
    assert "Anonymous" in listed
    assert re.search(r'<input checked[^>]* name="anonymous"', form)
    assert accepted not in admin.get(page).text
    assert "Anonymous" not in admin.get("/admin/keys").text
    assert not parts.keys.get(key.id).anonymous


def test_a_role_whose_model_went_away_is_ignored_with_a_warning(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    make(admin, opus_model="qwen3:8b", haiku_model="llama3.2", small_fast_model="GEMMA3:4b")
    (key,) = parts.keys.search("Support bot")
    before = admin.get(f"/admin/keys/{key.id}").text
    qwen = next(one for one in parts.catalog.models() if one.name == "qwen3:8b")
    parts.models.enable([qwen.id], False, ACTOR)
    parts.keys.update(key.id, {"deny": ["gemma*"]}, ACTOR)
    after = admin.get(f"/admin/keys/{key.id}").text

    assert "opus → qwen3:8b" in before
    assert "is ignored" not in before
    assert "The model for opus, “qwen3:8b”, is ignored" in after
    assert "The model for small-fast, “gemma3:4b”, is ignored" in after
    assert "The model for haiku" not in after


def test_an_edit_keeps_what_the_form_does_not_touch(admin: Visitor, parts: Services) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3, hours=5)
    key, secret = parts.keys.issue({"name": "one", "expires_at": until.isoformat()}, ACTOR)
    page = admin.get(f"/admin/keys/{key.id}/edit").text
    day = re.search(r'name="expires_on"[^>]*value="([^"]+)"', page)
    assert day is not None
    fields = PLAIN | {"enabled": "y", "name": "two", "lifetime": "date", "expires_on": day.group(1)}
    answer = admin.post(f"/admin/keys/{key.id}/edit", fields)
    changed = parts.keyring.find(secret)

    assert answer.status_code == 303
    assert (changed.name, changed.expires_at) == ("two", until)


def test_rotating_gives_a_new_secret_while_the_old_one_still_works(
    admin: Visitor, parts: Services
) -> None:
    key, old = parts.keys.issue({"name": "one", "owner": "Mara"}, ACTOR)
    answer = admin.post(f"/admin/keys/{key.id}/rotate", {"grace_hours": "24"})
    found = SECRET.search(admin.get(answer.headers["Location"]).text)
    assert found is not None
    new = parts.keyring.find(found.group())

    assert (new.owner, new.rotated_from) == ("Mara", key.id)
    assert parts.keyring.find(old).expires_at is not None
    assert "has not been used since" in admin.get(f"/admin/keys/{new.id}").text


def test_revoking_says_what_it_affects_before_it_does_it(admin: Visitor, parts: Services) -> None:
    key, _ = parts.keys.issue({"name": "one"}, ACTOR)
    asked = admin.get(f"/admin/keys/{key.id}/revoke")
    still = parts.keys.get(key.id).revoked_at
    done = admin.post(f"/admin/keys/{key.id}/revoke")

    assert "get an error from now on" in asked.text
    assert still is None
    assert done.status_code == 303
    assert parts.keys.get(key.id).revoked_at is not None


def test_deleting_needs_the_name_typed(admin: Visitor, parts: Services) -> None:
    key, _ = parts.keys.issue({"name": "one"}, ACTOR)
    wrong = admin.post(f"/admin/keys/{key.id}/delete", {"typed": "two"})
    left = [found.id for found in parts.keys.search()]
    right = admin.post(f"/admin/keys/{key.id}/delete", {"typed": "one"})

    assert "This does not match." in wrong.text
    assert left == [key.id]
    assert right.status_code == 303
    assert parts.keys.search() == []


def test_several_keys_are_switched_together(admin: Visitor, parts: Services) -> None:
    ids = [parts.keys.issue({"name": name}, ACTOR)[0].id for name in "abc"]
    admin.post("/admin/keys/bulk", {"action": "disable", "id": [str(ids[0]), str(ids[2])]})

    assert {key.name: key.enabled for key in parts.keys.search()} == {
        "a": False,
        "b": True,
        "c": False,
    }


def test_a_bulk_change_with_a_vanished_key_changes_none(admin: Visitor, parts: Services) -> None:
    key, _ = parts.keys.issue({"name": "a"}, ACTOR)
    admin.post("/admin/keys/bulk", {"action": "disable", "id": [str(key.id), "99"]})

    assert parts.keys.get(key.id).enabled


def test_every_page_of_many_keys_is_whole(admin: Visitor, parts: Services) -> None:
    made = parts.store.write(lambda session: insert_many(session, 1_101))
    call(parts, parts.keys.get(made[7]), prompt_tokens=9)
    parts.keys.enable(made[:3], False, ACTOR)
    last = admin.get("/admin/keys?sort=name&offset=1100").text
    busiest = admin.get("/admin/keys?sort=tokens").text

    assert ("app 1100" in last, "1,101–1,101 of 1,101" in last) == (True, True)
    assert busiest.index("app 0007") < busiest.index("app 1100")
    assert "1–3 of 3" in admin.get("/admin/keys?state=inactive").text
    for page in ("usage", "requests"):
        of_all = admin.get(f"/admin/{page}").text
        of_one = admin.get(f"/admin/{page}?key_id={made[0]}").text

        assert f'<option value="{made[-1]}">app' in of_all
        assert f'<option value="{made[0]}">app' not in of_all
        assert f'<option value="{made[0]}" selected>app' in of_one
        assert "Others: from the page of the key" in of_all


def call(parts: Services, key: Key, **settled: Any) -> None:
    """Write one call of a key."""
    request_id = "req_" + "a" * 32
    at = datetime.now(UTC)
    admission = Admission(request_id, at, key.id, key.name, "chat", 1, "llama3.2", "llama3.2", True)
    settlement = Settlement(request_id, **{"status": 200, **settled})
    parts.store.write(records.write, [records.Entry(admission, settlement)], worker="w", now=at)


def test_every_change_is_in_the_audit_log_without_the_secret(
    admin: Visitor, parts: Services
) -> None:
    secret = make(admin)
    key = parts.keyring.find(secret)
    admin.post(f"/admin/keys/{key.id}/edit", PLAIN | {"enabled": "y", "name": "renamed"})
    admin.post(f"/admin/keys/{key.id}/enabled", {"to": "off"})
    admin.post(f"/admin/keys/{key.id}/revoke")
    log = admin.get("/admin/settings/audit?object_kind=key").text

    for word in ("key.create", "key.update", "key.disable", "key.revoke"):
        assert word in log
    assert secret not in log


def test_each_snippet_has_address_and_key(admin: Visitor, parts: Services) -> None:
    answer = admin.post("/admin/keys/new", PLAIN)
    made = admin.get(answer.headers["Location"]).text
    secret = SECRET.search(made)
    (key,) = parts.keys.search()
    pages = {app: admin.get(f"/admin/keys/{key.id}?app={app}").text for app in KIT}
    shown = {
        app: unescape(page.partition("data-connect")[2].partition("<code>")[2])
        for app, page in pages.items()
    }

    assert secret is not None
    assert made.count(secret.group()) == 3
    assert sorted(re.findall(r'<option value="(\w+)"', made)) == sorted(KIT)
    assert [app for app, text in shown.items() if "http://localhost" not in text] == []
    assert [app for app, text in shown.items() if PLACEHOLDER not in text] == KEYLESS


def test_a_key_for_embeddings_gets_their_snippet_and_a_model_it_may_use(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    rules = {"scopes": ["embeddings"], "allow": ["nomic-embed-text", "all-minilm"]}
    key, _ = parts.keys.issue({"name": "vectors", **rules}, ACTOR)
    page = admin.get(f"/admin/keys/{key.id}").text
    shown = set(re.findall(r'<option value="(\w+)"', page))

    assert shown == {"curl", "python", "node", "continue"}
    assert "/v1/embeddings" in page
    assert "/v1/chat/completions" not in page
    assert "all-minilm" in page


def test_the_model_of_the_snippets_can_be_chosen_and_its_limits_are_named(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    key, _ = parts.keys.issue({"name": "laptop"}, ACTOR)
    page = admin.get(f"/admin/keys/{key.id}?model=gemma3:4b").text
    model = next(one for one in parts.catalog.models() if one.name == "gemma3:4b")
    parts.models.update(model.id, {"override": {"num_ctx": 4096}}, ACTOR)
    narrow = admin.get(f"/admin/keys/{key.id}?model=gemma3:4b").text

    assert '<option value="gemma3:4b" selected>' in page
    assert "gemma3:4b cannot call tools" in page
    assert f'href="/admin/models/{model.id}/parameters"' in narrow
    assert "set num_ctx 32768" in narrow
    assert "works on this machine only" in page
    assert 'href="/admin/settings#public_url"' in page


def test_the_holder_of_a_key_can_be_told_everything_at_once(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    fields = {"access": "some", "patterns": "qwen3:8b", "tokens_day": "100000"}
    answer = admin.post("/admin/keys/new", PLAIN | fields)
    made = admin.get(answer.headers["Location"]).text
    (key,) = parts.keys.search()
    later = admin.get(f"/admin/keys/{key.id}").text
    secret = SECRET.search(made)

    assert secret is not None
    for page, shown in ((made, secret.group()), (later, f"the one that begins with {key.prefix}")):
        assert (
            f"Address: http://localhost/v1\nKey: {shown}\nModels: qwen3:8b\n"
            "Limits: Tokens per day: 100,000"
        ) in page


def test_a_revoked_key_is_neither_connected_nor_revoked_again(
    admin: Visitor, parts: Services
) -> None:
    key, _ = parts.keys.issue({"name": "old"}, ACTOR)
    before = admin.get(f"/admin/keys/{key.id}").text
    parts.keys.revoke([key.id], ACTOR)
    after = admin.get(f"/admin/keys/{key.id}").text

    for words in ('id="connect"', "/revoke", "Revoke or delete", "Copy a message"):
        assert words in before
        assert words not in after
    assert f"/admin/keys/{key.id}/delete" in after


def test_a_key_is_duplicated_with_its_rules(admin: Visitor, parts: Services) -> None:
    rules = {"allow": ["qwen3*"], "budgets": [{"metric": "tokens", "period": "day", "limit": 9}]}
    key, _ = parts.keys.issue({"name": "friend", "owner": "Mara", **rules}, ACTOR)
    form = admin.get(f"/admin/keys/new?copy={key.id}").text

    for value in ("Copy of friend", "Mara", "qwen3*"):
        assert value in form
    assert re.search(r'name="tokens_day"[^>]* value="9"', form)
    assert admin.get("/admin/keys/new?copy=999").status_code == 404


TYPED = [("100,000", 100_000), ("50k", 50_000), ("1.5M", 1_500_000), ("1 000", 1_000)]


@pytest.mark.parametrize(("typed", "limit"), TYPED)
def test_a_budget_is_typed_as_people_write_it_and_shown_in_groups(
    admin: Visitor, parts: Services, typed: str, limit: int
) -> None:
    make(admin, tokens_day=typed)
    (key,) = parts.keys.search()
    page = admin.get(f"/admin/keys/{key.id}/edit").text

    assert key.budgets == (Budget("tokens", "day", limit),)
    assert f'value="{limit:,}"' in page


def test_whether_a_key_is_enabled_stands_above_its_other_fields(
    admin: Visitor, parts: Services
) -> None:
    key, _ = parts.keys.issue({"name": "one"}, ACTOR)
    page = admin.get(f"/admin/keys/{key.id}/edit").text
    places = [page.index(f'name="{name}"') for name in ("enabled", "name", "access", "tokens_day")]

    assert places == sorted(places)
    assert page.index('name="tokens_total"') < page.index("<details")


def test_a_used_up_budget_is_the_state_of_a_key_until_its_period_ends(
    admin: Visitor, parts: Services
) -> None:
    daily = {"metric": "requests", "period": "day", "limit": 1}
    for name, budgets in (("daily", [daily]), ("for good", [daily | {"period": "total"}])):
        key, _ = parts.keys.issue({"name": name, "budgets": budgets}, ACTOR)
        spend(parts, key)
    listed = admin.get("/admin/keys?sort=name").text
    states = re.findall(r"</svg>(Budget used up[^<]*)</span>", listed)

    assert states == ["Budget used up · until 00:00", "Budget used up"]


def spend(parts: Services, key: Key) -> None:
    """Have a key use one of each of its budgets."""
    at = datetime.now(UTC)

    def write(session: Session) -> None:
        for one in key.budgets:
            start = period_start(one.period, at, key.zone)
            used = {"metric": one.metric, "period": one.period, "start": start, "used": 1}
            session.add(KeyCounterRow(key_id=key.counter_id, **used))

    parts.store.write(write)


def test_tags_are_shown_and_filter(admin: Visitor, parts: Services) -> None:
    for name, tags in (("a key", ["team", 'Büro "1"']), ("another", ["teams"]), ("third", [])):
        parts.keys.issue({"name": name, "tags": tags}, ACTOR)
    every = admin.get("/admin/keys").text
    teams = admin.get("/admin/keys?tag=team").text
    quoted = admin.get("/admin/keys", query_string={"tag": 'Büro "1"'}).text

    assert 'href="/admin/keys?tag=team"' in every
    assert "Remove the filter team" in teams
    for page in (teams, quoted):
        assert "1–1 of 1" in page
        assert ">a key</a>" in page


@pytest.mark.parametrize("column", ["name", "requests", "tokens"])
def test_a_heading_sorts_and_sorts_back(admin: Visitor, parts: Services, column: str) -> None:
    for name in ("Ada", "Bob"):
        parts.keys.issue({"name": name}, ACTOR)
    call(parts, parts.keys.search("Ada")[0], prompt_tokens=9)
    pages = [admin.get(f"/admin/keys?sort={sign}{column}").text for sign in ("", "-")]
    names = [re.findall(r">(Ada|Bob)</a>", page) for page in pages]

    assert names[0] == list(reversed(names[1]))
    assert f'href="/admin/keys?sort=-{column}"' in pages[0]
    assert f'href="/admin/keys?sort={column}"' in pages[1]
    assert [page.count("aria-sort=") for page in pages] == [1, 1]
