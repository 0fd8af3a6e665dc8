"""Keys as the console shows them: their state in a word, their models, their use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import request, url_for
from flask_babel import format_datetime

from gateway.admin.forms.keys import BUDGET_WORDS
from gateway.admin.status import Status
from gateway.core.catalog import Model
from gateway.core.periods import period_end
from gateway.core.requests import CallRow
from gateway.policy import roles
from gateway.policy.clients.snippets import Snippet
from gateway.policy.routing import Index
from gateway.reports import key_status
from gateway.reports.connect import Connection, Place, connection
from gateway.reports.examples import example_model
from gateway.reports.key_status import BudgetUse
from gateway.schemas.key import Budget, Key
from gateway.store.usage import request_queries
from gateway.web.context import services
from gateway.web.template_filters import duration, num, rate, short
from gateway.web.words import _, translated

PLACEHOLDER = "sk-o2a-…"
_LISTED = 8
_SOON = timedelta(days=7)


def state(key: Key, now: datetime, budgets: Iterable[BudgetUse] = ()) -> Status:
    """Return whether a key works, and if not, why; `budgets` say what it used."""
    match key_status.state(key, now):
        case "revoked":
            return Status("danger", _("Revoked"), _("It can never be used again."))
        case "disabled":
            return Status("secondary", _("Disabled"), _("Somebody switched it off."))
        case "expired":
            return Status("danger", _("Expired"))
        case "active":
            pass
    spent = [one.budget for one in budgets if one.used >= one.budget.limit]
    if spent:
        return Status("warning", _until(key, now, spent))
    if key.expires_at is not None and key.expires_at - now < _SOON:
        return Status("warning", _("Expires soon"))
    if key.last_used_at is None:
        return Status("info", _("Not used yet"))
    return Status("success", _("Active"))


def _until(key: Key, now: datetime, spent: Iterable[Budget]) -> str:
    """Return that budgets are used up, and until when: the last end of their periods."""
    ends = [period_end(budget.period, now, key.zone) for budget in spent]
    known = [end for end in ends if end is not None]
    if len(known) < len(ends):
        return _("Budget used up")
    end = max(known)
    pattern = "HH:mm" if end - now <= timedelta(days=1) else "yyyy-MM-dd"
    return _("Budget used up · until %(time)s", time=format_datetime(end, pattern))


def model_names(key: Key, models: Mapping[int, Model]) -> tuple[str, ...]:
    """Return the models a key may use, as chips."""
    if "*" in key.allow and not key.deny:
        return (_("all models"),)
    chosen = [models[id_].display_name for id_ in key.model_ids if id_ in models]
    allowed = [_("all models") if name == "*" else name for name in key.allow]
    denied = [_("not %(name)s", name=name) for name in key.deny]
    return (*chosen, *allowed, *denied)


def role_models(key: Key, index: Index) -> tuple[tuple[str, str, bool], ...]:
    """Return (role, its model, whether it is ignored) for each role the key has a model for."""
    ignored = roles.ignored(key, index)
    return tuple(
        (role.replace("_", "-"), name, role in ignored)
        for role in roles.ROLES
        if (name := roles.model_of(key, role))
    )


def rates(key: Key) -> str:
    """Return the limits per minute and at once in one line; "" without any."""
    parts = [
        key.requests_per_minute and _("%(count)s requests/min", count=num(key.requests_per_minute)),
        key.tokens_per_minute and _("%(count)s tokens/min", count=short(key.tokens_per_minute)),
        key.concurrent and _("%(count)s concurrent", count=num(key.concurrent)),
    ]
    return " · ".join(part for part in parts if part)


def meters(
    budgets: Iterable[BudgetUse], figure: Callable[[float], str]
) -> list[tuple[str, str, float]]:
    """Return for each budget what it limits, used of allowed as `figure` writes them, and the share
    that is used."""
    return [
        (
            str(BUDGET_WORDS[f"{one.budget.metric}_{one.budget.period}"]),
            f"{figure(one.used)} / {figure(one.budget.limit)}",
            one.used / one.budget.limit,
        )
        for one in budgets
    ]


def figures(call: CallRow) -> str:
    """Return a call's figures in one line."""
    return _(
        "%(model)s · first token %(first)s · %(speed)s · %(count)s tokens",
        model=call.model,
        first=duration(call.first_token_ms),
        speed=rate(call.tokens_per_s),
        count=num(call.completion_tokens),
    )


