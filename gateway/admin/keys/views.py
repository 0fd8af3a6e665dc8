"""Keys: who may call. List, make, change, rotate, revoke, and the wait for a first call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

from flask import Response, abort, flash, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from gateway.admin import bp, confirm
from gateway.admin.forms.errors import into_form
from gateway.admin.forms.fields import chosen_from
from gateway.admin.forms.keys import KeyForm, RotateForm, filled
from gateway.admin.keys import presenters, snippets
from gateway.admin.usage import charts
from gateway.core.catalog import Model
from gateway.core.requests import Filter
from gateway.errors import InvalidRequest, NotFound
from gateway.reports import key_status
from gateway.reports.key_status import DAYS
from gateway.schemas.key import Key
from gateway.store import audit, key_queries
from gateway.store.usage import request_queries
from gateway.web.context import actor, services
from gateway.web.one_time_secret import given, hand_over
from gateway.web.words import _, ngettext

LIMIT = 50
SLOT = "new_key"
_STATES = {"working": True, "off": False}


@bp.get("/keys")
def keys() -> str:
    """List keys with what they used."""
    search = request.args.get("search", "").strip()[:100]
    order, state = request.args.get("sort", "new"), request.args.get("state", "")
    works = _STATES.get(state)
    offset = max(0, min(request.args.get("offset", 0, int), 2**31))
    now = datetime.now(UTC)
    since = (now - timedelta(days=DAYS)).replace(hour=0, minute=0, second=0, microsecond=0)
    found = services().store.read_slow(
        key_queries.search,
        now,
        search,
        works=works,
        order=order,
        since=since,
        limit=LIMIT,
        offset=offset,
    )
    return render_template(
        "admin/keys/list.html",
        rows=_rows(found, since, now),
        total=services().store.read(key_queries.count, now, search, works=works),
        search=search,
        is_filtered=bool(search or state),
        order=order,
        offset=offset,
        limit=LIMIT,
        states=[("working", _("Working")), ("off", _("Not working"))],
        orders=_order_words(),
    )


@bp.route("/keys/new", methods=["GET", "POST"])
def key_new() -> AnyResponse | str:
    """Make a key; its secret is shown on the page that follows, once."""
    form = _form(name=request.args.get("name", ""), zone=_default_zone())
    if form.validate_on_submit():
        try:
            values = form.values(datetime.now(UTC)) | {"enabled": True}
            key, secret = services().keys.issue(values, actor())
        except InvalidRequest as error:
            into_form(form, error)
        else:
            return redirect(
                url_for("admin.key_created", token=hand_over(SLOT, secret, key.id)), 303
            )
    return _form_page(form, _("New key"), _("Create key"), url_for("admin.keys"))


@bp.get("/keys/created/<token>")
def key_created(token: str) -> AnyResponse | str:
    """Show the secret of a key that was just made. A second look finds nothing."""
    found = given(SLOT, token)
    if found is None:
        flash(_("A key is shown only once. If it was not copied, rotate it."), "warning")
        return redirect(url_for("admin.keys"), 303)
    key_id, secret = found
    key = _key(key_id)
    pieces = snippets.snippets(secret, snippets.example(key), snippets.base_url())
    return render_template(
        "admin/keys/created.html",
        key=key,
        secret=secret,
        pieces=pieces,
        since=_since_now(),
        old=_predecessor(key),
    )


@bp.get("/keys/<id:key_id>")
def key(key_id: int) -> str:
    """Show a key: usage, limits, how to use it, its requests and its changes."""
    found = _key(key_id)
    now = datetime.now(UTC)
    store = services().store
    report = key_status.report(store, found, now)
    return render_template(
        "admin/keys/detail.html",
        key=found,
        status=presenters.state(found, now),
        models=presenters.model_names(found, _models()),
        bars=[presenters.bar(one.budget, one.used) for one in report.budgets],
        rates=presenters.rates(found),
        predecessor=_predecessor(found),
        sums=report.sums,
        chart=charts.per_day(Filter(key_id=key_id), DAYS),
        calls=store.read(request_queries.page, Filter(key_id=key_id), limit=10),
        log=store.read(audit.page, object_kind="key", object_id=str(key_id), limit=20),
        pieces=snippets.snippets(
            snippets.PLACEHOLDER, snippets.example(found), snippets.base_url()
        ),
        since=_since_now(),
    )


@bp.route("/keys/<id:key_id>/edit", methods=["GET", "POST"])
def key_edit(key_id: int) -> AnyResponse | str:
    """Change a key; its secret stays."""
    found = _key(key_id)
    form = _form(**filled(found))
    if form.validate_on_submit():
        try:
            services().keys.update(key_id, _kept_expiry(form, found), actor())
        except InvalidRequest as error:
            into_form(form, error)
        else:
            flash(_("The key was changed. Running calls keep the old limits."), "success")
            return redirect(url_for("admin.key", key_id=key_id), 303)
    heading = _("Edit “%(name)s”", name=found.name)
    back = url_for("admin.key", key_id=key_id)
    return _form_page(form, heading, _("Save"), back, editing=True)


@bp.route("/keys/<id:key_id>/rotate", methods=["GET", "POST"])
def key_rotate(key_id: int) -> AnyResponse | str:
    """Make a new secret with the same rights; the old one ends after a while."""
    found = _key(key_id)
    form = RotateForm()
    if form.validate_on_submit():
        try:
            new, secret = services().keys.rotate(key_id, form.grace_hours.data, actor())
        except InvalidRequest as error:
            into_form(form, error)
        else:
            return redirect(
                url_for("admin.key_created", token=hand_over(SLOT, secret, new.id)), 303
            )
    return render_template("admin/keys/rotate.html", key=found, form=form)


@bp.route("/keys/<id:key_id>/revoke", methods=["GET", "POST"])
def key_revoke(key_id: int) -> AnyResponse | str:
    """End a key for ever, after saying what that affects."""
    found = _key(key_id)
    question = _revoke_question(found)
    if confirm.answered(question):
        services().keys.revoke([key_id], actor())
        flash(_("“%(name)s” was revoked.", name=found.name), "success")
        return redirect(url_for("admin.key", key_id=key_id), 303)
    return confirm.page(question)


@bp.route("/keys/<id:key_id>/delete", methods=["GET", "POST"])
def key_delete(key_id: int) -> AnyResponse | str:
    """Remove a key from the list; what it used stays in the statistics."""
    found = _key(key_id)
    question = confirm.Question(
        title=_("Delete “%(name)s”?", name=found.name),
        yes=_("Delete key"),
        back=url_for("admin.key", key_id=key_id),
        back_words=found.name,
        words=_("Apps that use it get an error from now on. This cannot be undone."),
        effects=[_("Its requests stay in the log under its name.")],
        typed=found.name,
    )
    if confirm.answered(question):
        services().keys.delete(key_id, actor())
        flash(_("“%(name)s” was deleted.", name=found.name), "success")
        return redirect(url_for("admin.keys"), 303)
    return confirm.page(question)


@bp.post("/keys/<id:key_id>/enabled")
def key_enabled(key_id: int) -> AnyResponse:
    """Switch a key on or off."""
    on = request.form.get("to") == "on"
    _key(key_id)
    services().keys.enable([key_id], on, actor())
    flash(_("The key works again.") if on else _("The key is switched off."), "success")
    return redirect(url_for("admin.key", key_id=key_id), 303)


@bp.post("/keys/bulk")
def keys_bulk() -> AnyResponse:
    """Switch several keys on or off."""
    ids = [int(text) for text in request.form.getlist("id") if text.isdigit()]
    on = request.form.get("action") == "enable"
    if not ids:
        flash(_("Choose some keys first."), "warning")
        return redirect(url_for("admin.keys"), 303)
    try:
        changed = services().keys.enable(ids, on, actor())
    except NotFound:
        flash(_("One of the keys is gone; nothing was changed."), "danger")
    else:
        one, many = ("%(num)d key enabled.", "%(num)d keys enabled.")
        if not on:
            flash(
                ngettext("%(num)d key disabled.", "%(num)d keys disabled.", len(changed)), "success"
            )
        else:
            flash(ngettext(one, many, len(changed)), "success")
    return redirect(url_for("admin.keys"), 303)


@bp.get("/keys/<id:key_id>/first-call")
def key_first_call(key_id: int) -> Response:
    """Return the waiting page whether a call arrived since it was opened, and how it went."""
    since = datetime.fromtimestamp(max(0, min(request.args.get("since", 0, int), 2**33)), UTC)
    call = services().store.read(request_queries.first_of_key, key_id, since)
    if call is None or not call.settled:
        return jsonify(arrived=False)
    url = url_for("admin.request_detail", request_id=call.request_id)
    if call.failed:
        words = call.error_message or call.error_code
        return jsonify(
            arrived=True,
            kind="warn",
            title=_("A request arrived and was refused (%(status)s).", status=call.status),
            words=words,
            url=url,
            link=_("See what happened"),
        )
    return jsonify(
        arrived=True,
        kind="good",
        title=_("Received. It works."),
        words=presenters.figures(call),
        url=url,
        link=_("See the request"),
    )


def _rows(found: list[Key], since: datetime, now: datetime) -> list[presenters.KeyRow]:
    store = services().store
    spent = store.read(key_queries.spent, found, now)
    used = store.read_slow(key_queries.sums, found, since, now)
    models = _models()
    return [presenters.row(key, now, models, spent[key.id], used[key.id]) for key in found]


def _key(key_id: int) -> Key:
    try:
        return services().keys.get(key_id)
    except NotFound:
        abort(404)


def _models() -> dict[int, Model]:
    return {model.id: model for model in services().catalog.models()}


def _form(**data: object) -> KeyForm:
    form = KeyForm(data=data)
    form.models.choices = chosen_from((m.id, m.display_name) for m in services().catalog.models())
    return form


def _form_page(form: KeyForm, heading: str, words: str, back: str, editing: bool = False) -> str:
    return render_template(
        "admin/keys/form.html",
        form=form,
        heading=heading,
        submit_words=words,
        back=back,
        editing=editing,
        zones=sorted(available_timezones()),
        opened=_opened(form) if editing else (),
    )


def _opened(form: KeyForm) -> tuple[str, ...]:
    """Return the folded fields that say something, so that their fold starts open."""
    plain = {"zone", "priority", "scopes", "log_bodies", "enabled"}
    asked = ("concurrent",) if request.args.get("open") == "limits" else ()
    return asked + tuple(field.name for field in form if field.data and field.name not in plain)


def _kept_expiry(form: KeyForm, key: Key) -> dict[str, object]:
    """Return the form's values; an expiry that was not touched stays to the second."""
    values = form.values(datetime.now(UTC))
    if form.lifetime.data == "date" and form.expires_on.data == filled(key)["expires_on"]:
        del values["expires_at"]
    return values


def _predecessor(key: Key) -> Key | None:
    if key.rotated_from is None:
        return None
    try:
        return services().keys.get(key.rotated_from)
    except NotFound:
        return None


def _revoke_question(key: Key) -> confirm.Question:
    running = sum(call.key_id == key.id for call in services().live.snapshot())
    effects = [_("Apps that use it get an error from now on. It cannot be made valid again.")]
    if running:
        effects.append(
            ngettext("%(num)d running call ends.", "%(num)d running calls end.", running)
        )
    effects.append(_("Leaked, but still needed? Rotate it instead: same rights, new secret."))
    return confirm.Question(
        title=_("Revoke “%(name)s”?", name=key.name),
        yes=_("Revoke key"),
        back=url_for("admin.key", key_id=key.id),
        back_words=key.name,
        effects=effects,
    )


def _order_words() -> list[tuple[str, str]]:
    return [
        ("new", _("Newest first")),
        ("name", _("By name")),
        ("used", _("Last used first")),
        ("requests", _("Most requests")),
        ("tokens", _("Most tokens")),
    ]


def _default_zone() -> str:
    return services().settings.behaviour().display_timezone


def _since_now() -> int:
    return int(datetime.now(UTC).timestamp())
