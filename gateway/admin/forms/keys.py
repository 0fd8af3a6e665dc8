"""The forms of the keys page: a key, its rotation, and its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask_bootstrap import SwitchField
from flask_wtf import FlaskForm
from wtforms import (
    DateField,
    Field,
    IntegerField,
    RadioField,
    SelectField,
    StringField,
    SubmitField,
    TextAreaField,
)
from wtforms.validators import DataRequired, Length, NumberRange, Optional, ValidationError

from gateway.admin.forms.fields import CheckList, JsonField, LinesField, Networks, Zone, chosen_from
from gateway.core.keys import DEFAULT_SCOPES, PERIODS, Key
from gateway.dialects import ENDPOINTS, SCOPES
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
SCOPE_WORDS = {endpoint.name: endpoint.paths[0] for endpoint in ENDPOINTS}
_MOST = 2**31 - 1
_MOST_BUDGET = 2**53 - 1


def _limit(label: str, most: int = _MOST) -> Field:
    return IntegerField(
        label,
        validators=[Optional(), NumberRange(0, most)],
        render_kw={"min": 0, "inputmode": "numeric", "placeholder": "–"},
    )


class KeyForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF ships no types
    """Everything about a key but the secret."""

    name = StringField(
        _l("Name"),
        validators=[DataRequired(_l("Give the key a name.")), Length(max=100)],
        description=_l("Who or what will use it, such as “Claude Code on my laptop”."),
        render_kw={"autocomplete": "off", "autofocus": True},
    )
    access = RadioField(
        _l("Models"),
        choices=chosen_from(
            (("all", _l("All models, also later ones")), ("some", _l("Only these")))
        ),
        default="all",
    )
    models = CheckList(_l("Chosen models"), coerce=int)
    patterns = LinesField(
        _l("Names and patterns"),
        description=_l("One a line; * stands for anything, such as llama3*."),
        render_kw={"rows": 2, "placeholder": "qwen3*"},
    )
    deny = LinesField(
        _l("Never these"),
        description=_l("Names or patterns that stay closed whatever is allowed above."),
        render_kw={"rows": 2},
    )
    lifetime = SelectField(_l("Expires"), choices=chosen_from(LIFETIMES.items()), default="never")
    expires_on = DateField(
        _l("Last day"),
        validators=[Optional()],
        description=_l("The key works until the end of this day."),
    )
    enabled = SwitchField(_l("Enabled"), default=True)

    requests_per_minute = _limit(_l("Requests per minute"))
    tokens_per_minute = _limit(_l("Tokens per minute"))
    concurrent = _limit(_l("Calls at once"))
    requests_day = _limit(_l("Requests per day"), _MOST_BUDGET)
    requests_week = _limit(_l("Requests per week"), _MOST_BUDGET)
    requests_month = _limit(_l("Requests per month"), _MOST_BUDGET)
    requests_total = _limit(_l("Requests in all"), _MOST_BUDGET)
    tokens_day = _limit(_l("Tokens per day"), _MOST_BUDGET)
    tokens_week = _limit(_l("Tokens per week"), _MOST_BUDGET)
    tokens_month = _limit(_l("Tokens per month"), _MOST_BUDGET)
    tokens_total = _limit(_l("Tokens in all"), _MOST_BUDGET)
    zone = StringField(
        _l("Days begin in time zone"),
        validators=[Optional(), Zone()],
        render_kw={"list": "zones", "autocomplete": "off"},
    )
    priority = SelectField(
        _l("Place in the queue"),
        choices=chosen_from(
            [
                ("interactive", _l("First: somebody is waiting")),
                ("normal", _l("Normal")),
                ("batch", _l("Last: work in the background")),
            ]
        ),
        default="normal",
    )

    cidrs = LinesField(
        _l("Only from these addresses"),
        validators=[Networks()],
        description=_l("One a line, such as 192.168.1.0/24. Empty: from anywhere."),
        render_kw={"rows": 2},
    )
    scopes = CheckList(
        _l("Endpoints"), choices=chosen_from(SCOPE_WORDS.items()), default=list(DEFAULT_SCOPES)
    )

    default_params = JsonField(
        _l("Parameters where a client says nothing"),
        render_kw={"rows": 4, "class": "code", "spellcheck": "false", "placeholder": "{}"},
    )
    forced_params = JsonField(
        _l("Parameters in force whatever a client says"),
        render_kw={"rows": 4, "class": "code", "spellcheck": "false", "placeholder": "{}"},
    )

    log_bodies = SelectField(
        _l("Keep prompts and answers"),
        choices=chosen_from(
            (("inherit", _l("As in the settings")), ("on", _l("Yes")), ("off", _l("No")))
        ),
        default="inherit",
    )
    owner = StringField(
        _l("Owner"), validators=[Length(max=200)], render_kw={"autocomplete": "off"}
    )
    tags = LinesField(_l("Tags"), render_kw={"rows": 1, "placeholder": _l("team, project")})
    notes = TextAreaField(_l("Notes"), validators=[Length(max=5_000)], render_kw={"rows": 2})
    submit = SubmitField(_l("Create key"))

    def validate_models(self, field: Field) -> None:
        """A key that may use nothing is a mistake."""
        if self.access.data == "some" and not field.data and not self.patterns.data:
            raise ValidationError(_("Choose at least one model, or allow all."))

    def validate_lifetime(self, field: Field) -> None:
        """A date is needed when one was promised, and it must not be over."""
        if field.data != "date" or self.expires_on.errors:
            return
        day = self.expires_on.data
        if day is None:
            raise ValidationError(_("Choose the last day."))
        if day < datetime.now(UTC).date():
            raise ValidationError(_("This day is over."))

    def validate_scopes(self, field: Field) -> None:
        """Without an endpoint there is nothing to call."""
        if not field.data:
            raise ValidationError(_("Choose at least one endpoint."))

    def values(self, now: datetime) -> dict[str, Any]:
        """Return what the form says as `policy.key_rules` reads it."""
        everything = self.access.data == "all"
        return {
            "name": self.name.data.strip(),
            "enabled": bool(self.enabled.data),
            "allow": ["*"] if everything else list(self.patterns.data or ()),
            "deny": list(self.deny.data or ()),
            "model_ids": [] if everything else list(self.models.data or ()),
            "expires_at": self._expires_at(now),
            "cidrs": list(self.cidrs.data or ()),
            "scopes": [name for name in SCOPES if name in (self.scopes.data or ())],
            "requests_per_minute": self.requests_per_minute.data or 0,
            "tokens_per_minute": self.tokens_per_minute.data or 0,
            "concurrent": self.concurrent.data or 0,
            "budgets": self._budgets(),
            "zone": (self.zone.data or "UTC").strip(),
            "priority": self.priority.data,
            "default_params": self.default_params.data or {},
            "forced_params": self.forced_params.data or {},
            "log_bodies": {"inherit": None, "on": True, "off": False}[self.log_bodies.data],
            "owner": (self.owner.data or "").strip(),
            "tags": list(self.tags.data or ()),
            "notes": (self.notes.data or "").strip(),
        }

    def _budgets(self) -> list[dict[str, Any]]:
        return [
            {"metric": metric, "period": period, "limit": limit}
            for metric in ("requests", "tokens")
            for period in PERIODS
            if (limit := self[f"{metric}_{period}"].data)
        ]

    def _expires_at(self, now: datetime) -> datetime | None:
        choice = self.lifetime.data
        if choice == "never":
            return None
        if choice == "date":
            day = self.expires_on.data
            return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        return now + timedelta(days=int(choice))


def filled(key: Key) -> dict[str, Any]:
    """Return the form's data for an existing key."""
    limits = key.limits
    budgets = {f"{b.metric}_{b.period}": b.limit for b in limits.budgets}
    every = "*" in key.allow
    until = key.expires_at
    return {
        "name": key.name,
        "enabled": key.enabled,
        "access": "all" if every else "some",
        "models": list(key.model_ids),
        "patterns": () if every else key.allow,
        "deny": key.deny,
        "lifetime": "never" if until is None else "date",
        "expires_on": None if until is None else (until - timedelta(microseconds=1)).date(),
        "requests_per_minute": limits.requests_per_minute or None,
        "tokens_per_minute": limits.tokens_per_minute or None,
        "concurrent": limits.concurrent or None,
        **budgets,
        "zone": key.zone,
        "priority": key.priority,
        "cidrs": key.cidrs,
        "scopes": list(key.scopes),
        "default_params": key.default_params,
        "forced_params": key.forced_params,
        "log_bodies": {None: "inherit", True: "on", False: "off"}[key.log_bodies],
        "owner": key.owner,
        "tags": key.tags,
        "notes": key.notes,
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
