"""The forms of the keys page: a key, its rotation, and its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask_wtf import FlaskForm
from wtforms import DateField, Field, RadioField, SelectField, SubmitField
from wtforms.validators import Optional, ValidationError

from gateway.admin.edits import EditForm
from gateway.admin.forms.fields import CheckList, CountField, chosen_from, schema_field
from gateway.dialects import ENDPOINTS, LOAD
from gateway.policy.roles import ROLES
from gateway.schemas import convert
from gateway.schemas.key import DEFAULT_SCOPES, Key
from gateway.web.words import _, _l

LIFETIMES = {
    "never": _l("Never"),
    "1": _l("In a day"),
    "7": _l("In a week"),
    "30": _l("In 30 days"),
    "90": _l("In 90 days"),
    "365": _l("In a year"),
    "date": _l("On a date …"),
}
SCOPE_WORDS = {
    scope: ", ".join(one.paths[0] for one in ENDPOINTS if one.scope == scope)
    for scope in dict.fromkeys(one.scope for one in ENDPOINTS)
} | {LOAD: _l("Load models without a prompt, as Ollama's own API can")}
BUDGET_WORDS = {
    "requests_day": _l("Requests per day"),
    "requests_week": _l("Requests per week"),
    "requests_month": _l("Requests per month"),
    "requests_total": _l("Total requests"),
    "tokens_day": _l("Tokens per day"),
    "tokens_week": _l("Tokens per week"),
    "tokens_month": _l("Tokens per month"),
    "tokens_total": _l("Total tokens"),
}
_NO_LIMIT: dict[str, object] = {"min": 0, "inputmode": "numeric", "placeholder": "–"}
_NO_BUDGET: dict[str, object] = {"inputmode": "numeric", "placeholder": "–", "autocomplete": "off"}
ROLE_FIELDS = tuple(f"{role}_model" for role in ROLES)
_LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrent")
_MODEL_NAME: dict[str, object] = {"list": "model-names", "autocomplete": "off"}
_MARKS: dict[str, dict[str, object]] = {
    **dict.fromkeys(_LIMITS, _NO_LIMIT),
    **dict.fromkeys(ROLE_FIELDS, _MODEL_NAME),
    "name": {"autofocus": True},
    "tags": {"placeholder": _l("team, project")},
}
_OTHERWISE = {"allow", "model_ids", "expires_at", "budgets", "scopes", "log_bodies"}
PLAIN = [name for name in convert.fields_of(Key) if name not in _OTHERWISE]
"""The fields of a key that the form has as they are."""


class KeyForm(EditForm):
    """Everything about a key but the secret: here what is asked otherwise than by its schema, below
    the fields as the schema has them."""

    elsewhere: dict[str, str]

    access = RadioField(
        _l("Models"),
        choices=chosen_from(
            (("all", _l("All models, also later ones")), ("some", _l("Only these")))
        ),
        default="all",
    )
    models = CheckList(_l("Chosen models"), coerce=int)
    patterns = schema_field(Key, "allow", placeholder="qwen3*")
    lifetime = SelectField(_l("Expires"), choices=chosen_from(LIFETIMES.items()), default="never")
    expires_on = DateField(
        _l("Last day"),
        validators=[Optional()],
        description=_l("The key works until the end of this day."),
    )
    scopes = CheckList(
        _l("Endpoints"), choices=chosen_from(SCOPE_WORDS.items()), default=list(DEFAULT_SCOPES)
    )
    log_bodies = SelectField(
        _l("Prompt logging"),
        choices=chosen_from(
            (("inherit", _l("As in the settings")), ("on", _l("Yes")), ("off", _l("No")))
        ),
        default="inherit",
    )
    submit = SubmitField(_l("Create key"))

    def validate_access(self, field: Field) -> None:
        """Ticked models and "all" do not fit: nobody shall be allowed more than was meant."""
        if field.data == "all" and self.models.data:
            raise ValidationError(_("You ticked models: choose “Only these”, or untick them."))

    def validate_models(self, field: Field) -> None:
        """A key that may use nothing is a mistake."""
        if self.access.data == "some" and not field.data and not self.patterns.data:
            raise ValidationError(_("Choose at least one model, or allow all."))

    def validate_lifetime(self, field: Field) -> None:
        """A date is needed when one was promised."""
        if field.data == "date" and self.expires_on.data is None and not self.expires_on.errors:
            raise ValidationError(_("Choose the last day."))

    def validate_scopes(self, field: Field) -> None:
        """Without an endpoint there is nothing to call."""
        if not field.data:
            raise ValidationError(_("Choose at least one endpoint."))

    def values(self, now: datetime) -> dict[str, Any]:
        """Return what the form says as `schemas.key` reads it."""
        everything = self.access.data == "all"
        spending = [name for name in BUDGET_WORDS if self[name].data]
        budgets = [
            dict(zip(("metric", "period"), name.split("_"), strict=True), limit=self[name].data)
            for name in spending
        ]
        self.elsewhere = {f"budgets[{number}]": name for number, name in enumerate(spending)}
        self.elsewhere |= {"allow": "patterns", "model_ids": "models", "expires_at": "expires_on"}
        return {name: self[name].data for name in PLAIN if self[name].data is not None} | {
            **{name: self[name].data or 0 for name in _LIMITS},
            "allow": ["*"] if everything else list(self.patterns.data or ()),
            "model_ids": [] if everything else list(self.models.data or ()),
            "expires_at": self._expires_at(now),
            "scopes": list(self.scopes.data or ()),
            "budgets": budgets,
            "zone": self.zone.data or "UTC",
            "log_bodies": {"inherit": None, "on": True, "off": False}[self.log_bodies.data],
        }

    def _expires_at(self, now: datetime) -> datetime | None:
        choice = self.lifetime.data
        if choice == "never":
            return None
        if choice == "date":
            day = self.expires_on.data
            return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        return now + timedelta(days=int(choice))


for _name in PLAIN:
    setattr(KeyForm, _name, schema_field(Key, _name, **_MARKS.get(_name, {})))
for _name, _words in BUDGET_WORDS.items():
    setattr(KeyForm, _name, CountField(_words, render_kw=_NO_BUDGET))


def filled(key: Key) -> dict[str, Any]:
    """Return the form's data for an existing key."""
    every, until = "*" in key.allow, key.expires_at
    return {
        **{name: getattr(key, name) for name in PLAIN},
        **{name: getattr(key, name) or None for name in _LIMITS},
        **{f"{one.metric}_{one.period}": one.limit for one in key.budgets},
        "access": "all" if every else "some",
        "models": list(key.model_ids),
        "patterns": () if every else key.allow,
        "lifetime": "never" if until is None else "date",
        "expires_on": None if until is None else (until - timedelta(microseconds=1)).date(),
        "scopes": list(key.scopes),
        "log_bodies": {None: "inherit", True: "on", False: "off"}[key.log_bodies],
    }


class RotateForm(FlaskForm):  # type: ignore[misc]  # as above
    """How long the old secret stays valid beside the new one."""

    grace_hours = SelectField(
        _l("The old key stays valid for"),
        coerce=int,
        default=24,
        choices=chosen_from(
            [
                (0, _l("not at all: it has leaked")),
                (1, _l("an hour")),
                (24, _l("a day")),
                (168, _l("a week")),
                (720, _l("30 days")),
            ]
        ),
    )
    submit = SubmitField(_l("Make a new key"))
