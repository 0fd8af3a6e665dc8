"""The page of the usage explorer: its time, its comparison, its colours and its heat map."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations

from gateway.admin.usage import colours, heat
from gateway.web.context import Services
from tests.admin.conftest import Visitor
from tests.admin.test_requests import write


def test_a_time_that_cannot_be_read_is_said(admin: Visitor) -> None:
    page = admin.get("/admin/usage?since=yesterday").text

    assert "&#39;From&#39; must be a day or a time" in page
    assert 'value="yesterday"' in page


def test_a_range_of_ones_own_can_be_widened(admin: Visitor) -> None:
    since, until = "2026-11-20T06:00:00Z", "2026-11-20T12:00:00Z"
    page = admin.get(f"/admin/usage?since={since}&until={until}&group=model").text

    assert "Custom range" in page
    assert "since=2026-11-20T00%3A00%3A00Z&amp;until=2026-11-20T18%3A00%3A00Z" in page
    assert "Zoom out" not in admin.get("/admin/usage?range=7d").text


def test_the_previous_period_is_a_dashed_line(admin: Visitor, parts: Services) -> None:
    now = datetime.now(UTC)
    write(parts, 1, at=now - timedelta(hours=1), prompt_tokens=5)
    write(parts, 2, at=now - timedelta(hours=30))
    write(parts, 3, at=now - timedelta(hours=30))
    for metric in ("requests", "duration", "tokens"):
        chosen = f"/admin/usage?metric={metric}&group=key&range=24h"
        compared, alone = admin.get(f"{chosen}&compare=1").text, admin.get(chosen).text

        assert compared.count('"dashed": true') == 1, metric
        assert '"dashed": true' not in alone, metric
    exported = admin.get("/admin/usage/export.json?group=none&range=24h&compare=1").json

    assert sum(exported["series"]["Requests"]) == 1
    assert sum(exported["series"]["Previous period"]) == 2


def test_how_figures_changed_is_said_in_words_that_stay_together(
    admin: Visitor, parts: Services
) -> None:
    write(parts, 1, at=datetime.now(UTC) - timedelta(hours=1))
    write(parts, 2, at=datetime.now(UTC) - timedelta(hours=30))
    page = admin.get("/admin/usage?range=24h&compare=1").text

    assert '<span class="text-nowrap">vs previous period</span>' in page


def test_a_name_keeps_its_colour_whoever_stands_beside_it() -> None:
    names = [str(number) for number in range(1, 8)]
    found = [colours.of_names(some)["3"] for some in combinations(names, 4) if "3" in some]

    assert set(found) == {4}
    assert colours.of_names(["b", "a"]) == colours.of_names(["a", "b"])


def test_names_that_share_a_colour_get_two_in_one_chart() -> None:
    assert colours.of_names(["1"]) == {"1": 2}
    assert colours.of_names(["8"]) == {"8": 2}
    assert colours.of_names(["8", "1"]) == {"1": 2, "8": 3}
    many = colours.of_names(f"app {number}" for number in range(colours.COLOURS))
    assert sorted(many.values()) == list(range(1, colours.COLOURS + 1))


def test_one_peak_leaves_the_other_shades_apart() -> None:
    week = [[0] * 24 for _day in range(7)]
    week[0][:4] = [1, 10, 50, 1000]
    found = heat.of_counts(week, 1000)

    assert [cell.shade for cell in found.days[0][:5]] == [1, 1, 2, 5, 0]
    assert found.legend == (
        (1, 1, 40), (2, 41, 160), (3, 161, 360), (4, 361, 640), (5, 641, 1000),
    )  # fmt: skip


def test_a_legend_names_only_counts_there_are() -> None:
    assert heat.of_counts([[3]], 3).legend == ((3, 1, 1), (5, 2, 3))
    assert heat.of_counts([[0]], 0).legend == ()


def test_the_words_of_the_page(admin: Visitor, parts: Services) -> None:
    write(parts, 1)
    page = admin.get("/admin/usage").text

    for words in (
        "Top keys",
        "Activity by hour",
        "Group by",
        "Interval",
        "View requests",
        "Metric",
    ):
        assert words in page
