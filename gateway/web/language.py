"""Which language, theme and time zone a page is in, and where the words come from.

Catalogues are read from the `.po` files themselves: what a translator edits is what is served, and
no build step can be forgotten.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, request, session
from flask_babel import Domain, get_locale

from gateway.web.extensions import babel

FOLDER = Path(__file__).resolve().parent.parent / "translations"
LANGUAGES = {"en": "English", "zh": "简体中文"}
"""Language code to its own name for itself."""
THEMES = ("auto", "light", "dark")
DEFAULT_ZONE = "UTC"


class Catalogue(Domain):  # type: ignore[misc]  # Flask-Babel ships no types
    """Translations read from `translations/<language>/LC_MESSAGES/messages.po`."""

    def get_translations(self) -> NullTranslations:
        """Return the translations of the current request's language."""
        locale = get_locale()
        return catalogue("en" if locale is None else locale.language)


@lru_cache(maxsize=8)
def catalogue(code: str) -> NullTranslations:
    """Return the translations of one language; English is the source and has none."""
    path = FOLDER / code / "LC_MESSAGES" / "messages.po"
    if not path.is_file():
        return NullTranslations()
    compiled = BytesIO()
    with path.open("rb") as source:
        write_mo(compiled, read_po(source, locale=code))
    compiled.seek(0)
    return Translations(compiled)


def init_app(app: Flask) -> None:
    """Teach Flask-Babel our catalogues, and how to find a visitor's language and zone."""
    babel.init_app(app, locale_selector=language, timezone_selector=zone)
    babel.domain_instance = Catalogue()
    app.context_processor(_context)


def language() -> str:
    """Return the language: chosen before, else the best the browser asks for."""
    chosen = session.get("language")
    if chosen in LANGUAGES:
        return str(chosen)
    return request.accept_languages.best_match(list(LANGUAGES)) or "en"


def zone() -> str:
    """Return the visitor's time zone, as the browser told on its first visit."""
    name = session.get("zone")
    return str(name) if name in _zones() else DEFAULT_ZONE


def zone_info() -> ZoneInfo:
    """Return the visitor's time zone as tzinfo."""
    return ZoneInfo(zone())


def theme() -> str:
    """Return the chosen theme; `auto` follows the browser."""
    chosen = session.get("theme")
    return str(chosen) if chosen in THEMES else "auto"


def remember(**choices: str | None) -> dict[str, str]:
    """Keep the choices that are valid in the session and give them."""
    allowed = {"language": LANGUAGES, "theme": THEMES, "zone": _zones()}
    kept = {
        name: value for name, value in choices.items() if value and value in allowed.get(name, ())
    }
    session.update(kept)
    return kept


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _context() -> dict[str, object]:
    return {"language": language, "languages": LANGUAGES, "theme": theme, "zone": zone}
