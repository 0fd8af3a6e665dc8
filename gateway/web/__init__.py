"""What every page for people shares: language, formats, cookies, headers, error pages.

`init_app` binds it to an application; the blueprints `auth` and `admin` call `protect` for their
own responses.
"""

from __future__ import annotations

from flask import Flask, Response, request, session

from gateway.web import cookies, language, template_filters

_YEAR_S = 31_536_000
_HOUR_S = 3_600
_STRANGERS_BYTES = 64 << 10
_FORM_BYTES = 2 << 20
_LARGE_BYTES = 512 << 20
_LARGE = ("/admin/settings/backup/import", "/admin/playground/run")


def init_app(app: Flask) -> None:
    """Add the console's language, formats and cookies to `app`."""
    app.session_interface = cookies.ConsoleSession()
    app.permanent_session_lifetime = cookies.LIFE
    language.init_app(app)
    template_filters.init_app(app)
    app.after_request(_keep_files)
    # before the form is read for its token, which happens first of all
    app.before_request_funcs.setdefault(None, []).insert(0, _limit_forms)


def _limit_forms() -> None:
    """Bound what is read of a form: little from strangers, much only where files are taken."""
    if not request.path.startswith(("/admin", "/auth")):
        return
    if "_user_id" not in session:
        request.max_content_length = _STRANGERS_BYTES
    elif request.path.startswith(_LARGE):
        request.max_content_length = _LARGE_BYTES
    else:
        request.max_content_length = _FORM_BYTES


def _keep_files(response: Response) -> Response:
    """Set how long browsers keep our files: for ever where the address has a version."""
    if request.endpoint in {"static", "bootstrap.static"}:
        response.headers["X-Content-Type-Options"] = "nosniff"
        if response.status_code in {200, 304} and "v" in request.args:
            response.headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable"
        elif response.status_code in {200, 304} and request.endpoint == "bootstrap.static":
            response.headers["Cache-Control"] = f"public, max-age={_HOUR_S}"
    return response
