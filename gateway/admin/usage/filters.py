"""The filters of Usage and Requests: what an address says, what can be chosen, what is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flask import request

from gateway.core.requests import Filter
from gateway.errors import Message
from gateway.reports.filters import from_page
from gateway.schemas import convert
from gateway.schemas.call_query import RequestQuery
from gateway.store import names
from gateway.web import language
from gateway.web.context import services
from gateway.web.template_filters import here_with
from gateway.web.words import _, _l, translated

SLOW_DAYS = 30
"""How far back is looked for what no index knows, unless a time is chosen."""
MOST_KEYS = 100
"""A select of more is a large page, and nobody finds a key in it."""
Choices = dict[str, list[tuple[int, str]]]
RANGE_WORDS: Mapping[str, str] = {
    "1h": _l("Last hour"),
    "today": _l("Today"),
    "yesterday": _l("Yesterday"),
    "24h": _l("Last 24 hours"),
    "7d": _l("Last 7 days"),
    "30d": _l("Last 30 days"),
    "this_month": _l("This month"),
    "90d": _l("Last 90 days"),
    "365d": _l("Last year"),
}
STATUS_WORDS: Mapping[str, str] = {
    "ok": _l("OK"),
    "failed": _l("Failed"),
    "cancelled": _l("Cancelled"),
    "running": _l("Running"),
    "4xx": "4xx",
    "5xx": "5xx",
    "429": "429",
    "499": _l("499 client disconnected"),
}
FEATURE_WORDS: Mapping[str, str] = {
    "tools": _l("Tools"),
    "images": _l("Images"),
    "thinking": _l("Thinking"),
    "streamed": _l("Streamed"),
    "whole": _l("Not streamed"),
    "load": _l("Loaded the model"),
    "cut": _l("Probably cut"),
}
_NAMED = {"key_id": "keys", "model_id": "models", "server_id": "servers"}


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter in force: its words, and the address of the page without it."""

    words: str
    url: str


@dataclass(frozen=True, slots=True)
class PageFilter:
    """The filter of a page's address. `problems` are sentences about the fields that cannot be read
    and are left out, by the field's name."""

    wanted: Filter
    problems: Mapping[str, str]

    @property
    def range(self) -> str:
        """The named range that is chosen, "" for none."""
        chosen = request.args.get("range", "")
        return chosen if chosen in RANGE_WORDS else ""

    @property
    def has_own_time(self) -> bool:
        """Whether the address has a beginning or an end that counts."""
        return not self.range and any(request.args.get(name) for name in ("since", "until"))

    def local(self, name: str) -> str:
        """Return `since` or `until` as its field shows it: the viewer's time to the minute, or what
        was typed where that cannot be read."""
        if name in self.problems:
            return request.args[name]
        at: datetime | None = None if self.range else getattr(self.wanted, name)
        return "" if at is None else at.astimezone(language.zone_info()).strftime("%Y-%m-%dT%H:%M")


def page_filter(now: datetime) -> PageFilter:
    """Return the filter that a page's address makes."""
    wanted, problems = from_page(request.args.to_dict(flat=False), now, language.zone_info())
    return PageFilter(
        wanted, {name: _sentence(name, problem) for name, problem in problems.items()}
    )


def bounded(wanted: Filter, now: datetime) -> tuple[Filter, bool]:
    """Return the filter, limited to SLOW_DAYS where it is slow and has no time, and whether that
    was done."""
    if wanted.since is not None or not wanted.is_slow:
        return wanted, False
    return replace(wanted, since=now - timedelta(days=SLOW_DAYS)), True


def list_query() -> dict[str, list[str]]:
    """Return the address's filter as query values, without the place in the list."""
    given = request.args.to_dict(flat=False)
    return {name: values for name, values in given.items() if name not in {"after", "topics"}}


def filter_choices(wanted: Filter) -> Choices:
    """Return what the filters of a page offer: ids and names of keys, models and servers; of many
    keys the MOST_KEYS that were used last and the chosen one."""
    parts = services()
    return {
        "keys": parts.store.read(names.keys_to_choose, MOST_KEYS, wanted.key_id),
        "models": [(model.id, model.display_name) for model in parts.catalog.models()],
        "servers": [(server.id, server.name) for server in parts.catalog.servers()],
    }


def chips(found: PageFilter, choices: Choices, fields: Sequence[str]) -> list[Chip]:
    """Return the filters in force among `fields`; times and features have no title."""
    made = []
    for name in fields:
        value = getattr(found.wanted, name)
        if name == "features":
            made += [_feature(one, value) for one in FEATURE_WORDS if one in value]
        elif value:
            made.append(Chip(_chip_words(name, value, choices), here_with(_without(name))))
    return made


def time_chip(found: PageFilter) -> list[Chip]:
    """Return the chip of the time that is chosen, none where any time is meant."""
    if not found.range and not found.has_own_time:
        return []
    ends = " – ".join(found.local(name).replace("T", " ") for name in ("since", "until"))
    words = str(RANGE_WORDS[found.range]) if found.range else ends.strip()
    return [Chip(words, here_with(_without("range", "since", "until")))]


def _feature(name: str, chosen: frozenset[str]) -> Chip:
    return Chip(str(FEATURE_WORDS[name]), here_with(features=sorted(chosen - {name}), after=None))


def _chip_words(name: str, value: object, choices: Choices) -> str:
    shown = str(value)
    if name in _NAMED:
        shown = dict(choices[_NAMED[name]]).get(int(shown), shown)
    elif name == "status":
        shown = str(STATUS_WORDS.get(shown, shown))
    return f"{_(_title(name))}: {shown}"


def _without(*names: str) -> dict[str, None]:
    return dict.fromkeys((*names, "after"))


def _sentence(name: str, problem: Message) -> str:
    title = Message(_title(name))
    return translated(Message("'%(field)s' %(problem)s.", field=title, problem=problem))


def _title(name: str) -> str:
    return convert.meta_of(convert.fields_of(RequestQuery)[name]).title or name
