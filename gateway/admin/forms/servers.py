"""The form of a server, and what a probe found put into words."""

from __future__ import annotations

from flask_bootstrap import SwitchField
from flask_wtf import FlaskForm
from wtforms import Field, IntegerField, PasswordField, StringField, SubmitField
from wtforms.validators import InputRequired, Length, NumberRange, ValidationError

from gateway.admin.forms.fields import LinesField
from gateway.errors import InvalidRequest
from gateway.ollama import server_url
from gateway.web.service_messages import translated
from gateway.web.words import _l


class ServerForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF ships no types
    """An Ollama server."""

    url = StringField(
        _l("Address"),
        validators=[InputRequired(_l("Type the server's address.")), Length(max=500)],
        description=_l("As Ollama listens, such as http://192.168.1.20:11434."),
        render_kw={
            "placeholder": "http://localhost:11434",
            "inputmode": "url",
            "spellcheck": "false",
        },
    )
    name = StringField(
        _l("Name"),
        validators=[Length(max=100)],
        description=_l("Empty takes the host's name."),
        render_kw={"autocomplete": "off"},
    )
    weight = IntegerField(
        _l("Weight"),
        default=1,
        validators=[InputRequired(_l("Type a number.")), NumberRange(1, 100)],
        description=_l("A server with weight 2 gets twice the calls of one with 1."),
        render_kw={"min": 1, "max": 100},
    )
    slots = IntegerField(
        _l("Calls of one model at once"),
        default=0,
        validators=[NumberRange(0, 1_000)],
        description=_l("As OLLAMA_NUM_PARALLEL on that server. 0 finds it out by itself."),
        render_kw={"min": 0, "max": 1000},
    )
    auth_header = PasswordField(
        _l("Extra header"),
        validators=[Length(max=4_000)],
        description=_l("For a proxy in front of Ollama, such as Authorization: Bearer …"),
        render_kw={"autocomplete": "off"},
    )
    forget_header = SwitchField(_l("Forget the stored header"))
    tls_verify = SwitchField(_l("Check its certificate"), default=True)
    tls_ca_file = StringField(
        _l("File with its certificate authority"),
        validators=[Length(max=500)],
        description=_l("A path on this machine. Empty trusts the usual authorities."),
        render_kw={"autocomplete": "off", "spellcheck": "false"},
    )
    tags = LinesField(_l("Tags"), render_kw={"rows": 1})
    submit = SubmitField(_l("Save server"))

    def validate_url(self, field: Field) -> None:
        """The address must be one the gateway may call."""
        try:
            field.data = server_url.normalise(field.data or "")
        except InvalidRequest as error:
            raise ValidationError(translated(error.message)) from error

    def validate_auth_header(self, field: Field) -> None:
        """One header: a name, a colon, a value."""
        text = field.data or ""
        if text and (":" not in text or any(ord(char) < 0x20 for char in text)):
            raise ValidationError(_l("Write it as Name: value."))
