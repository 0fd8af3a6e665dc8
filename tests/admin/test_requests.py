"""The requests page: filters, pages that never skip or repeat, and one call explained."""

from __future__ import annotations

import csv
import html
import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from gateway.accounting import export
from gateway.admin.usage.explained import parts_of
from gateway.admin.usage.request_detail import timeline
from gateway.calls.explanation import Sent, explain
from gateway.core.chat import ChatRequest, CompletionRequest
from gateway.core.options import KEYS
from gateway.core.requests import Filter
from gateway.core.usage import Admission, Settlement
from gateway.policy.overrides.apply import Layers
from gateway.reports.time_steps import floor
from gateway.store.tables import to_us
from gateway.store.usage import records, request_queries
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, Visitor
from tests.calls.test_explanation import prepared

NOW = datetime.now(UTC)


def write(parts: Services, number: int, **changes: object) -> str:
    """Write one call; give its id."""
    request_id = f"req_{number:032x}"
    admitted = {"endpoint": "chat", "model_id": 1, "model": "llama3.2", "streamed": True}
    admitted["key_id"] = 1
    admitted |= {name: changes.pop(name) for name in list(changes) if name in _ADMITTED}
    at = changes.pop("at", NOW - timedelta(seconds=number))
    admission = Admission(
        request_id=request_id, created_at=at, key_name="one", requested_model="m", **admitted
    )  # type: ignore[arg-type]  # a test's shorthand
    settled = Settlement(request_id, **({"status": 200, "duration_ms": 100.0} | changes))  # type: ignore[arg-type]  # as above
    parts.store.write(records.write, [records.Entry(admission, settled)], worker="w", now=NOW)
    return request_id


_ADMITTED = {field.name for field in fields(Admission)}


