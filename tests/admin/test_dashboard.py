"""The dashboard: six figures against yesterday, what runs with its links, errors in groups."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from flask import render_template

from fake_ollama import FakeOllama
from gateway.admin.dashboard import active_rows, grouped
from gateway.admin.figures import tiles
from gateway.calls.registry import LiveCall
from gateway.core.requests import Filter
from gateway.reports import dashboard
from gateway.reports.dashboard import Figure
from gateway.store.usage import request_queries
from gateway.web.context import Services
from tests.admin.conftest import Visitor
from tests.admin.test_requests import write

NOW = datetime.now(UTC)
CALL = LiveCall(
    request_id="req_1",
    worker="w",
    started_at=NOW,
    elapsed_s=2.5,
    key_id=3,
    key_name="laptop",
    model_id=4,
    model="qwen3:8b",
    endpoint="chat",
    streamed=True,
    phase="answering",
    position=0,
    waiting=0,
    tokens=10,
    tokens_per_s=20.0,
    server_id=1,
    server_name="workstation",
    client_ip="127.0.0.1",
    client_app="open-webui",
)


def test_six_figures_are_compared_in_one_line_and_coloured_by_meaning(
    admin: Visitor, parts: Services
) -> None:
    names = ("requests", "tokens", "errors", "first_token", "speed", "queue")
    worse = tuple(Figure(name, 0.2, 0.1, (0.1,) * 24) for name in names)
    found = dashboard.report(parts.store, parts.catalog, NOW)
    with admin.app.test_request_context("/admin/"):
        shown = tiles(replace(found, figures=worse))
        html = render_template("admin/dashboard/tiles.html", tiles=shown)
    kinds = re.findall(r'<span class="([a-z-]*)">▲', html)

    assert kinds == [
        "",
        "",
        "text-danger-emphasis",
        "text-danger-emphasis",
        "text-success-emphasis",
        "text-danger-emphasis",
    ]
    assert " ".join(html.split()).count("▲ 100%") == 6
    assert html.count("vs yesterday") == 6


def test_what_runs_leads_to_its_key_model_and_request(admin: Visitor) -> None:
    waits = replace(CALL, request_id="req_2", phase="queued", position=2, waiting=5)
    with admin.app.test_request_context("/admin/"):
        active = active_rows([CALL, waits], {"req_1"})
        html = render_template("admin/dashboard/active.html", active=active)

    for address in ("/admin/keys/3", "/admin/models/4", "/admin/requests/req_1"):
        assert f'href="{address}"' in html
    assert "/admin/requests/req_2" not in html  # it has no row yet
    assert "Generating" in html
    assert "Queued, position 2/5" in html


def test_a_thousand_requests_at_once_are_not_a_thousand_rows(admin: Visitor) -> None:
    calls = [replace(CALL, request_id=f"req_{number}") for number in range(1_000)]
    with admin.app.test_request_context("/admin/"):
        active = active_rows(calls, ())
        html = render_template("admin/dashboard/active.html", active=active)

    assert html.count('<tr id="req_') == 100
    assert "and 900 more" in html


def test_failures_that_are_alike_are_one_line(
    admin: Visitor, parts: Services, served: FakeOllama
) -> None:
    for number in range(5):
        write(parts, number, status=504, error_code="upstream_timeout", model="qwen3:8b")
    write(parts, 9, status=429, error_code="rate_limit_exceeded", model="qwen3:8b")
    page = admin.get("/admin/").text
    errors = page[page.index('id="errors"') :]

    assert errors.count("<li") == 2
    assert "5 ×" in errors
    assert "Ollama timeout" in errors
    assert ">upstream_timeout</code>" in errors
    assert f'href="/admin/requests/req_{0:032x}"' in errors


def test_failures_of_the_last_days_are_found_by_the_sums(parts: Services) -> None:
    for number in range(300):
        write(parts, number, at=NOW - timedelta(minutes=number))
    old = write(parts, 1_000, at=NOW - timedelta(days=6), status=500, error_code="upstream_error")
    found = dashboard.failures(parts.store, NOW)
    everything = parts.store.read(request_queries.page, Filter(status="failed"))

    assert [call.request_id for call in found] == [old]
    assert [call.id for call in everything] == [call.id for call in found]
    assert [group.count for group in grouped(found)] == [1]
