"""The stream of events of a page: the same HTML as the page, until the session ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from fake_ollama import FakeOllama
from gateway.admin.live import board, topics
from gateway.admin.live import stream as events
from gateway.admin.live.parts import PARTS
from gateway.core.usage import Admission, Settlement
from gateway.schemas.key import Key
from gateway.store import jobs
from gateway.store.usage import records
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, Visitor, account
from tests.admin.test_requests import write

NOW = datetime.now(UTC)
_EVENT = re.compile(rb"event: (\w+)\ndata: (.*)\n\n")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look and beat more often than a gateway does."""
    monkeypatch.setattr(board, "TICK_S", 0.1)
    monkeypatch.setattr(events, "BEAT_S", 0.2)


class Stream:
    """The events of one tab, as they come."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines

    def next(self, wanted: str) -> Any:
        """Return the data of the next event of a topic. Raises StopIteration at the end."""
        while True:
            found = _EVENT.fullmatch(next(self._lines))
            if found is not None and found[1].decode() == wanted:
                return orjson.loads(found[2])


@contextmanager
def stream(visitor: Visitor, topics: str, query: str = "") -> Iterator[Stream]:
    """Open the stream of a page."""
    answer = visitor.client.get(
        f"/admin/events?topics={topics}{query}", environ_base={"REMOTE_ADDR": visitor.address}
    )
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == "text/event-stream"
    yield Stream(iter(answer.response))
    answer.close()


def drawn(visitor: Visitor, topic: str, query: str = "", until: str = "") -> Any:
    """Return what a topic shows at first, or as soon as some text stands there."""
    with stream(visitor, topic, query) as tab:
        while until not in str(found := tab.next(topic)):
            pass
        return found


def begin(parts: Services, number: int, **changes: object) -> Admission:
    """Write a call that runs."""
    fields = {"key_id": 1, "key_name": "one", "endpoint": "chat", "model_id": 1, "model": "qwen3"}
    admission = Admission(
        request_id=f"req_{number:032x}",
        created_at=NOW + timedelta(seconds=number),
        requested_model="qwen3",
        streamed=True,
        **(fields | changes),  # type: ignore[arg-type]  # a test's shorthand
    )
    entry = records.Entry(admission, None)
    parts.store.write(records.write, [entry], worker="w", now=NOW)
    return admission


def end(parts: Services, admission: Admission, **changes: Any) -> None:
    """Write how a call ended."""
    settled = Settlement(admission.request_id, **({"status": 200, "duration_ms": 100.0} | changes))
    entry = records.Entry(admission, settled, stored=True)
    parts.store.write(records.write, [entry], worker="w", now=NOW)


@pytest.mark.parametrize("topic", ["header", "tiles", "chart", "active", "memory", "errors"])
def test_what_comes_live_is_what_the_page_shows(
    admin: Visitor, parts: Services, served: FakeOllama, topic: str
) -> None:
    write(parts, 1)
    write(parts, 2, status=504, error_code="upstream_timeout", error_message="It was silent.")
    page = _plain(admin.get("/admin/").text)

    assert _plain(drawn(admin, topic)) in page


def _plain(html: str) -> str:
    """Return HTML without tokens and without how long ago something was."""
    html = re.sub(r"(<time[^>]*>)[^<]*", r"\1", re.sub(r'value="[^"]{40,}"', 'value=""', html))
    return " ".join(html.split())


def test_every_part_of_a_page_can_be_drawn(admin: Visitor, served: FakeOllama) -> None:
    for name in PARTS:
        if name != "tail":  # no row changes where there is none
            assert isinstance(drawn(admin, name), str)


def test_what_is_shared_holds_no_token_of_anybody(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    with parts.store.database.write() as session:
        jobs.open_or_insert(session, 1, "tern:1b", actor_name="eve", now=NOW)
    html = drawn(admin, "jobs")

    assert 'name="csrf_token" value=""' in html


def test_each_viewer_gets_the_own_language_and_zone(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    write(parts, 1)
    english = drawn(admin, "header"), drawn(admin, "tail")
    admin.post("/auth/preferences", {"language": "zh", "zone": "Asia/Tokyo"})
    chinese = drawn(admin, "header"), drawn(admin, "tail")
    local = (NOW - timedelta(seconds=1)).astimezone()

    assert "Ollama ready" in english[0]
    assert "Ollama ready" not in chinese[0]
    assert local.strftime("%b") in next(iter(english[1].values()))
    assert "月" in next(iter(chinese[1].values()))


def test_a_viewer_sees_no_buttons(admin: Visitor, parts: Services, served: FakeOllama) -> None:
    account(parts, "eve", "viewer")
    viewer = Visitor(admin.app)
    viewer.login("eve")
    with parts.store.database.write() as session:
        jobs.open_or_insert(session, 1, "tern:1b", actor_name="eve", now=NOW)

    assert "<form" in drawn(admin, "jobs")
    assert "<form" not in drawn(viewer, "jobs")


def test_the_header_says_what_runs_and_what_is_pulled(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    before = drawn(admin, "header")
    with parts.store.database.write() as session:
        job, _ = jobs.open_or_insert(session, 1, "llama3.2:latest", actor_name="eve", now=NOW)
        jobs.take(session, job.id, "w", NOW, NOW)
        jobs.progress(session, job.id, status="pulling", layers={"a": (37, 100)}, now=NOW)
        jobs.open_or_insert(session, 1, "tern:1b", actor_name="eve", now=NOW)
    after = drawn(admin, "header", until="Pulling")

    assert "Pulling" not in before
    assert "Pulling llama3.2 37% +1" in after


def test_a_row_that_ran_is_sent_again_once_it_ended(admin: Visitor, parts: Services) -> None:
    running = begin(parts, 1)
    with stream(admin, "tail") as tab:
        first = tab.next("tail")
        end(parts, running)
        begin(parts, 2, model="gemma3")
        second = tab.next("tail")

    assert [("running" in row) for row in first.values()] == [True]
    assert len(second) == 2
    assert "OK" in second[next(iter(first))]
    assert any("gemma3" in row and "running" in row for row in second.values())


def test_the_tail_keeps_to_the_filter_of_the_page(admin: Visitor, parts: Services) -> None:
    write(parts, 1, model="qwen3")
    write(parts, 2, status=429, error_code="rate_limit_exceeded")
    rows = drawn(admin, "tail", "&status=failed")

    assert len(rows) == 1
    assert "req_00000000000000000000000000000002" in next(iter(rows.values()))


def test_the_wait_ends_with_the_first_request_of_a_key(admin: Visitor, parts: Services) -> None:
    key, _ = parts.keys.issue({"name": "one"}, ACTOR)
    query = f"&key_id={key.id}&since=0"
    with stream(admin, "first_call", query) as tab:
        before = tab.next("first_call")
        made = begin(parts, 1, key_id=key.id, model="llama3.2")
        end(parts, made, first_token_ms=120.0, completion_tokens=40, ollama_eval_ms=1000.0)
        after = tab.next("first_call")

    assert "Waiting for your first request" in before
    assert "alert-success" in after
    assert "llama3.2 · first token 120 ms · 40 tok/s · 40 tokens" in after


def test_the_wait_explains_a_refusal(admin: Visitor, parts: Services) -> None:
    key, _ = parts.keys.issue({"name": "one"}, ACTOR)
    words = "The model 'gpt-4o' does not exist here."
    refused(parts, key, words)
    html = drawn(admin, "first_call", f"&key_id={key.id}&since=0")

    assert "alert-warning" in html
    assert words.replace("'", "&#39;") in html


def refused(parts: Services, key: Key, words: str) -> None:
    """Write a call that was refused."""
    made = begin(parts, 1, key_id=key.id)
    end(parts, made, status=404, error_code="model_not_found", error_message=words)


@pytest.mark.parametrize(
    "query",
    ["", "topics=", "topics=weather", "topics=header,weather", "topics=" + "x" * 3_000],
    ids=["none", "empty", "unknown", "one unknown", "long"],
)
def test_topics_that_do_not_exist_are_refused(untouched: Visitor, query: str) -> None:
    assert untouched.get(f"/admin/events?{query}").status_code == 400


@pytest.mark.parametrize("query", ["key_id=x&since=y", "key_id=-5&since=-1", "key_id=9" + "9" * 40])
def test_odd_values_show_what_is_there(untouched: Visitor, query: str) -> None:
    assert "Waiting" in drawn(untouched, "first_call", f"&{query}")


def test_a_stranger_is_led_to_the_sign_in(visitor: Visitor, admin: Visitor) -> None:
    refused = visitor.client.head("/admin/events?topics=header")
    asked = admin.client.head("/admin/events?topics=header")

    assert refused.status_code == 303
    assert (asked.status_code, asked.mimetype) == (200, "text/event-stream")


def test_the_end_of_a_session_ends_its_streams(
    admin: Visitor, parts: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Visitor(admin.app)
    other.login()
    with stream(admin, "header") as tab:
        tab.next("header")
        other.get("/admin/settings/security")
        admin_id = next(iter(parts.admins.accounts.all())).id
        for login in parts.admins.sessions(admin_id):
            parts.admins.end_session(admin_id, login.id, ACTOR)

        assert tab.next("ended") is None
        with pytest.raises(StopIteration):
            tab.next("header")


def test_a_new_session_is_not_taken_for_one_that_ended(admin: Visitor, parts: Services) -> None:
    with stream(admin, "header") as first:
        first.next("beat")
        other = Visitor(admin.app)
        other.login()
        with stream(other, "header") as second:
            for _beat in range(3):
                second.next("beat")


def test_a_gateway_that_drains_ends_its_streams(admin: Visitor, parts: Services) -> None:
    with stream(admin, "header") as tab:
        tab.next("header")
        parts.draining.set()

        with pytest.raises(StopIteration):
            tab.next("nothing")


def test_open_sessions_are_those_of_accounts_that_may_enter(
    admin: Visitor, parts: Services
) -> None:
    account(parts, "eve", "viewer")
    Visitor(admin.app).login("eve")
    before = sorted(topics.open_sessions(parts.store).values())
    eve = next(one for one in parts.admins.accounts.all() if one.username == "eve")
    parts.admins.accounts.delete(eve.id, ACTOR)

    assert before == ["owner", "viewer"]
    assert list(topics.open_sessions(parts.store).values()) == ["owner"]
