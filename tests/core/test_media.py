"""How large a picture claims to be, without decoding it."""

from __future__ import annotations

from struct import pack

import pytest

from gateway.core.media import pixels, sniff

_PNG = b"\x89PNG\r\n\x1a\n" + pack(">I4sII", 13, b"IHDR", 30_000, 20_000)
_SEGMENTS = (
    b"\xff\xe0" + pack(">H", 16) + b"JFIF" + b"\0" * 10 + b"\xff\xdb" + pack(">H", 3) + b"\1"
)
_FRAME = b"\xff\xc2" + pack(">HBHH", 17, 8, 400, 300)
_RIFF = b"RIFF" + pack("<I", 99) + b"WEBP"

SIZES = {
    "png": (_PNG, 600_000_000),
    "gif": (b"GIF89a" + pack("<HH", 640, 480), 640 * 480),
    "bmp": (b"BM" + b"\0" * 16 + pack("<ii", 30, -20), 600),
    "jpeg": (b"\xff\xd8" + _SEGMENTS + _FRAME, 120_000),
    "jpeg with filling": (b"\xff\xd8" + _SEGMENTS + b"\xff\xff" + _FRAME, 120_000),
    "webp, lossy": (_RIFF + b"VP8 " + b"\0" * 10 + pack("<HH", 0x4000 | 50, 40), 2_000),
    "webp, lossless": (_RIFF + b"VP8L" + b"\0" * 4 + b"\x2f" + pack("<I", 49 | 39 << 14), 2_000),
    "webp, extended": (_RIFF + b"VP8X" + b"\0" * 8 + b"\x31\0\0\x27\0\0", 2_000),
}
UNKNOWN = {
    "a short png": _PNG[:18],
    "a jpeg without a frame": b"\xff\xd8" + _SEGMENTS,
    "a jpeg that ends in a segment": b"\xff\xd8\xff\xe0",
    "a jpeg of nothing else": b"\xff\xd8\xff",
    "a jpeg whose segment has no length": b"\xff\xd8\xff\xe0\0\0\0\0",
    "a webp of an unknown kind": _RIFF + b"VP9 " + b"\0" * 20,
    "no picture": b"plain text",
    "nothing": b"",
}


@pytest.mark.parametrize(("raw", "expected"), SIZES.values(), ids=SIZES)
def test_the_head_tells_the_size(raw: bytes, expected: int) -> None:
    assert pixels(raw) == expected


@pytest.mark.parametrize("raw", UNKNOWN.values(), ids=UNKNOWN)
def test_what_tells_no_size_has_none(raw: bytes) -> None:
    assert pixels(raw) == 0


@pytest.mark.parametrize("raw", [case[0] for case in SIZES.values()], ids=SIZES)
def test_a_cut_picture_is_no_fault(raw: bytes) -> None:
    assert all(pixels(raw[:end]) <= pixels(raw) for end in range(len(raw)))
    assert sniff(raw)
