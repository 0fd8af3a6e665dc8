"""The form of a server."""

from __future__ import annotations

from flask_bootstrap import SwitchField
from flask_wtf import FlaskForm
from wtforms import SubmitField

from gateway.admin.forms.fields import schema_field
from gateway.schemas.server import Server
from gateway.web.words import _l


class ServerForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF ships no types
    """An Ollama server."""

    url = schema_field(Server, "url")
    name = schema_field(Server, "name")
    weight = schema_field(Server, "weight")
    slots = schema_field(Server, "slots")
    auth_header = schema_field(Server, "auth_header")
    forget_header = SwitchField(_l("Forget the stored header"))
    tls_verify = schema_field(Server, "tls_verify")
    tls_ca_file = schema_field(Server, "tls_ca_file")
    tags = schema_field(Server, "tags")
    submit = SubmitField(_l("Save server"))