def test_pages_show_every_call_once(admin: Visitor, parts: Services) -> None:
    for number in range(80):
        write(parts, number, at=NOW - timedelta(seconds=number // 10))
    seen, path = [], "/admin/requests"
    for _page in range(5):
        page = admin.get(path).text
        seen += re.findall(r'href="/admin/requests/(req_[0-9a-f]+)"', page)
        following = re.search(r'href="(/admin/requests\?[^"]*after=[^"]+)"', page)
        if following is None:
            break
        path = following.group(1).replace("&amp;", "&")

    assert len(seen) == len(set(seen)) == 80


FILTERS = [
    ("status=failed", {2, 3, 4}),
    ("status=ok", {0, 1, 6, 7}),
    ("status=4xx", {2, 5}),
    ("status=499", {5}),
    ("model_id=9", {1}),
    ("endpoint=messages", {6}),
    ("features=tools", {6}),
    ("features=thinking", {7}),
    ("features=whole", {1}),
    ("min_ms=2000", {7}),
    ("finish=length", {7}),
    ("key_id=2", {0}),
    ("client_app=curl", {0}),
    (f"request_id=req_{3:032x}", {3}),
    ("status=failed&status=ok&model_id=10", set()),
]


def test_a_page_and_the_api_find_the_same_with_the_same_query(
    admin: Visitor, parts: Services
) -> None:
    write(parts, 0, key_id=2, client_app="curl")
    write(parts, 1, model_id=9, streamed=False)
    write(parts, 2, status=429, error_code="rate_limit_exceeded")
    write(parts, 3, status=502, error_code="upstream_error")
    write(parts, 4, status=200, error_code="upstream_disconnected", finish="error")
    write(parts, 5, status=499, finish="client_closed")
    write(parts, 6, endpoint="messages", has_tools=True)
    write(parts, 7, duration_ms=4000.0, finish="length", had_thinking=True)
    _, token = parts.admins.tokens.issue("reader", "viewer", ACTOR)

    for query, wanted in FILTERS:
        page = admin.get(f"/admin/requests?{query}").text
        found = re.findall(r'href="/admin/requests/req_([0-9a-f]+)\?', page)
        answer = admin.app.test_client().get(
            f"/api/admin/v1/requests?{query}", headers={"Authorization": f"Bearer {token}"}
        )

        assert {int(hexa, 16) for hexa in found} == wanted, query
        assert {int(call["request_id"][4:], 16) for call in answer.json["data"]} == wanted, query


def test_a_day_means_the_viewers_day(admin: Visitor, parts: Services) -> None:
    admin.post("/auth/preferences", {"zone": "Asia/Tokyo"})
    inside = write(parts, 1, at=datetime(2026, 11, 20, 15, 30, tzinfo=UTC))
    before = write(parts, 2, at=datetime(2026, 11, 20, 14, 30, tzinfo=UTC))
    page = admin.get("/admin/requests?since=2026-11-21&until=2026-11-21").text

    assert inside in page
    assert before not in page


def test_a_time_that_cannot_be_read_is_said_and_shows_no_requests(
    admin: Visitor, parts: Services
) -> None:
    call = write(parts, 1)
    for query, words in [
        ("since=yesterday", "&#39;From&#39; must be a day or a time such as 2030-01-31T12:00:00Z."),
        ("since=2026-11-20&until=2026-11-19", "&#39;Until&#39; must be later than the beginning."),
        ("min_ms=soon", "&#39;Min. duration (ms)&#39; must be a whole number"),
    ]:
        page = admin.get(f"/admin/requests?{query}").text
        typed = query.rpartition("=")[2]

        assert page.count(words) == 2, query  # above the list and under the field
        assert f'value="{typed}"' in page, query
        assert call not in page, query


def test_a_chosen_time_stands_in_its_fields_as_the_viewers_own(admin: Visitor) -> None:
    admin.post("/auth/preferences", {"zone": "Asia/Tokyo"})
    page = admin.get("/admin/requests?since=2026-11-26T00:00:00Z&until=2026-11-26T01:00:00Z").text

    assert 'value="2026-11-26T09:00"' in page
    assert 'value="2026-11-26T10:00"' in page
    assert "2026-11-26 09:00 – 2026-11-26 10:00" in page


def test_yesterday_is_the_viewers_yesterday(admin: Visitor, parts: Services) -> None:
    zone = ZoneInfo("Pacific/Auckland")
    admin.post("/auth/preferences", {"zone": "Pacific/Auckland"})
    midnight = floor(NOW, "day", zone)
    before = write(parts, 1, at=midnight - timedelta(minutes=1))
    after = write(parts, 2, at=midnight)
    found = {name: admin.get(f"/admin/requests?range={name}").text for name in _DAYS}

    assert {name: (before in page, after in page) for name, page in found.items()} == _DAYS


_DAYS = {"yesterday": (True, False), "today": (False, True)}


def test_each_filter_has_a_chip_that_takes_it_away(admin: Visitor) -> None:
    page = admin.get("/admin/requests?range=7d&status=4xx&features=tools&features=cut").text
    chips = re.findall(r'<a class="badge chip py-2" href="([^"]+)"[^>]*>([^<]+)<', page)

    assert [(html.unescape(url), words) for url, words in chips] == [
        ("/admin/requests?status=4xx&features=tools&features=cut", "Last 7 days"),
        ("/admin/requests?range=7d&features=tools&features=cut", "Status: 4xx"),
        ("/admin/requests?range=7d&status=4xx&features=cut", "Tools"),
        ("/admin/requests?range=7d&status=4xx&features=tools", "Probably cut"),
    ]


def test_a_long_error_code_is_a_few_words_in_the_list(admin: Visitor, parts: Services) -> None:
    write(parts, 1, status=400, error_code="context_length_exceeded", error_message="Too long.")
    write(parts, 2, status=418, error_code="odd_code_of_a_later_version")
    page = admin.get("/admin/requests").text

    assert 'title="context_length_exceeded: Too long."' in page
    assert "context too long</span>" in page
    assert "error 418</span>" in page


def test_a_request_without_a_model_shows_the_name_it_asked_for(
    admin: Visitor, parts: Services
) -> None:
    write(parts, 1, model_id=None, model="", status=404, error_code="model_not_found")
    page = admin.get("/admin/requests").text

    assert '<span class="text-body-secondary">m</span>' in page


def test_requests_are_exported_without_texts_and_formulas(admin: Visitor, parts: Services) -> None:
    write(parts, 1, client_app="=HYPERLINK(1)", request_body="secret", response_body="answer")
    write(parts, 2, key_id=2)
    answer = admin.get("/admin/requests/export.csv?key_id=1")
    found = csv.DictReader(answer.text.splitlines())

    assert answer.content_type == "text/csv; charset=utf-8"
    assert [(row["request_id"], row["client_app"]) for row in found] == [
        (f"req_{1:032x}", "'=HYPERLINK(1)")
    ]
    assert "secret" not in answer.text
    assert "answer" not in answer.text
    assert admin.get("/admin/requests/export.csv?since=x").status_code == 400


def test_an_export_ends_at_its_limit(parts: Services) -> None:
    for number in range(7):
        write(parts, number)

    assert len(list(export.calls(parts.store, Filter(), 3))) == 3
    assert len(list(export.calls(parts.store, Filter()))) == 7


ADVICE = [
    ("rate_limit_exceeded", 429, "/admin/keys/1/edit?open=limits"),
    ("insufficient_quota", 429, "/admin/keys/1/edit?open=limits"),
    ("model_access_denied", 403, "/admin/keys/1/edit"),
    ("model_not_found", 404, "/admin/models"),
    ("context_length_exceeded", 400, "/admin/models/1/parameters"),
    ("upstream_unreachable", 502, "/admin/servers"),
    ("upstream_timeout", 504, "/admin/"),
    ("odd", 500, ""),
]


def test_a_failure_says_where_it_can_be_helped(admin: Visitor, parts: Services) -> None:
    for number, (code, status, place) in enumerate(ADVICE):
        request_id = write(parts, number, status=status, error_code=code, error_message="So.")
        page = admin.get(f"/admin/requests/{request_id}").text
        note = page[page.index("alert-danger") : page.index("tiles mb-4")]

        assert (f'<a href="{place}">' if place else "So.") in note, code
        assert bool(place) is ("<a " in note), code


def test_a_call_is_explained(admin: Visitor, parts: Services) -> None:
    explain = {
        "params": {
            "num_ctx": [8192, "force:model"],
            "temperature": [0.5, "request"],
            "stop": [{"texts": 2, "characters": 9}, "request"],
        },
        "changes": [["num_ctx", "forced"]],
        "sent": {"model": "llama3.2:latest", "path": "/api/chat", "messages": {"user": 3}},
        "left_out": 3,
    }
    request_id = write(
        parts,
        1,
        server_name="workstation",
        route_reason="has the model loaded",
        queue_ms=50.0,
        first_token_ms=400.0,
        first_answer_ms=1400.0,
        duration_ms=3000.0,
        ollama_load_ms=100.0,
        ollama_prompt_ms=200.0,
        ollama_eval_ms=2500.0,
        completion_tokens=100,
        had_thinking=True,
        explain=explain,
        request_body='{"messages": "hello <b>"}',
        response_body="good <i>day</i>",
    )
    page = admin.get(f"/admin/requests/{request_id}").text

    for words in (
        "Queue", "Load", "Prompt", "Thinking", "Answer", "workstation", "fixed by the model",
        "the request", "another value is fixed", "hello &lt;b&gt;", "good &lt;i&gt;day", "40 tok/s",
        "texts: 2, characters: 9", "3 more had no room", "/api/chat", "llama3.2:latest",
        "3 <code>user</code>",
    ):  # fmt: skip
        assert words in page


TIMES = [
    {"duration_ms": 100.0},
    {"duration_ms": 100.0, "first_token_ms": 10.0, "queue_ms": 500.0, "ollama_load_ms": 900.0},
    {"duration_ms": 5.0, "first_token_ms": 50.0, "first_answer_ms": 70.0, "had_thinking": True},
    {"duration_ms": 1e7, "first_token_ms": 1.0, "first_answer_ms": 2.0, "had_thinking": True},
]


def test_the_parts_of_a_timeline_are_the_whole(app: Flask, parts: Services) -> None:
    for number, times in enumerate(TIMES):
        call = parts.store.read(request_queries.detail, write(parts, number, **times))
        with app.test_request_context("/"):
            found = timeline(call)

        assert sum(segment.share for segment in found) == pytest.approx(1, abs=0.01), times
        assert all(segment.ms > 0 for segment in found), times


def test_a_place_names_one_call_even_among_equal_times(parts: Services) -> None:
    for number in range(6):
        write(parts, number, at=NOW)
    first = parts.store.read(request_queries.page, Filter(), limit=3)
    place = (to_us(first[-1].at), first[-1].id)
    second = parts.store.read(request_queries.page, Filter(), older_than=place)

    assert {call.id for call in first} & {call.id for call in second} == set()
    assert len(second) == 3


_SAMPLES: dict[str, Any] = {
    "number": 0.0,
    "integer": 0,
    "flag": False,
    "limit": -1,
    "stop": ["a", "b"],
    "think": False,
    "duration": "5m",
    "format": {"type": "object"},
    "milliseconds": 0,
    "text": "Be brief. " * 500,
    "steps": [8_192, 32_768],
}


def test_every_parameter_in_force_has_a_value(app: Flask) -> None:
    shown: dict[str, str] = {}
    for name, option in KEYS.items():
        value = option.choices[0] if option.kind == "choice" else _SAMPLES[option.kind]
        chat = CompletionRequest("m", ("Hi",)) if name == "raw" else ChatRequest("m", ())
        call = prepared(chat, Layers(model={name: value}))
        with app.test_request_context():
            found, _changes = parts_of(explain(call, Sent(call, call.request)))
        shown |= {known: text for known, text, _layer in found}

    assert set(KEYS) - set(shown) <= {"max_tokens_cap", "max_num_ctx"}
    assert {name for name, text in shown.items() if not text or text == "not sent"} == set()
    assert shown["truncate"] == "false"
    assert shown["context_steps"] == "[8192, 32768]"
    assert shown["system"] == "texts: 1, characters: 5000"
