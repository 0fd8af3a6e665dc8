"""What a text consists of: its characters, counted by kind.

Each character becomes a hexadecimal digit with one bit for its kind, and the whole text one number,
in which `int.bit_count` counts a kind. A run of one kind begins wherever its bit is set and that of
the character before is not. 40 KB of English take 0.12 ms; splitting them into words takes 0.2 ms.
"""

from __future__ import annotations

import string
from binascii import unhexlify
from typing import Final, NamedTuple

_PIECE: Final = 1 << 16
"""How many characters are looked at in one step, for which nothing else can run."""


class Kinds(NamedTuple):
    """How much of each kind a text has.

    `words` and `marks` are runs of ASCII letters and of ASCII punctuation, all other kinds single
    characters: `wide` are kana, Hangul and East Asian punctuation, `accents` letters and signs of
    the Latin blocks beyond ASCII, `symbols` typographic signs, drawings and emoji (two each, as in
    UTF-16), `others` what is left: Cyrillic, Arabic, Devanagari and so on.
    """

    words: int = 0
    letters: int = 0
    digits: int = 0
    marks: int = 0
    lines: int = 0
    han: int = 0
    wide: int = 0
    accents: int = 0
    symbols: int = 0
    others: int = 0


def _table(*groups: bytes) -> bytes:
    """Return for `bytes.translate` which of four groups a byte is in, as a hexadecimal digit."""
    table = bytearray(b"0" * 256)
    for digit, group in zip(b"1248", groups, strict=True):
        for byte in group:
            table[byte] = digit
    return bytes(table)


_ASCII: Final = _table(
    string.ascii_letters.encode(), string.digits.encode(), string.punctuation.encode(), b"\n"
)
_HAN: Final = bytes((*range(0x34, 0xA0), 0xF9, 0xFA))
_WIDE: Final = bytes((0x11, 0x30, 0x31, *range(0xAC, 0xD8), 0xFE, 0xFF))
_LATIN: Final = bytes((0x00, 0x01, 0x02, 0x1E))
_SYMBOLS: Final = bytes((*range(0x20, 0x30), *range(0xD8, 0xE0)))
_BLOCKS: Final = _table(_HAN, _WIDE, _LATIN, _SYMBOLS)
"""By the upper byte of a character in UTF-16."""

_EACH: Final = int("1" * 2 * _PIECE, 16)
_FIRST, _SECOND, _THIRD, _FOURTH = (_EACH << bit for bit in range(4))
"""The bits of one group, for a piece in which every character is two of UTF-16."""


def count(text: str) -> Kinds:
    """Count the kinds of a text. White space within a line is of no kind."""
    if len(text) > _PIECE:
        pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
        return Kinds(*map(sum, zip(*map(count, pieces), strict=True)))
    ascii_part = text.encode("ascii", "ignore")
    marked = ascii_part.translate(_ASCII)
    number = int.from_bytes(unhexlify(marked + b"0" * (len(marked) % 2)), "big")
    starts = number & ~(number >> 4)
    return Kinds(
        (starts & _FIRST).bit_count(),
        (number & _FIRST).bit_count(),
        (number & _SECOND).bit_count(),
        (starts & _THIRD).bit_count(),
        (number & _FOURTH).bit_count(),
        *(() if text.isascii() else _beyond_ascii(text, len(ascii_part))),
    )


def _beyond_ascii(text: str, ascii_chars: int) -> tuple[int, int, int, int, int]:
    """Return Han, wide, accents, symbols, others. ASCII is in the Latin blocks too."""
    blocks = text.encode("utf-16-le", "surrogatepass")[1::2]
    marked = blocks.translate(_BLOCKS)
    number = int.from_bytes(unhexlify(marked + b"0" * (len(marked) % 2)), "big")
    han = (number & _FIRST).bit_count()
    wide = (number & _SECOND).bit_count()
    latin = (number & _THIRD).bit_count()
    symbols = (number & _FOURTH).bit_count()
    return han, wide, latin - ascii_chars, symbols, len(blocks) - han - wide - latin - symbols
