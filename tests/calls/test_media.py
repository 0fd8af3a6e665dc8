"""Fetching images by URL: what may be reached, and what comes of it."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.calls import media
from gateway.calls.media import MediaFetcher, is_public
from gateway.core.chat import ChatRequest, Media, Message
from gateway.errors import InvalidRequest
from gateway.schemas.settings import RuntimeSettings
from tests.support.pictures import serving

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQ"
    "AAAABJRU5ErkJggg=="
)
PRIVATE = RuntimeSettings(allow_private_image_urls=True, max_image_mb=1)


def image(url: str, param: str | None = None) -> Media:
    return Media("image", url=url, param=param)


ADDRESSES_INSIDE = [
    "0.0.0.0", "10.0.0.1", "10.255.255.255", "100.64.0.1", "127.0.0.1", "127.255.255.254",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1",
    "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0",
    "fec0::1", "ff02::1", "ff0e::1", "not an address", "",
]  # fmt: skip
ADDRESSES_OUTSIDE = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("address", ADDRESSES_INSIDE)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ADDRESSES_OUTSIDE)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


HOSTS_INSIDE = [
    "127.0.0.1", "localhost", "0", "0.0.0.0", "127.1", "127.0.1", "2130706433", "017700000001",
    "0x7f000001", "0x7f.1", "0177.0.0.1", "[::1]", "[::]", "[::ffff:127.0.0.1]",
    "[0:0:0:0:0:0:0:1]",
    "[::127.0.0.1]", "[fe80::1]", "[fec0::1]", "[fd00::1]", "169.254.169.254", "2852039166",
    "0xa9fea9fe", "10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "198.18.0.1", "224.0.0.1",
    "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[ff02::1]",
]  # fmt: skip
PATHS = ["/a.png", ":80/a.png", ":8080/a.png?x=1", "/%2e%2e/a.png", "/a.png#f"]
HOSTILE = [f"http://{host}{path}" for host in HOSTS_INSIDE for path in PATHS] + [
    "http://user@127.0.0.1/", "http://user:pass@1.1.1.1/", "http://1.1.1.1@127.0.0.1/",
    "http://127.0.0.1#@1.1.1.1/", "http://127.0.0.1\\@1.1.1.1/", "http://1.1.1.1\\.evil/",
    "http://\t127.0.0.1/", "http://127.0.0.1\n/", "http:// 127.0.0.1/", "http:///a.png",
    "file:///etc/passwd", "ftp://1.1.1.1/a.png", "gopher://127.0.0.1/", "dict://127.0.0.1/",
    "data:text/plain,hi", "javascript:alert(1)", "//127.0.0.1/a.png", "http:127.0.0.1/a.png",
    "http://[::1", "http://[fe80::1%25lo]/a.png", "http://①②⑦.0.0.1/", "http://127。0。0。1/",
    "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun/", "http://ⓛocalhost/", "",
]  # fmt: skip


@pytest.mark.parametrize("url", HOSTILE)
def test_a_url_to_the_inside_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        MediaFetcher(RuntimeSettings).fetch(image(url, "messages[0].content[1].image_url"))

    assert caught.value.code in {"invalid_image_url", "failed_to_download_image"}
    assert caught.value.param == "messages[0].content[1].image_url"


def test_the_list_of_hostile_urls_is_long() -> None:
    assert len(HOSTILE) >= 150


def test_only_addresses_that_were_checked_are_connected_to(monkeypatch) -> None:
    """A name is resolved once: what it answers a moment later is of no use to anybody."""
    answers = iter(["8.8.8.8", "127.0.0.1"])
    tried: list[str] = []

    def resolve(host: str, port: int, *_: object, **__: object) -> list[object]:
        shown = next(answers)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in (shown, "10.0.0.1")
        ]

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        tried.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)

    with pytest.raises(InvalidRequest) as caught:
        MediaFetcher(RuntimeSettings).fetch(image("http://rebind.test/a.png"))

    assert tried == ["8.8.8.8"]
    assert caught.value.code == "failed_to_download_image"


def test_a_name_server_that_hangs_is_not_waited_for(monkeypatch) -> None:
    """Ten callers may hang in it; only three of the process's few threads do."""
    answer, asked = threading.Event(), []

    def hanging(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        answer.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(media, "TIMEOUT_S", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    try:
        for number in range(10):
            with pytest.raises(InvalidRequest) as caught:
                MediaFetcher(RuntimeSettings).fetch(image(f"http://slow{number}.test/a.png"))
            assert caught.value.code == "failed_to_download_image"
        assert sum(host.startswith("slow") for host in asked) == 3
    finally:
        answer.set()


ANSWERS = {
    "/a.png": (200, {"Content-Type": "image/png"}, PNG),
    "/typeless": (200, {}, PNG),
    "/text": (200, {"Content-Type": "image/png"}, b"I am text."),
    "/svg": (200, {"Content-Type": "image/svg+xml"}, b"<svg/>"),
    "/big": (200, {"Content-Type": "image/png"}, PNG + b"x" * (1 << 20)),
    "/packed": (200, {"Content-Encoding": "gzip"}, PNG),
    "/once": (302, {"Location": "/a.png"}, b""),
    "/loop": (302, {"Location": "/loop"}, b""),
    "/to-file": (302, {"Location": "file:///etc/passwd"}, b""),
    "/empty": (200, {"Content-Type": "image/png"}, b""),
    "/tides.csv": (200, {"Content-Type": "text/csv; charset=utf-8"}, b"\xef\xbb\xbfsix,low"),
    "/notes": (200, {"Content-Type": "text/plain"}, "Größe".encode()),
    "/gr%C3%B6%C3%9Fe.md": (200, {}, b"# Size"),
    "/moved": (302, {"Location": "/tides.csv"}, b""),
    "/report.pdf": (200, {"Content-Type": "application/pdf"}, b"%PDF-1.7"),
    "/program": (200, {"Content-Type": "application/octet-stream"}, b"\x7fELF\0\xff"),
}


Pictures = tuple[str, list[str]]


@pytest.fixture
def pictures() -> Iterator[Pictures]:
    with serving(ANSWERS) as found:
        yield found


@pytest.mark.parametrize("path", ["/a.png", "/typeless", "/once"])
def test_an_image_is_fetched(pictures: Pictures, path: str) -> None:
    found = MediaFetcher(lambda: PRIVATE).fetch(image(pictures[0] + path))

    assert base64.b64decode(found) == PNG


FAILURES = [
    ("/missing", "failed_to_download_image"),
    ("/text", "unsupported_image_media_type"),
    ("/svg", "unsupported_image_media_type"),
    ("/empty", "unsupported_image_media_type"),
    ("/big", "image_too_large"),
    ("/packed", "failed_to_download_image"),
    ("/loop", "failed_to_download_image"),
    ("/to-file", "invalid_image_url"),
]


@pytest.mark.parametrize(("path", "code"), FAILURES)
def test_a_failure_names_its_reason(pictures: Pictures, path: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        MediaFetcher(lambda: PRIVATE).fetch(image(pictures[0] + path, "messages[0]"))

    assert caught.value.code == code


FILES = {
    "by its type": ("/tides.csv", "", "tides.csv\nsix,low"),
    "with a name of its own": ("/notes", "notes.txt", "notes.txt\nGröße"),
    "by its ending": ("/gr%C3%B6%C3%9Fe.md", "", "größe.md\n# Size"),
    "after a redirect": ("/moved", "", "moved\nsix,low"),
}


@pytest.mark.parametrize(("path", "name", "text"), FILES.values(), ids=FILES)
def test_a_text_file_is_fetched(pictures: Pictures, path: str, name: str, text: str) -> None:
    file = Media("file", url=pictures[0] + path, name=name)

    assert MediaFetcher(lambda: PRIVATE).fetch_file(file) == text


FILE_FAILURES = [
    ("/missing", "failed_to_download_file"),
    ("/report.pdf", "unsupported_value"),
    ("/program", "unsupported_value"),
    ("/a.png", "unsupported_value"),
    ("/big", "file_too_large"),
    ("/loop", "failed_to_download_file"),
    ("/to-file", "invalid_file_url"),
]


@pytest.mark.parametrize(("path", "code"), FILE_FAILURES)
def test_a_file_that_cannot_be_read_names_its_reason(
    pictures: Pictures, path: str, code: str
) -> None:
    file = Media("file", url=pictures[0] + path, param="input[0].content[0].file_url")

    with pytest.raises(InvalidRequest) as caught:
        MediaFetcher(lambda: PRIVATE).fetch_file(file)

    assert (caught.value.code, caught.value.param) == (code, "input[0].content[0].file_url")


def test_a_file_of_the_inside_is_never_asked_for(pictures: Pictures) -> None:
    with pytest.raises(InvalidRequest) as caught:
        MediaFetcher(RuntimeSettings).fetch_file(Media("file", url=pictures[0] + "/notes"))

    assert caught.value.code == "invalid_file_url"
    assert pictures[1] == []


def test_fetching_files_can_be_switched_off() -> None:
    off = replace(PRIVATE, allow_remote_images=False)
    with pytest.raises(InvalidRequest) as caught:
        MediaFetcher(lambda: off).fetch_file(Media("file", url="http://1.1.1.1/"))

    assert caught.value.code == "remote_files_disabled"


def test_files_stand_where_they_were_among_the_texts(pictures: Pictures) -> None:
    def file(at: int) -> Media:
        return Media("file", url=pictures[0] + "/notes", name="n", at=at)

    picture = image(pictures[0] + "/a.png")
    text = "\none\ntwo"  # the first text begins with a newline of its own
    media = (file(0), file(0), picture, file(4), file(8))
    request = ChatRequest("m", (Message("user", text, media=media),))

    (filled,) = MediaFetcher(lambda: PRIVATE).fetch_all(request)[0].messages

    whole = "n\nGröße"
    assert filled.content == f"{whole}\n{whole}\n\none\n{whole}\ntwo\n{whole}"
    assert [item.kind for item in filled.media] == ["image"]
    assert pictures[1] == ["/notes", "/a.png"]


def test_a_message_may_be_nothing_but_a_file(pictures: Pictures) -> None:
    alone = Media("file", url=pictures[0] + "/notes", name="n")
    request = ChatRequest("m", (Message("user", "", media=(alone,)),))

    assert MediaFetcher(lambda: PRIVATE).fetch_all(request)[0].messages == (
        Message("user", "n\nGröße"),
    )


def test_all_downloads_of_a_request_have_one_limit(pictures: Pictures) -> None:
    with pytest.raises(InvalidRequest, match="too long") as caught:
        MediaFetcher(lambda: PRIVATE).fetch(image(pictures[0] + "/a.png"), until_s=0.0)

    assert caught.value.code == "failed_to_download_image"
    assert pictures[1] == []


def test_a_redirect_to_the_inside_is_refused(pictures: Pictures) -> None:
    with pytest.raises(InvalidRequest):
        MediaFetcher(RuntimeSettings).fetch(image(pictures[0] + "/a.png"))

    assert pictures[1] == []


def test_fetching_can_be_switched_off() -> None:
    with pytest.raises(InvalidRequest) as caught:
        MediaFetcher(lambda: replace(PRIVATE, allow_remote_images=False)).fetch(
            image("http://1.1.1.1/")
        )

    assert caught.value.code == "remote_images_disabled"


def test_the_same_url_is_fetched_once_a_request(pictures: Pictures) -> None:
    picture = Media("image", url=pictures[0] + "/a.png")
    request = ChatRequest("m", (Message("user", "?", media=(picture, picture)),))

    filled, _ = MediaFetcher(lambda: PRIVATE).fetch_all(request)

    assert [base64.b64decode(item.data) for item in filled.messages[0].media] == [PNG, PNG]
    assert pictures[1] == ["/a.png"]
