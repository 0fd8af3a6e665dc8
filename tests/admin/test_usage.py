"""The usage explorer: sums that add up, steps in the viewer's zone, exports nothing can abuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Row, text

from gateway.admin.usage import explorer
from gateway.core import histogram
from gateway.core.requests import Filter
from gateway.core.usage import Admission, Group, Settlement, Sums
from gateway.reports import usage
from gateway.reports.time_steps import Step, following, steps
from gateway.store import catalog, names
from gateway.store.usage import records
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, Visitor
from tests.browser.sample import fill

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 24, 21, 30, tzinfo=UTC)
NAMES = ("a", "b", "qwen3:8b", *(f"m{number}" for number in range(9)))
MODELS = {name: number for number, name in enumerate(NAMES, 1)}
LABELS = {str(number): name for name, number in MODELS.items()}


def write(parts: Services, *calls: tuple[str, timedelta, int, int]) -> None:
    """Write calls: model, how long ago, output tokens, status."""
    entries = []
    for number, (model, back, output, status) in enumerate(calls):
        request_id = f"req_{number:032x}"
        admission = Admission(
            request_id,
            NOW - back,
            1,
            "one",
            "chat",
            MODELS[model],
            model,
            model,
            True,
            client_app="curl",
        )
        settled = Settlement(
            request_id,
            status,
            error_code="" if status == 200 else "broken",
            prompt_tokens=10,
            completion_tokens=output,
            first_token_ms=100.0 * (number + 1),
            duration_ms=500.0,
            ollama_eval_ms=100.0 * output / 10,
        )
        entries.append(records.Entry(admission, settled))
    parts.store.write(records.write, entries, worker="w", now=NOW)


def question(metric: usage.Metric, group: Group = "none", **more: object) -> usage.Question:
    """Ask about the last two days, by day."""
    values = {"since": NOW - timedelta(days=2), "until": NOW, "step": "day", "wanted": Filter()}
    return usage.Question(metric, group, **(values | more))  # type: ignore[arg-type]  # a test's shorthand


def ask(parts: Services, asked: usage.Question) -> explorer.Answer:
    """Ask inside a request, as words depend on it."""
    return explorer.ask(parts.store, asked, LABELS, BERLIN)


@pytest.fixture(autouse=True)
def _in_a_request(app):  # type: ignore[no-untyped-def]  # a fixture
    with app.test_request_context("/admin/usage"):
        yield


def test_the_parts_of_a_chart_add_up_to_the_total(parts: Services) -> None:
    hour = timedelta(hours=1)
    write(parts, ("a", hour, 10, 200), ("b", 20 * hour, 20, 200), ("a", 30 * hour, 30, 500))
    answer = ask(parts, question("output", "model"))
    drawn = sum(value or 0 for line in answer.chart.lines for value in line.values)

    assert drawn == answer.total.completion_tokens == 60
    assert {top.label: top.sums.completion_tokens for top in answer.tops} == {"a": 40, "b": 20}


def test_a_share_of_the_prompt_cache_is_told_where_there_is_one() -> None:
    assert Sums(prompt_tokens=200, cached_tokens=150).cached_share == 0.75
    assert Sums(prompt_tokens=200).cached_share is None


def rows(parts: Services, query: str) -> list[Row[Any]]:
    """Read by SQL."""
    return list(parts.store.read(lambda session: session.execute(text(query)).all()))


DIMENSIONS = ("all", "key", "model", "server", "endpoint", "status", "client")


def test_sums_by_one_property_equal_those_by_all_together(parts: Services) -> None:
    fill(parts, NOW, calls=200)
    ids = {name: f"{name}_id" for name in ("key", "model", "server")}
    sums = "sum(requests), sum(errors), sum(prompt_tokens), round(sum(duration_ms), 3)"
    kept = "start, value, requests, errors, prompt_tokens, round(duration_ms, 3)"
    for dimension in DIMENSIONS:
        column = (ids | {"client": "client_app"}).get(dimension, dimension)
        value = "''" if dimension == "all" else f"CAST({column} AS VARCHAR(256))"
        group = "start" if dimension == "all" else f"start, {value}"
        together = f"SELECT start, {value}, {sums} FROM usage_day GROUP BY {group} ORDER BY 1, 2"
        of_it = f"dimension = '{dimension}' AND step = 'day'"
        alone = f"SELECT {kept} FROM usage_sum WHERE {of_it} ORDER BY 1, 2"
        found = [rows(parts, query) for query in (together, alone)]

        assert len(found[0]) > 20, dimension
        assert found[0] == found[1], dimension


def test_percentiles_by_one_property_are_kept_as_well(parts: Services) -> None:
    fill(parts, NOW, calls=200)
    together = "SELECT histograms FROM usage_day"
    alone = "SELECT histograms FROM usage_sum WHERE dimension = 'all' AND step = 'hour'"
    merged = [histogram.merge(row[0] for row in rows(parts, query)) for query in (together, alone)]

    assert merged[0] == merged[1] != {}


def test_a_model_keeps_its_history_when_it_is_renamed_and_removed(parts: Services) -> None:
    model_id, _ = parts.store.write(catalog.ensure, "a:latest", NOW)
    assert model_id == MODELS["a"]
    write(parts, ("a", timedelta(hours=1), 10, 200), ("b", timedelta(hours=1), 1, 200))
    parts.models.update(model_id, {"display_name": "Chat"}, ACTOR)
    renamed = parts.store.read(names.by_id, "model")
    parts.models.forget(model_id, ACTOR)
    removed = parts.store.read(names.by_id, "model")
    answer = explorer.ask(parts.store, question("output", "model"), removed, BERLIN)

    assert renamed == removed == {str(model_id): "Chat"}
    assert {top.label: top.sums.completion_tokens for top in answer.tops} == {
        "Chat": 10,
        "deleted (2)": 1,
    }


def test_more_groups_than_colours_are_shown_together(parts: Services) -> None:
    calls = [(f"m{n}", timedelta(hours=1), 10, 200) for n in range(9)]
    write(parts, *calls)
    answer = ask(parts, question("requests", "model"))

    assert [line.name for line in answer.chart.lines][-1] == "others"
    assert len(answer.chart.lines) == usage.SHOWN + 1
    assert sum(value or 0 for line in answer.chart.lines for value in line.values) == 9


def test_days_begin_where_the_viewer_is(parts: Services) -> None:
    # 22:30 UTC is the next day in Berlin
    write(parts, ("a", timedelta(hours=23), 10, 200), ("a", timedelta(hours=22), 10, 200))
    answer = ask(parts, question("requests"))
    by_day = {
        start.astimezone(BERLIN).date().isoformat(): value
        for start, value in zip(answer.chart.starts, answer.chart.lines[0].values, strict=False)
    }

    assert by_day["2026-11-23"] == 1
    assert by_day["2026-11-24"] == 1


def test_percentiles_come_from_the_histograms(parts: Services) -> None:
    write(parts, *[("a", timedelta(hours=1), 10, 200) for _ in range(10)])
    answer = ask(parts, question("first_token"))
    found = {line.name: line.values[-1] for line in answer.chart.lines}

    assert found["p50"] == pytest.approx(500, rel=0.06)
    assert found["p99"] == pytest.approx(1000, rel=0.06)


def test_the_time_before_is_compared(parts: Services) -> None:
    day = timedelta(days=1)
    write(parts, ("a", day, 10, 200), ("a", 3 * day, 10, 200), ("a", 3 * day, 10, 200))
    answer = ask(parts, question("requests", compare=True))

    assert answer.before is not None
    assert (answer.total.requests, answer.before.requests) == (1, 2)


def test_a_point_leads_to_its_requests(parts: Services) -> None:
    write(parts, ("qwen3:8b", timedelta(hours=1), 10, 200))
    answer = ask(parts, question("requests", "model"))
    link = answer.chart.link(len(answer.chart.starts) - 2, answer.chart.lines[0])

    assert link == (
        "/admin/requests?model_id=3&since=2026-11-23T23%3A00%3A00Z&until=2026-11-24T23%3A00%3A00Z"
    )


SPANS: list[tuple[Step, str, int]] = [
    ("hour", "2026-10-24T22:00:00+00:00", 25),
    ("hour", "2026-03-28T23:00:00+00:00", 23),
]


@pytest.mark.parametrize(("step", "start", "count"), SPANS)
def test_a_day_of_changing_clocks_has_all_its_hours(step: Step, start: str, count: int) -> None:
    since = datetime.fromisoformat(start)
    until = following(since, "day", BERLIN)

    assert len(steps(since, until, step, BERLIN)) - 1 == count


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)),
    st.sampled_from(["day", "week", "month"]),
    st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "UTC", "Pacific/Apia"]),
)
def test_steps_follow_each_other_without_gaps(at: datetime, step: Step, zone: str) -> None:
    found = steps(
        at.replace(tzinfo=UTC), at.replace(tzinfo=UTC) + timedelta(days=90), step, ZoneInfo(zone)
    )

    assert list(found) == sorted(set(found))
    assert found[0] <= at.replace(tzinfo=UTC) < found[1]


def test_the_exports_are_attachments(admin: Visitor, parts: Services) -> None:
    parts.store.write(names.keep, "model", MODELS["a"], '=HYPERLINK("http://x")')
    write(parts, ("a", timedelta(minutes=5), 10, 200))
    table = admin.get("/admin/usage/export.csv?group=model&range=365d")
    data = admin.get("/admin/usage/export.json?group=model&range=365d")

    assert table.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert table.headers["Content-Disposition"].startswith("attachment; filename=")
    assert "'=HYPERLINK" in table.text
    assert data.json["metric"] == "requests"
