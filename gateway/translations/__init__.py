"""The words of the console: collected from code and pages, kept in one catalogue a language.

`python -m gateway.translations` brings the catalogues up to date: new texts are added empty, those
that are gone are dropped, translations stay. English is the source and needs no catalogue.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po, write_po

from gateway.core.chat import Role

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
SOURCES = (ROOT / "gateway", ROOT / "templates")
LANGUAGES = ("zh",)
KEYWORDS = {"_": None, "_l": None, "gettext": None, "ngettext": (1, 2), "Message": None}


def collected() -> Catalog:
    """Return every text of the console, without translations."""
    from gateway.schemas import convert
    from gateway.schemas.account import AccountFields, TokenFields
    from gateway.schemas.alert import AlertTarget
    from gateway.schemas.key import Key
    from gateway.schemas.model import ModelFields
    from gateway.schemas.server import Server
    from gateway.schemas.settings import RuntimeSettings

    schemas = (
        Key, Server, ModelFields, AccountFields, TokenFields, AlertTarget, RuntimeSettings,
    )  # fmt: skip
    with (FOLDER / "babel.cfg").open() as mapping:
        methods, options = parse_mapping_cfg(mapping)  # type: ignore[no-untyped-call]  # Babel's own
    found = Catalog(project="Ollama2OpenAI", fuzzy=False)
    for source in SOURCES:
        extracted = extract_from_dir(source, methods, options, keywords=KEYWORDS)
        for filename, _line, message, comments, context in extracted:
            if message in get_args(Role):  # core.chat's Message is a turn, not a sentence
                continue
            place = [(f"{source.name}/{filename}", 0)]
            found.add(message, None, place, auto_comments=comments, context=context)
    for schema in schemas:
        for kind in convert.fields_of(schema).values():
            meta = convert.meta_of(kind)
            group = (meta.extra or {}).get("group")
            for words in filter(None, (meta.title, meta.description, group)):
                found.add(words, None, [("gateway/schemas", 0)])
    return found


def kept(language: str) -> Catalog:
    """Return the catalogue of a language as it is."""
    path = path_of(language)
    if not path.is_file():
        return Catalog(locale=language, project="Ollama2OpenAI", fuzzy=False)
    with path.open("rb") as source:
        return read_po(source, locale=language)


def path_of(language: str) -> Path:
    """Return where a catalogue is kept."""
    return FOLDER / language / "LC_MESSAGES" / "messages.po"


def update(language: str) -> tuple[int, int]:
    """Bring a catalogue up to date; give (texts, of them without a translation)."""
    catalogue, source = kept(language), collected()
    catalogue.update(source, no_fuzzy_matching=True, update_creation_date=False)
    catalogue.obsolete.clear()
    path = path_of(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        write_po(out, catalogue, width=100, sort_output=True, include_lineno=False)
    return len(catalogue), sum(
        not is_translated(message.string) for message in catalogue if message.id
    )


def is_translated(string: str | tuple[str, ...] | list[str] | None) -> bool:
    """Whether a translation is there, in every plural form."""
    return bool(string) and all(string if isinstance(string, list | tuple) else (string,))
