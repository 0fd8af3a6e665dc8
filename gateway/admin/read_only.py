"""What a viewer sees of the console: pages that only change something are closed, and forms on the
others are shown, but disabled."""

from __future__ import annotations

import re
from typing import Final

from flask import request
from flask.globals import request_ctx
from flask_login import current_user
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from gateway.web.words import _

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_AFFAIRS: Final = frozenset(
    {"admin.password", "admin.end_session", "admin.two_factor", "admin.recovery_codes_new"}
)
"""What a viewer may still do: look after the own account."""
_SHOWN: Final = frozenset(
    {"admin.model_names", "admin.model_parameters", "admin.server", "admin.settings"}
)
"""Forms that also show what there is; all others are for a change only."""
_FORM: Final = re.compile(r'(<form\b[^>]*\bmethod="post"[^>]*>)(.*?)(</form>)', re.DOTALL)
_ACTION: Final = re.compile(r'\baction="([^"]*)"')


def may_change() -> bool:
    """Return whether who is signed in may change anything."""
    return bool(current_user.is_authenticated) and current_user.role != "viewer"


def is_closed() -> bool:
    """Return whether this request is not for somebody who only views: a change, or a page that is
    only there for one."""
    endpoint, rule = request.endpoint, request.url_rule
    if endpoint in OWN_AFFAIRS:
        return False
    if request.method not in READING or endpoint == "admin.welcome":
        return True
    return rule is not None and "POST" in (rule.methods or ()) and endpoint not in _SHOWN


def read_only(page: str) -> Markup:
    """Return a part of a page with every form that its viewer may not send in a disabled fieldset;
    above it stands why. A filter of `shell.html`."""
    if may_change():
        return Markup(page)
    body, count = _FORM.subn(_disabled, page)
    note = ""
    if count and "<fieldset disabled" in body:
        words = _("Read only: your role does not allow changes.")
        note = Markup('<p class="text-body-secondary small" role="note">{}</p>').format(words)
    return Markup(note) + Markup(body)


def _disabled(form: re.Match[str]) -> str:
    opening, content, closing = form.groups()
    if _may_send(opening):
        return form[0]
    title = Markup("{}").format(_("Read only"))
    return f'{opening}<fieldset disabled title="{title}">{content}</fieldset>{closing}'


def _may_send(opening: str) -> bool:
    """Return whether a viewer may send the form with this start tag."""
    found = _ACTION.search(opening)
    path = Markup(found[1]).unescape() if found else request.path
    path = path.removeprefix(request.script_root).partition("?")[0]
    adapter = request_ctx.url_adapter
    if adapter is None:
        return False
    try:
        endpoint, _values = adapter.match(path, method="POST")
    except HTTPException:
        return False
    return endpoint in OWN_AFFAIRS or endpoint.startswith("auth.")
