"""Pictures, sounds and files inside a body: checked, and turned into what Ollama takes.

A picture named by URL is only noted; it is fetched later. Everything else is checked here,
because a picture that is silently dropped gives a confident answer about nothing.
"""

from __future__ import annotations

import binascii
import re
from urllib.parse import unquote

from gateway.core.chat import Media
from gateway.core.media import MOST_PIXELS, pixels, sniff
from gateway.dialects.shared.reading import invalid, missing

_DATA_URL = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_TEXT_TYPES = frozenset(
    {
        "application/json", "application/ld+json", "application/x-ndjson", "application/jsonl",
        "application/xml", "application/csv", "application/markdown", "application/javascript",
        "application/x-javascript", "application/typescript", "application/yaml",
        "application/x-yaml", "application/toml", "application/sql", "application/x-sh",
        "application/x-python", "application/x-httpd-php", "application/graphql",
        "application/x-tex", "image/svg+xml",
    }
)  # fmt: skip
_SUFFIXES = (
    "adoc asm astro awk bash bat bib c cc cfg clj cmake conf cpp cs css csv cxx dart diff "
    "dockerfile eml env erl ex exs f90 fish fs go gql gradle graphql groovy h hpp hs htm html ics "
    "ini ipynb java jl js json json5 jsonl jsx kt kts less lisp log lua m make markdown md mdx mjs "
    "ml mm ndjson nim nix org pas patch php pl pm po pony ps1 properties proto py pyi r rb rkt rs "
    "rst rtf sass scala scm scss sh sol sql srt svelte svg swift tcl tex tf toml ts tsv tsx txt v "
    "vb vba vbs vhd vhdl vim vtt vue wat xhtml xml xsd xsl yaml yml zig zsh"
)
_TEXT_SUFFIXES = frozenset(_SUFFIXES.split())
_BASE64 = "invalid_base64_image"
NO_PDF = "The PDF specified was not valid: PDF files cannot be read here"
"""The vendor's words first: coding agents that read them take the file out by themselves."""
_STANDARD = str.maketrans("-_", "+/")


def read_image(url: str, param: str) -> Media:
    """Return a picture from a `data:` URL, bare base64, or an address still to be fetched."""
    url = url.strip()
    if not url:
        raise missing(param)
    if url[:5].lower() == "data:":
        # Labels lie: what the bytes are decides.
        return read_image_data(_split_data_url(url, param)[1], param)
    if _SCHEME.match(url):
        if url.lower().startswith(("http://", "https://")):
            return Media("image", url=url, param=param)
        raise invalid(
            "An image URL must begin with http://, https:// or data:.", param, "invalid_image_url"
        )
    return read_image_data(url, param)


def read_image_data(data: str, param: str) -> Media:
    """Return a picture from bare base64."""
    data, raw = _base64(data, param, _BASE64)
    if sniff(raw) is None:
        raise invalid(
            "Could not process image: it is none that models read (PNG, JPEG, WebP, GIF or BMP).",
            param,
            "unsupported_image_media_type",
        )
    if pixels(raw) > MOST_PIXELS:
        raise invalid("Could not process image: it has too many pixels.", param, "image_too_large")
    return Media("image", data=data, param=param)


def read_audio(data: str, param: str) -> Media:
    """Return a sound from base64 or a `data:` URL."""
    if data[:5].lower() == "data:":
        data = _split_data_url(data, param)[1]
    return Media("audio", data=_base64(data, param, "invalid_value")[0], param=param)


def read_file(data: str, filename: str, param: str) -> str | Media:
    """Return a file of a `data:` URL or base64: text below its name, or a picture."""
    kind = ""
    if data[:5].lower() == "data:":
        kind, data = _split_data_url(data, param)
    raw = _base64(data, param, "invalid_value")[1]
    picture = sniff(raw)
    if picture and not (picture == "bmp" and _is_text(kind, filename)):
        # The two letters that a BMP begins with may begin a text as well.
        return read_image_data(data, param)
    return file_text(raw, kind, filename, param)


def file_text(raw: bytes, media_type: str, filename: str, param: str) -> str:
    """Return a text file with its name on a first line. Raises InvalidRequest for other files."""
    is_pdf = raw.startswith(b"%PDF-")
    text = None if is_pdf else _decoded(raw, _is_text(media_type, filename))
    if text is not None:
        return f"{filename}\n{text}" if filename else text
    if is_pdf or media_type == "application/pdf":
        raise invalid(f"{NO_PDF}; send their text.", param, "unsupported_value")
    raise invalid("Only text files and images can be read.", param, "unsupported_value")


def _split_data_url(url: str, param: str) -> tuple[str, str]:
    """Return the media type, in lower case, and the base64 of a `data:` URL."""
    head = _DATA_URL.match(url)
    if head is None or ";base64" not in head[2].lower():
        raise invalid("A data URL must hold base64: data:<type>;base64,<data>.", param, _BASE64)
    return head[1].strip().lower(), unquote(url[head.end() :])


def _base64(data: str, param: str, code: str) -> tuple[str, bytes]:
    """Return base64 in its standard form, and its bytes; gaps and missing padding are tolerated."""
    raw = _bytes(data)
    if raw is None:
        data = "".join(data.translate(_STANDARD).split()).rstrip("=")
        data += "=" * (-len(data) % 4)
        raw = _bytes(data)
    if not raw:
        raise invalid(f"{param!r} is not valid base64.", param, code)
    return data, raw


def _bytes(data: str) -> bytes | None:
    try:
        return binascii.a2b_base64(data, strict_mode=True)
    except ValueError:
        return None


def _is_text(media_type: str, filename: str) -> bool:
    return (
        media_type.startswith("text/")
        or media_type in _TEXT_TYPES
        or media_type.endswith(("+json", "+xml"))
        or filename.rpartition(".")[2].lower() in _TEXT_SUFFIXES
    )


def _decoded(raw: bytes, surely_text: bool) -> str | None:
    """Return bytes as text; None when they are none and nobody claims that they are."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace") if surely_text else None
    return text if surely_text or "\0" not in text else None
