"""Alerts: who is told of what, a test for each target, and what was sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import render_template, request, url_for
from flask_bootstrap import SwitchField
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import SubmitField

from gateway.admin import bp
from gateway.admin.answers import Question, asked, sent
from gateway.admin.forms.fields import CHOICES, CheckList, chosen_from, schema_field
from gateway.management.alert_targets import NEW
from gateway.schemas.alert import RULES, TITLES, AlertTarget
from gateway.store import alerts as stored
from gateway.web.context import actor, services
from gateway.web.security import to_page
from gateway.web.words import _, _l, translated

LOG_LIMIT = 50
_PLAIN = ("name", "kind", "username", "sender", "recipients", "language", "quiet_s", "enabled")
_SECRETS = ("url", "token")


class AlertForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF ships no types
    """A target of alerts, each field as the schema has it."""

    rules = CheckList(
        _l("Alert about"), choices=chosen_from((one, _l(TITLES[one])) for one in RULES)
    )
    forget_token = SwitchField(_l("Forget the stored token or password"))
    submit = SubmitField(_l("Save target"))


for _name in (*_SECRETS, *_PLAIN):
    setattr(AlertForm, _name, schema_field(AlertTarget, _name))


@bp.get("/settings/alerts")
def settings_alerts() -> str:
    """Show the targets, and what was sent."""
    before = max(0, min(request.args.get("before", 0, int), 2**62))
    entries = services().store.read(stored.page, before=before, limit=LOG_LIMIT + 1)
    return render_template(
        "admin/settings/alerts.html",
        targets=services().alert_targets.all(),
        titles=TITLES,
        kinds=CHOICES,
        entries=entries[:LOG_LIMIT],
        older=entries[LOG_LIMIT - 1].id if len(entries) > LOG_LIMIT else None,
        is_first=not before,
    )


@bp.route("/settings/alerts/new", methods=["GET", "POST"])
def alert_new() -> AnyResponse | str:
    """Add a target."""
    form = AlertForm(obj=NEW)
    made = sent(form, lambda: services().alert_targets.create(_values(form), actor()))
    if made is not None:
        return _back(_("“%(name)s” was added.", name=made.name))
    return render_template("admin/settings/alert_form.html", form=form)


@bp.route("/settings/alerts/<id:target_id>", methods=["GET", "POST"])
def alert(target_id: int) -> AnyResponse | str:
    """Change a target; its address and token are not shown, and stay where none is typed."""
    found = services().alert_targets.get(target_id)
    form = AlertForm(obj=replace(found, url="", token=""))
    saved = sent(form, lambda: services().alert_targets.update(target_id, _values(form), actor()))
    if saved is not None:
        return _back(_("“%(name)s” was changed.", name=saved.name))
    return render_template("admin/settings/alert_form.html", form=form, target=found)


@bp.post("/settings/alerts/<id:target_id>/test")
def alert_test(target_id: int) -> AnyResponse:
    """Send a test to a target and say what came of it."""
    target = services().alert_targets.get(target_id)
    outcome = services().alerts.attempt(target)
    kind = "success" if outcome.is_sent else "danger"
    return _back(f"{target.name}: {translated(outcome.words)}", kind)


@bp.route("/settings/alerts/<id:target_id>/delete", methods=["GET", "POST"])
def alert_delete(target_id: int) -> AnyResponse | str:
    """Remove a target, after a question."""
    found = services().alert_targets.get(target_id)
    back = url_for("admin.alert", target_id=target_id)
    title = _("Remove “%(name)s”?", name=found.name)
    effects = [_("Nothing is sent there any more; what was sent stays in the list.")]
    if page := asked(Question(title, _("Remove target"), back, found.name, effects)):
        return page
    services().alert_targets.delete(target_id, actor())
    return _back(_("“%(name)s” was removed.", name=found.name))


def _values(form: AlertForm) -> dict[str, Any]:
    values: dict[str, Any] = {name: form[name].data for name in _PLAIN}
    values["rules"] = list(form.rules.data or ())
    for name in _SECRETS:  # what was typed; what is stored is not in the form
        if typed := request.form.get(name, "").strip():
            values[name] = typed
    if form.forget_token.data and "token" not in values:
        values["token"] = ""
    return values


def _back(words: str, kind: str = "success") -> AnyResponse:
    return to_page("admin.settings_alerts", words, kind)