@dataclass(frozen=True, slots=True)
class FirstCall:
    """How the first request of a key went: `kind` is success or warning; `url` is its page."""

    kind: str
    title: str
    words: str
    url: str


def first_call(key_id: int, since_s: int) -> FirstCall | None:
    """Return how the first request of a key since then (unix seconds) went; None before there is
    one that has ended."""
    since = datetime.fromtimestamp(max(0, min(since_s, 2**33)), UTC)
    call = services().store.read(request_queries.first_of_key, min(key_id, 2**62), since)
    if call is None or not call.settled:
        return None
    url = url_for("admin.request_detail", request_id=call.request_id)
    if not call.failed:
        return FirstCall("success", _("Received. It works."), figures(call), url)
    title = _("A request arrived and was refused (%(status)s).", status=call.status)
    return FirstCall("warning", title, call.error_message or call.error_code, url)


def base_url() -> str:
    """Return the address clients use: as set, else the one this page was asked at."""
    given = services().settings.behaviour().public_url
    return (given or request.url_root).rstrip("/")


def example(key: Key | None = None) -> str:
    """Return a model for snippets and first tries, one that `key` may use."""
    return example_model(services().catalog.models(), services().scheduler.views(), key)


def connected(key: Key, secret: str = PLACEHOLDER, chosen: str = "") -> Connection:
    """Return how a key is used, with the model `chosen`, a display name, or the best one."""
    models, views = services().catalog.models(), services().scheduler.views()
    return connection(key, secret, base_url(), models, views, chosen)


@dataclass(frozen=True, slots=True)
class Guide:
    """How a key is used: with an application and a model among those it fits, each by its name.
    `piece` is None where no application needs only the endpoints of the key; `hints` are (words,
    address of the page where it is put right, "" for none)."""

    pieces: tuple[Snippet, ...]
    piece: Snippet | None
    models: list[tuple[str, str]]
    model: str
    hints: list[tuple[str, str]]
    message: str
    placeholder: str = PLACEHOLDER


def guide(key: Key, secret: str = "") -> Guide:
    """Return how a key is used, with the application and model that the address names."""
    link = connected(key, secret or PLACEHOLDER, request.args.get("model", ""))
    app = request.args.get("app", "")
    chosen = [one for one in link.pieces if one.id == app]
    return Guide(
        link.pieces,
        next(iter((*chosen, *link.pieces)), None),
        [(model.display_name, model.display_name) for model in link.choices],
        link.model.display_name if link.model else "",
        [(translated(one.message), _place_of(one.place, link.model)) for one in link.hints],
        _message(key, link, secret),
    )


def _place_of(place: Place, model: Model | None) -> str:
    if place == "parameters" and model is not None:
        return url_for("admin.model_parameters", model_id=model.id)
    return url_for("admin.settings", _anchor="public_url") if place == "public_url" else ""


def _message(key: Key, link: Connection, secret: str) -> str:
    """Return what the holder of a key is told: address, key, models and limits, a line each."""
    shown = secret or _("the one that begins with %(prefix)s", prefix=key.prefix)
    names = [model.display_name for model in link.choices]
    listed = ", ".join(names[:_LISTED]) + (" …" if len(names) > _LISTED else "")
    budgets = [
        f"{BUDGET_WORDS[f'{one.metric}_{one.period}']}: {num(one.limit)}" for one in key.budgets
    ]
    lines = [
        (_("Address"), f"{base_url()}/v1"),
        (_("Key"), shown),
        (_("Models"), listed),
        (_("Limits"), " · ".join(filter(None, (rates(key), *budgets)))),
        (_("Expires"), str(key.expires_at.date()) if key.expires_at else ""),
    ]
    return "\n".join(f"{title}: {text}" for title, text in lines if text)
