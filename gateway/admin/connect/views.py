"""Connect an app: its configuration with address, key and model, and a test by its calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import render_template, request

from gateway.admin import bp
from gateway.admin.connect.lines import Line
from gateway.admin.connect.pasted import check_address, check_key
from gateway.admin.connect.trial import Trial
from gateway.admin.keys.presenters import PLACEHOLDER, base_url, connected
from gateway.admin.playground.choices import MOST_KEYS, working_keys
from gateway.core.catalog import Model
from gateway.management.keyring import refusal
from gateway.policy import roles
from gateway.policy.clients.kit import KIT, Client, missing
from gateway.policy.clients.snippets import Snippet, is_local, snippets
from gateway.reports.connect import window_of
from gateway.schemas.key import Key
from gateway.web.context import services
from gateway.web.words import _, translated

_FIRST_APP = "python"
_MAX_TEXT = 500


@dataclass(frozen=True, slots=True)
class Setup:
    """What is connected: an application, a key, and one of the models that the key may use (None
    where there is none); `models` are their names, to choose from."""

    client: Client
    key: Key
    model: Model | None
    models: list[tuple[str, str]]

    @property
    def model_name(self) -> str:
        """The display name of the model; "" without one."""
        return self.model.display_name if self.model else ""

    @property
    def window(self) -> int:
        """The tokens of the model's context window; 0: not known."""
        return window_of(self.model, services().scheduler.views()) if self.model else 0

    @property
    def lacking(self) -> list[str]:
        """What the model lacks for the application, a sentence each."""
        if self.model is None:
            return []
        return [translated(words) for words in missing(self.client, self.model, self.window)]

    @property
    def piece(self) -> Snippet:
        """How the application is set up."""
        answered = roles.answered(self.key)
        found = snippets(PLACEHOLDER, self.model_name, base_url(), self.window, answered)
        return next(piece for piece in found if piece.id == self.client.id)


@bp.get("/connect")
def connect() -> str:
    """Show how an application is set up."""
    return _page(_setup())


@bp.post("/connect/test")
def connect_test() -> str:
    """Make the calls of an application as a key, and show how each went."""
    setup = _setup()
    return _page(setup, _tried(setup) if setup else ())


@bp.post("/connect/check")
def connect_check() -> str:
    """Return what is wrong with an address and a key that were pasted. Neither is shown again."""
    setup = _setup()
    if setup is None:
        return _page(None)
    address = request.form.get("address", "")[:_MAX_TEXT]
    secret = request.form.get("secret", "")[:_MAX_TEXT]
    checked = []
    if address.strip():
        checked.append(check_address(address, setup.client, base_url()))
    if secret.strip():
        checked.append(check_key(services(), secret, setup.model_name, datetime.now(UTC)))
    return _page(setup, checked=checked)


def _setup() -> Setup | None:
    """Return what the address or form asks for, or what suits; None while there is no key."""
    keys = working_keys(datetime.now(UTC))
    key_id = request.values.get("key", 0, int)
    key = services().keys.get(key_id) if key_id else next(iter(keys), None)
    if key is None:
        return None
    client = KIT.get(request.values.get("app", ""), KIT[_FIRST_APP])
    link = connected(key, chosen=request.values.get("model", ""))
    models = [(model.display_name, model.display_name) for model in link.choices]
    return Setup(client, key, link.model, models)


def _tried(setup: Setup) -> list[Line]:
    error = refusal(setup.key, datetime.now(UTC))
    if error is not None:
        return [Line(_("Key"), translated(error.message), False)]
    if setup.model is None:
        return [Line(_("Model"), _("There is no model that this key may use."), False)]
    return Trial(services(), setup.key, setup.client, setup.model).lines()


def _page(setup: Setup | None, tried: Sequence[Line] = (), checked: Sequence[Line] = ()) -> str:
    keys = working_keys(datetime.now(UTC))[:MOST_KEYS]
    if setup and setup.key.id not in {key.id for key in keys}:
        keys = [setup.key, *keys]
    return render_template(
        "admin/connect/index.html",
        setup=setup,
        keys=[(key.id, f"{key.name} ({key.prefix}…{key.last4})") for key in keys],
        clients=KIT.values(),
        is_local=is_local(base_url()),
        base=base_url(),
        tried=tried,
        checked=checked,
    )
