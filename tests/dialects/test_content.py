"""Parts of a message are read whole or refused by their path; no picture is dropped silently."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chat import Media
from gateway.dialects.shared.attachments import file_text, read_audio, read_file, read_image
from gateway.dialects.shared.content import (
    MAX_ARGUMENT_CHARS,
    MAX_PARTS,
    PARTS,
    as_arguments,
    read_arguments,
    read_content,
)
from gateway.dialects.shared.reading import Fields
from gateway.errors import InvalidRequest
from tests.dialects.making import PNG

WHERE = "messages[0].content"
PNG_URL = f"data:image/png;base64,{PNG}"
SAFE = base64.urlsafe_b64encode(b"\xff\xd8\xff\xfb\xf0\xff\xfe").decode().rstrip("=")


def b64(text: str | bytes) -> str:
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def image(param: str) -> Media:
    return Media("image", PNG, param=f"{WHERE}[0].{param}")


def text_file(text: str, kind: str = "text/plain") -> str:
    return f"data:{kind};base64,{b64(text)}"


TEXTS = {
    "string": ("Hello", ["Hello"]),
    "empty string": ("", []),
    "empty list": ([], []),
    "text": ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], ["a", "b"]),
    "text empty": ([{"type": "text", "text": ""}, {"type": "text", "text": "b"}], ["b"]),
    "text bare": (["a", "b"], ["a", "b"]),
    "input_text": ([{"type": "input_text", "text": "a"}], ["a"]),
    "output_text": ([{"type": "output_text", "text": "a"}], ["a"]),
    "refusal": ([{"type": "refusal", "refusal": "No."}], ["No."]),
    "breakpoints ignored": (
        [{"type": "text", "text": "a", "cache_control": {}, "prompt_cache_breakpoint": 1}],
        ["a"],
    ),
    "file": (
        [{"type": "file", "file": {"file_data": text_file("x=1"), "filename": "a.py"}}],
        ["a.py\nx=1"],
    ),
    "file without name": ([{"type": "file", "file": {"file_data": text_file("x")}}], ["x"]),
    "input_file": (
        [{"type": "input_file", "file_data": b64("# Hi"), "filename": "a.md"}],
        ["a.md\n# Hi"],
    ),
}
PICTURES = {
    "image_url": (
        {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}},
        image("image_url"),
    ),
    "image_url string": ({"type": "image_url", "image_url": PNG_URL}, image("image_url")),
    "image_url bare base64": ({"type": "image_url", "image_url": PNG}, image("image_url")),
    "image_url octets": (
        {"type": "image_url", "image_url": f"data:application/octet-stream;base64,{PNG}"},
        image("image_url"),
    ),
    "image_url fetched": (
        {"type": "image_url", "image_url": {"url": "HTTPS://a.example/b.png"}},
        Media("image", url="HTTPS://a.example/b.png", param=f"{WHERE}[0].image_url"),
    ),
    "input_image": ({"type": "input_image", "image_url": PNG_URL}, image("image_url")),
    "image base64": (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        image("source.data"),
    ),
    "image url": (
        {"type": "image", "source": {"type": "url", "url": "http://a.example/b"}},
        Media("image", url="http://a.example/b", param=f"{WHERE}[0].source.url"),
    ),
    "input_audio": (
        {"type": "input_audio", "input_audio": {"data": b64("RIFF"), "format": "wav"}},
        Media("audio", b64("RIFF"), param=f"{WHERE}[0].input_audio.data"),
    ),
    "file with a picture": (
        {"type": "file", "file": {"file_data": PNG_URL, "filename": "a.png"}},
        image("file.file_data"),
    ),
}
REFUSED = {
    "not a list": (5, "invalid_type", WHERE),
    "object": ({"type": "text"}, "invalid_type", WHERE),
    "part number": ([5], "invalid_type", f"{WHERE}[0]"),
    "part without type": ([{}], "missing_required_parameter", f"{WHERE}[0].type"),
    "part unknown": ([{"type": "video_url"}], "invalid_value", f"{WHERE}[0].type"),
    "text missing": ([{"type": "text"}], "missing_required_parameter", f"{WHERE}[0].text"),
    "text number": ([{"type": "text", "text": 5}], "invalid_type", f"{WHERE}[0].text"),
    "image_url missing": (
        [{"type": "image_url"}],
        "missing_required_parameter",
        f"{WHERE}[0].image_url",
    ),
    "image_url empty": (
        [{"type": "image_url", "image_url": {"url": ""}}],
        "missing_required_parameter",
        f"{WHERE}[0].image_url",
    ),
    "image_url number": (
        [{"type": "image_url", "image_url": 5}],
        "invalid_type",
        f"{WHERE}[0].image_url",
    ),
    "input_image file_id": (
        [{"type": "input_image", "file_id": "f"}],
        "unsupported_value",
        f"{WHERE}[0].file_id",
    ),
    "image without source": (
        [{"type": "image"}],
        "missing_required_parameter",
        f"{WHERE}[0].source",
    ),
    "image file": (
        [{"type": "image", "source": {"type": "file", "file_id": "f"}}],
        "unsupported_value",
        f"{WHERE}[0].source.file_id",
    ),
    "image other source": (
        [{"type": "image", "source": {"type": "ftp"}}],
        "invalid_value",
        f"{WHERE}[0].source.type",
    ),
    "input_audio missing": (
        [{"type": "input_audio"}],
        "missing_required_parameter",
        f"{WHERE}[0].input_audio",
    ),
    "input_audio broken": (
        [{"type": "input_audio", "input_audio": {"data": "!!"}}],
        "invalid_value",
        f"{WHERE}[0].input_audio.data",
    ),
    "file missing": (
        [{"type": "file", "file": {}}],
        "missing_required_parameter",
        f"{WHERE}[0].file.file_data",
    ),
    "file file_id": (
        [{"type": "file", "file": {"file_id": "f"}}],
        "unsupported_value",
        f"{WHERE}[0].file.file_id",
    ),
    "file broken": (
        [{"type": "file", "file": {"file_data": "!!"}}],
        "invalid_value",
        f"{WHERE}[0].file.file_data",
    ),
    "file pdf": (
        [{"type": "file", "file": {"file_data": b64("%PDF-1.7"), "filename": "a.pdf"}}],
        "unsupported_value",
        f"{WHERE}[0].file.file_data",
    ),
    "file pdf by type": (
        [{"type": "file", "file": {"file_data": "data:application/pdf;base64,f0VMRgD/"}}],
        "unsupported_value",
        f"{WHERE}[0].file.file_data",
    ),
    "file binary": (
        [{"type": "file", "file": {"file_data": b64(b"\x7fELF\0\xff"), "filename": "a.out"}}],
        "unsupported_value",
        f"{WHERE}[0].file.file_data",
    ),
    "file with zeros": (
        [{"type": "file", "file": {"file_data": b64(b"a\0b")}}],
        "unsupported_value",
        f"{WHERE}[0].file.file_data",
    ),
}
BAD_IMAGES = {
    "not base64": ("data:image/png;base64,@@@", "invalid_base64_image"),
    "empty": ("data:image/png;base64,", "invalid_base64_image"),
    "no base64": ("data:image/png,abc", "invalid_base64_image"),
    "no comma": ("data:image/png;base64", "invalid_base64_image"),
    "bare not base64": ("not an image!", "invalid_base64_image"),
    "cut off": (f"data:image/png;base64,{PNG[:13]}", "invalid_base64_image"),
    "non-ascii": ("data:image/png;base64,é", "invalid_base64_image"),
    "file": ("file:///etc/passwd", "invalid_image_url"),
    "ftp": ("ftp://a.example/b", "invalid_image_url"),
    "text": (f"data:image/png;base64,{b64('hello')}", "unsupported_image_media_type"),
    "svg": (f"data:image/svg+xml;base64,{b64('<svg/>')}", "unsupported_image_media_type"),
}
GOOD_IMAGES = {
    "plain": PNG_URL,
    **{
        f"labelled {kind}": f"data:{kind};base64,{PNG}"
        for kind in ("binary/octet-stream", "text/plain", "*/*", "image/heic", "application/pdf")
    },
    "percent-encoded": f"data:image/png;base64,{quote(PNG, safe='')}",
    "line breaks": "data:image/png;base64," + "\n".join([PNG[:8], PNG[8:16] + " ", PNG[16:]]),
    "upper case": f"DATA:IMAGE/PNG;BASE64,{PNG}",
    "parameters": f"data:image/png;charset=utf-8;base64,{PNG}",
    "no type": f"data:;base64,{PNG}",
    "no padding": f"data:image/png;base64,{PNG.rstrip('=')}",
}


@pytest.mark.parametrize(("value", "texts"), TEXTS.values(), ids=TEXTS)
def test_text_is_collected_in_order(value: Any, texts: list[str]) -> None:
    assert read_content(value, WHERE).texts == texts


@pytest.mark.parametrize(("part", "media"), PICTURES.values(), ids=PICTURES)
def test_media_travel_bare_with_their_path(part: Any, media: Media) -> None:
    assert read_content([part], WHERE).media == [media]


@pytest.mark.parametrize(("value", "code", "param"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_by_its_path(value: Any, code: str, param: str) -> None:
    try:
        error = read_content(value, WHERE).unreadable[0].error
    except InvalidRequest as caught:
        error = caught

    assert (error.code, error.param) == (code, param)


@pytest.mark.parametrize(("url", "code"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_a_broken_picture_is_refused_by_what_is_wrong(url: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_image(url, "where")

    assert (caught.value.code, caught.value.param) == (code, "where")


@pytest.mark.parametrize("url", GOOD_IMAGES.values(), ids=GOOD_IMAGES)
def test_base64_is_put_into_its_standard_form(url: str) -> None:
    assert read_image(url, "where").data == PNG


@pytest.mark.parametrize("label", ["text/plain", "application/pdf", "application/json", ""])
def test_the_bytes_of_a_file_decide_what_it_is(label: str) -> None:
    picture = read_file(f"data:{label};base64,{PNG}", "a.txt", "where")
    text = read_file(f"data:{label};base64,{b64('BM is a text')}", "a.txt", "where")

    assert isinstance(picture, Media)
    assert text == "a.txt\nBM is a text"


def test_the_url_safe_alphabet_is_translated() -> None:
    found = read_image(SAFE, "where").data

    assert base64.b64decode(found, validate=True).startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    "part",
    [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "reasoning", "reasoning": "Hm."},
        {"type": "reasoning", "text": "Hm."},
    ],
)
def test_thinking_is_kept_apart(part: Any) -> None:
    found = read_content([part, {"type": "text", "text": "a"}], WHERE)

    assert (found.thoughts, found.texts) == (["Hm."], ["a"])


def test_thinking_without_text_is_nothing() -> None:
    assert read_content([{"type": "thinking", "signature": "x"}], WHERE).thoughts == []


def test_a_sound_may_come_as_a_data_url() -> None:
    assert read_audio(f"data:audio/wav;base64,{b64('RIFF')}", "x").data == b64("RIFF")


@pytest.mark.parametrize("name", ["a.py", "a.RS", "Dockerfile", "a.tar.json", "Makefile.make"])
def test_source_code_is_known_by_its_name(name: str) -> None:
    assert read_file(b64(b"caf\xe9"), name, "x") == f"{name}\ncaf\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    "kind",
    ["text/csv", "application/json", "application/xml", "application/geo+json", "image/svg+xml"],
)
def test_text_is_known_by_its_type(kind: str) -> None:
    assert file_text(b"\xef\xbb\xbfa,b", kind, "", "x") == "a,b"


def test_a_picture_named_as_text_is_text() -> None:
    assert read_file(b64("BM is short for benchmark"), "notes.txt", "x") == (
        "notes.txt\nBM is short for benchmark"
    )


ARGUMENTS = {
    "object": ('{"a":1}', {"a": 1}),
    "already an object": ({"a": 1}, {"a": 1}),
    "empty": ("", {}),
    "blank": (" \n", {}),
    "null": (None, {}),
    "no JSON": ('{"a":', {"raw_arguments": '{"a":'}),
    "python": ("{'a': 1}", {"raw_arguments": "{'a': 1}"}),
    "NaN": ("NaN", {"raw_arguments": "NaN"}),
    "list": ("[1]", {"value": [1]}),
    "number": ("5", {"value": 5}),
    "JSON null": ("null", {"value": None}),
    "list itself": ([1], {"value": [1]}),
    "too deep": ("[" * 200 + "]" * 200, {"raw_arguments": "[" * 200 + "]" * 200}),
}


@pytest.mark.parametrize(("value", "expected"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_broken_arguments_are_wrapped_and_not_refused(value: Any, expected: Any) -> None:
    assert as_arguments(value) == expected


@pytest.mark.parametrize("call", ["function", "input"])
def test_arguments_are_at_most_a_million_characters(call: str) -> None:
    fields = Fields({call: "x" * (MAX_ARGUMENT_CHARS + 1), "short": "{}"}, "a[0]")

    assert read_arguments(fields, "short") == {}
    with pytest.raises(InvalidRequest, match="1,048,576 characters") as caught:
        read_arguments(fields, call)
    assert caught.value.param == f"a[0].{call}"


def test_a_message_has_a_bounded_number_of_parts() -> None:
    part = {"type": "text", "text": "a"}

    assert len(read_content([part] * MAX_PARTS, "content").texts) == MAX_PARTS
    with pytest.raises(InvalidRequest, match="At most 10000 parts") as caught:
        read_content([part] * (MAX_PARTS + 1), "content")
    assert caught.value.param == "content"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "text", "image_url", "url", "source", "data", "file"]),
                inner | st.sampled_from([*PARTS, "base64", PNG_URL]),
                max_size=4,
            )
        ),
        max_leaves=10,
    )
)
def test_any_content_is_read_or_refused(value: Any) -> None:
    refused = ""
    texts: list[str] = []
    try:
        texts = read_content(value, WHERE).texts
    except InvalidRequest as error:
        refused = error.param or "nowhere"

    assert not refused or refused.startswith(WHERE)
    assert all(texts)
