"""A key and an address as somebody typed them into an application: what is wrong with them."""

from __future__ import annotations

from datetime import datetime

from flask import url_for

from gateway.admin.connect.lines import Line
from gateway.core.secrets import KEY_PREFIX, TOKEN_PREFIX, digest, is_well_formed
from gateway.errors import GatewayError
from gateway.policy.clients import address
from gateway.policy.clients.kit import Client
from gateway.schemas.key import Key
from gateway.store import keys
from gateway.web.context import Services
from gateway.web.template_filters import when
from gateway.web.words import _, translated


def check_address(text: str, client: Client, base: str) -> Line:
    """Return whether a typed address is the one that a client needs."""
    trouble = address.wrong(text, client, base)
    words = translated(trouble) if trouble else _("This is the address of this gateway.")
    return Line(_("Address"), words, trouble is None)


def check_key(parts: Services, text: str, model: str, now: datetime) -> Line:
    """Return whether a typed key works, and may use the model of this name."""
    secret = text.strip().strip("\"'").removeprefix("Bearer ").strip()
    key = parts.store.read(keys.find_by_digest, digest(secret))
    if key is None:
        return Line(_("Key"), _unknown(secret), False)
    place = (_("Key %(name)s", name=key.name), url_for("admin.key", key_id=key.id))
    trouble = _refused(key, now)
    if trouble:
        return Line(_("Key"), trouble, False, place)
    try:
        if model:
            parts.catalog.resolve(model, key)
    except GatewayError as error:
        return Line(_("Key"), translated(error.message), False, place)
    return Line(_("Key"), _("The key “%(name)s” works.", name=key.name), True, place)


def _unknown(secret: str) -> str:
    if secret.startswith(TOKEN_PREFIX):
        return _("This is an admin token, which opens no models: use a key.")
    if secret.startswith(KEY_PREFIX) and not is_well_formed(secret, KEY_PREFIX):
        return _("A character of this key is missing or wrong: copy all of it again.")
    return _("This key is not known here: it was deleted, or belongs to another gateway.")


def _refused(key: Key, now: datetime) -> str:
    """Return why a key does not work now; "" if it does."""
    if key.revoked_at is not None and now >= key.revoked_at:
        return _("This key was revoked on %(date)s: make a new one.", date=when(key.revoked_at))
    if not key.enabled:
        return _("This key is disabled: enable it on its page.")
    if key.expires_at is not None and now >= key.expires_at:
        return _("This key expired on %(date)s: give it more time.", date=when(key.expires_at))
    return ""
