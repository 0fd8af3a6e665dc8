"""What kind of picture some bytes are, and how large it would become when decoded."""

from __future__ import annotations

from struct import error as StructError
from struct import unpack_from

MOST_PIXELS = 100_000_000
"""Beyond what cameras make. A few kilobytes can claim thousands of millions, which whoever decodes
the picture would have to hold in memory."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9), 0xFF})
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
)


def sniff(raw: bytes) -> str | None:
    """Return the kind of an image by its first bytes; None when it is none that models read."""
    for magic, kind in _MAGIC:
        if raw.startswith(magic):
            return kind
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return "webp"
    return None


def pixels(raw: bytes) -> int:
    """Return width times height as the picture's head claims them; 0 where they cannot be found."""
    width: int
    height: int
    kind = sniff(raw)
    try:
        match kind:
            case "png":
                width, height = unpack_from(">II", raw, 16)
            case "gif":
                width, height = unpack_from("<HH", raw, 6)
            case "bmp":
                width, height = unpack_from("<ii", raw, 18)
            case "jpeg":
                width, height = _jpeg(raw)
            case "webp":
                width, height = _webp(raw)
            case _:
                return 0
    except StructError:
        return 0
    return abs(width * height)


def _jpeg(raw: bytes) -> tuple[int, int]:
    """Walk the segments to the frame header (ITU T.81 B.2.2)."""
    at = 2
    while at + 4 <= len(raw) and raw[at] == 0xFF:
        marker = raw[at + 1]
        if marker in _FRAMES:
            height, width = unpack_from(">HH", raw, at + 5)
            return width, height
        at += 1 if marker == 0xFF else 2
        if marker not in _WITHOUT_LENGTH:
            (length,) = unpack_from(">H", raw, at)
            at += max(length, 2)
    return 0, 0


def _webp(raw: bytes) -> tuple[int, int]:
    """Read the first chunk: lossy, lossless or extended (RFC 9649)."""
    match raw[12:16]:
        case b"VP8 ":
            width, height = unpack_from("<HH", raw, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = unpack_from("<I", raw, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            sizes = raw[24:30].ljust(6, b"\0")
            return int.from_bytes(sizes[:3], "little") + 1, int.from_bytes(sizes[3:], "little") + 1
        case _:
            return 0, 0
