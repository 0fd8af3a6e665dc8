"""What every page for people shares: language, formats, cookies, headers, error pages.

`init_app` binds it to an application; the blueprints `auth` and `admin` call `protect` for their
own responses.
"""

from __future__ import annotations

from flask import Flask

from gateway.pages import cookies, formats, language


def init_app(app: Flask) -> None:
    """Give `app` the console's language, formats and cookies."""
    app.session_interface = cookies.ConsoleSession()
    language.init_app(app)
    formats.init_app(app)
