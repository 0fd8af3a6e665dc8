"""Keys: who may call. List, make, change, rotate, revoke, and the wait for a first call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

from flask import flash, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp
from gateway.admin.answers import Question, asked, edited, sent
from gateway.admin.audit.changes import rows
from gateway.admin.edits import Edited
from gateway.admin.forms.fields import chosen_from
from gateway.admin.forms.keys import ROLE_FIELDS, KeyForm, RotateForm, filled
from gateway.admin.keys import presenters
from gateway.admin.usage import charts
from gateway.core.catalog import Model
from gateway.core.requests import Filter
from gateway.dialects import SCOPES
from gateway.errors import NotFound
from gateway.policy import access
from gateway.reports import key_status
from gateway.reports.key_status import DAYS
from gateway.schemas.key import Key
from gateway.store import audit, key_queries
from gateway.store.usage import request_queries
from gateway.web.context import actor, services
from gateway.web.one_time_secret import given, hand_over
from gateway.web.security import to_page
from gateway.web.template_filters import num, short
from gateway.web.words import _, ngettext

LIMIT = 50
SLOT = "new_key"
_STATES = {"active": True, "inactive": False}


@bp.get("/keys")
def keys() -> str:
    """List keys with what they used."""
    store, models, now = services().store, _models(), datetime.now(UTC)
    search = request.args.get("search", "").strip()[:100]
    tag, order = request.args.get("tag", "")[:64], request.args.get("sort", "new")
    works = _STATES.get(request.args.get("state", ""))
    offset = max(0, min(request.args.get("offset", 0, int), 2**31))
    since = (now - timedelta(days=DAYS)).replace(hour=0, minute=0, second=0, microsecond=0)
    found = store.read_slow(
        key_queries.search,
        now,
        search,
        works=works,
        tag=tag,
        order=order,
        since=since,
        limit=LIMIT,
        offset=offset,
    )
    spent = store.read(key_queries.spent, found, now)
    used = store.read_slow(key_queries.sums, found, since, now)
    budgets = {key.id: key_status.budgets(key, spent[key.id]) for key in found}
    listed = [
        {
            "key": key,
            "state": presenters.state(key, now, budgets[key.id]),
            "models": presenters.model_names(key, models),
            "meters": presenters.meters(budgets[key.id], short),
            "rates": presenters.rates(key),
            "sums": used[key.id],
        }
        for key in found
    ]
    return render_template(
        "admin/keys/list.html",
        rows=listed,
        total=store.read(key_queries.count, now, search, works=works, tag=tag),
        search=search,
        tag=tag,
        order=order,
        offset=offset,
        limit=LIMIT,
    )


@bp.route("/keys/new", methods=["GET", "POST"])
def key_new() -> AnyResponse | str:
    """Make a key, maybe like another one; its secret is shown on the page that follows, once."""
    form = _form(**_beginning(request.args.get("copy", 0, int)))
    made = sent(
        form,
        lambda: services().keys.issue(form.values(datetime.now(UTC)) | {"enabled": True}, actor()),
    )
    if made is not None:
        return to_created(*made)
    return _form_page(form)


def _beginning(copied_id: int) -> dict[str, object]:
    """Return what the form of a new key begins with: as the key that is copied, if one is."""
    if copied_id:
        copied = services().keys.get(copied_id)
        return filled(copied) | {"name": _("Copy of %(name)s", name=copied.name)}
    zone = services().settings.behaviour().display_timezone
    return {"name": request.args.get("name", ""), "zone": zone}


def to_created(key: Key, secret: str) -> AnyResponse:
    """Lead on to the page that shows a new secret."""
    return to_page("admin.key_created", token=hand_over(SLOT, secret, key.id))


@bp.get("/keys/created/<token>")
def key_created(token: str) -> AnyResponse | str:
    """Show the secret of a key that was just made. A second look finds nothing."""
    found = given(SLOT, token)
    if found is None:
        words = _("A key is shown only once. If it was not copied, rotate it.")
        return to_page("admin.keys", words, "warning")
    key = services().keys.get(found[0])
    return render_template(
        "admin/keys/created.html",
        key=key,
        secret=found[1],
        guide=presenters.guide(key, found[1]),
        since=_since_now(),
        old=_predecessor(key),
    )


@bp.get("/keys/<id:key_id>")
def key(key_id: int) -> str:
    """Show a key: usage, limits, how to use it, its requests and its changes."""
    found, now, store = services().keys.get(key_id), datetime.now(UTC), services().store
    roles = presenters.role_models(found, services().catalog.index())
    report = key_status.report(store, found, now)
    return render_template(
        "admin/keys/detail.html",
        key=found,
        status=presenters.state(found, now, report.budgets),
        works=key_status.state(found, now) == "active",
        models=presenters.model_names(found, _models()),
        roles=roles,
        role_names=[f"{role} → {name}" for role, name, _ignored in roles],
        endpoints=_("all") if set(SCOPES) <= set(found.scopes) else ", ".join(found.scopes),
        report=report,
        meters=presenters.meters(report.budgets, num),
        rates=presenters.rates(found),
        predecessor=_predecessor(found),
        is_for_everybody=access.is_for_everybody(found),
        chart=charts.per_day(DAYS, key_id=key_id),
        calls=store.read(request_queries.page, Filter(key_id=key_id), limit=10),
        log=rows(store.read(audit.page, object_kind="key", object_id=str(key_id), limit=20)),
        guide=presenters.guide(found),
        since=_since_now(),
    )


@bp.route("/keys/<id:key_id>/edit", methods=["GET", "POST"])
def key_edit(key_id: int) -> AnyResponse | str:
    """Change a key; its secret stays."""
    found = services().keys.get(key_id)
    form = _form(**filled(found))
    edit = Edited("key", key_id)
    if edited(
        form, edit, lambda: services().keys.update(key_id, _kept_expiry(form, found), actor())
    ):
        words = _("The key was changed. Running requests keep the old limits.")
        return to_page("admin.key", words, key_id=key_id)
    return _form_page(form, found)


@bp.route("/keys/<id:key_id>/rotate", methods=["GET", "POST"])
def key_rotate(key_id: int) -> AnyResponse | str:
    """Make a new secret with the same rights; the old one ends after a while."""
    found, form = services().keys.get(key_id), RotateForm()
    made = sent(form, lambda: services().keys.rotate(key_id, form.grace_hours.data, actor()))
    if made is not None:
        return to_created(*made)
    return render_template("admin/keys/rotate.html", key=found, form=form)


@bp.route("/keys/<id:key_id>/revoke", methods=["GET", "POST"])
def key_revoke(key_id: int) -> AnyResponse | str:
    """End a key for ever, after saying what that affects."""
    found = services().keys.get(key_id)
    effects = [_("Apps that use it get an error from now on. It cannot be made valid again.")]
    running = sum(call.key_id == key_id for call in services().live.snapshot())
    if running:
        effects.append(
            ngettext("%(num)d running request ends.", "%(num)d running requests end.", running)
        )
    effects.append(_("Leaked, but still needed? Rotate it instead: same rights, new secret."))
    back = url_for("admin.key", key_id=key_id)
    title = _("Revoke “%(name)s”?", name=found.name)
    if page := asked(Question(title, _("Revoke key"), back, found.name, effects)):
        return page
    services().keys.revoke([key_id], actor())
    return to_page("admin.key", _("“%(name)s” was revoked.", name=found.name), key_id=key_id)


@bp.route("/keys/<id:key_id>/delete", methods=["GET", "POST"])
def key_delete(key_id: int) -> AnyResponse | str:
    """Remove a key from the list; what it used stays in the statistics."""
    found = services().keys.get(key_id)
    effects = [
        _("Apps that use it get an error from now on. This cannot be undone."),
        _("Its requests stay in the log under its name."),
    ]
    back = url_for("admin.key", key_id=key_id)
    title = _("Delete “%(name)s”?", name=found.name)
    if page := asked(Question(title, _("Delete key"), back, found.name, effects, found.name)):
        return page
    services().keys.delete(key_id, actor())
    return to_page("admin.keys", _("“%(name)s” was deleted.", name=found.name))


@bp.post("/keys/<id:key_id>/enabled")
def key_enabled(key_id: int) -> AnyResponse:
    """Switch a key on or off."""
    on = request.form.get("to") == "on"
    services().keys.enable([key_id], on, actor())
    words = _("The key works again.") if on else _("The key is switched off.")
    return to_page("admin.key", words, key_id=key_id)


@bp.post("/keys/bulk")
def keys_bulk() -> AnyResponse:
    """Switch several keys on or off."""
    ids = [int(text) for text in request.form.getlist("id") if text.isdigit()]
    if not ids:
        return to_page("admin.keys", _("Select some keys first."), "warning")
    on = request.form.get("action") == "enable"
    try:
        count = len(services().keys.enable(ids, on, actor()))
    except NotFound:
        words = _("One of the keys is gone; nothing was changed.")
        return to_page("admin.keys", words, "danger")
    if on:
        flash(ngettext("%(num)d key enabled.", "%(num)d keys enabled.", count), "success")
    else:
        flash(ngettext("%(num)d key disabled.", "%(num)d keys disabled.", count), "success")
    return to_page("admin.keys")


def _models() -> dict[int, Model]:
    return {model.id: model for model in services().catalog.models()}


def _form(**data: object) -> KeyForm:
    form = KeyForm(data=data)
    form.models.choices = chosen_from((m.id, m.display_name) for m in services().catalog.models())
    return form


def _form_page(form: KeyForm, key: Key | None = None) -> str:
    """Return the page that changes a key, or makes one."""
    return render_template(
        "admin/keys/form.html",
        form=form,
        key=key,
        role_fields=ROLE_FIELDS,
        zones=sorted(available_timezones()),
        opened={*form.errors, *(_said(form) if key else ())},
    )


def _said(form: KeyForm) -> list[str]:
    """Return the folded fields that say something."""
    plain = {"zone", "priority", "scopes", "log_bodies", "enabled"}
    return [field.name for field in form if field.data and field.name not in plain]


def _kept_expiry(form: KeyForm, key: Key) -> dict[str, object]:
    """Return the form's values; an expiry that was not touched stays to the second."""
    values = form.values(datetime.now(UTC))
    if form.lifetime.data == "date" and form.expires_on.data == filled(key)["expires_on"]:
        del values["expires_at"]
    return values


def _predecessor(key: Key) -> Key | None:
    try:
        return None if key.rotated_from is None else services().keys.get(key.rotated_from)
    except NotFound:
        return None


def _since_now() -> int:
    return int(datetime.now(UTC).timestamp())
