"""Marks and translates the words of pages: Flask-Babel's functions, with types.

`_` translates now, `_l` when shown (forms are made once, languages differ by request).
"""

from __future__ import annotations

import flask_babel

from gateway.errors import Message
from gateway.web.language import catalogue


def _(message: str, **values: object) -> str:
    """Return a text in the visitor's language, values put in."""
    return str(flask_babel.gettext(message, **values))


def _l(message: str) -> str:
    """Return a text that is translated whenever it is shown."""
    lazy: str = flask_babel.lazy_gettext(message)
    return lazy


def translated(sentence: str) -> str:
    """Return a sentence of a service in the visitor's language. One that came from the database or
    another process lacks its values, and is found where it has none."""
    if not isinstance(sentence, Message):
        return _(sentence) if sentence else ""
    values = {
        name: translated(value) if isinstance(value, Message) else value
        for name, value in sentence.values.items()
    }
    return _(sentence.template, **values)


def in_language(code: str, sentence: str) -> str:
    """Return a sentence of a service in the language with this code, outside a request."""
    if not isinstance(sentence, Message):
        return str(catalogue(code).gettext(sentence)) if sentence else ""
    values = {
        name: in_language(code, value) if isinstance(value, Message) else value
        for name, value in sentence.values.items()
    }
    found = str(catalogue(code).gettext(sentence.template))
    return found % values if values else found


def ngettext(one: str, many: str, num: int, **values: object) -> str:
    """Return the form that fits the number; `%(num)d` in it is the number."""
    return str(flask_babel.ngettext(one, many, num, **values))
