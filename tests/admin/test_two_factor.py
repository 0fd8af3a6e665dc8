"""The second factor as people use it: a QR code, recovery codes, and the sign-in with either."""

from __future__ import annotations

import re

import pyotp
import zxingcpp
from flask import Flask

from gateway.admin.two_factor import qr_code
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, PASSWORD, Visitor

PAGE = "/admin/settings/security/two-factor"
NEW_CODES = "/admin/settings/security/recovery-codes/new"
_CODE = re.compile(r"\b(?:[a-z2-7]{4}-){3}[a-z2-7]{4}\b")
_PIXELS = 4


def _read(svg: str) -> str:
    """Return what a scanner reads of an SVG whose dark modules are strokes of a path."""
    width = int(svg.split('viewBox="0 0 ')[1].split(" ")[0])
    rows = [[255] * width for _ in range(width)]
    dark = next(part for part in svg.split("<path") if 'stroke="#000"' in part)
    x = y = 0.0
    for command, numbers in re.findall(r"([Mmh])([-\d. ]+)", dark.split(' d="')[1].split('"')[0]):
        steps = [float(number) for number in re.findall(r"-?[\d.]+", numbers)]
        if command == "h":
            rows[int(y)][int(x) : int(x + steps[0])] = [0] * int(steps[0])
            x += steps[0]
        else:
            x, y = (steps[0], steps[1]) if command == "M" else (x + steps[0], y + steps[1])
    wide = [bytes(value for value in row for _ in range(_PIXELS)) for row in rows]
    side = width * _PIXELS
    image = memoryview(b"".join(row * _PIXELS for row in wide)).cast("B", shape=[side, side])
    found = zxingcpp.read_barcode(image)
    assert found is not None
    return str(found.text)


def _enable(admin: Visitor) -> tuple[str, list[str]]:
    """Switch it on at the console; give the secret and the recovery codes."""
    secret = admin.get(PAGE).text.split('id="secret">')[1].split("<")[0]
    answer = admin.post(PAGE, {"code": pyotp.TOTP(secret).now()})
    return secret, _CODE.findall(admin.get(answer.headers["Location"]).text)


def _second_step(app: Flask, code: str) -> tuple[Visitor, str]:
    visitor = Visitor(app)
    visitor.login()
    visitor.get("/auth/code")
    return visitor, visitor.post("/auth/code", {"code": code}).headers.get("Location", "")


def test_an_authenticator_reads_the_qr_code_of_the_page(admin: Visitor) -> None:
    page = admin.get(PAGE).text
    secret = page.split('id="secret">')[1].split("<")[0]
    address = _read(next(one for one in page.split("<svg ") if 'class="qr"' in one))

    assert pyotp.parse_uri(address).secret == secret
    assert "otpauth://totp/Ollama2OpenAI:admin?" in address


def test_a_qr_code_says_what_it_was_made_of() -> None:
    for text in ("a", "otpauth://totp/x:" + "y" * 64 + "?secret=" + "A" * 32):
        assert _read(str(qr_code(text))) == text


def test_it_is_switched_on_with_a_code_and_off_with_the_password(
    admin: Visitor, parts: Services
) -> None:
    admin.get(PAGE)
    wrong = admin.post(PAGE, {"code": "000000"})
    _enable(admin)
    on = parts.admins.accounts.get(1).totp_enabled
    refused = admin.post(PAGE, {"current": "not it"})
    admin.post(PAGE, {"current": PASSWORD})

    assert "code is wrong" in wrong.text
    assert 'class="qr"' in wrong.text
    assert on
    assert "The password is wrong." in refused.text
    assert not parts.admins.accounts.get(1).totp_enabled


def test_recovery_codes_are_shown_once_and_counted(app: Flask, admin: Visitor) -> None:
    _, codes = _enable(admin)
    _, first = _second_step(app, codes[0])
    _, again = _second_step(app, codes[0])

    assert len(codes) == 10
    assert (first, again) == ("/admin/", "")
    assert "9 recovery codes left" in admin.get("/admin/settings/security").text


def test_a_page_of_recovery_codes_opens_once(admin: Visitor) -> None:
    secret = admin.get(PAGE).text.split('id="secret">')[1].split("<")[0]
    page = admin.post(PAGE, {"code": pyotp.TOTP(secret).now()}).headers["Location"]
    looks = [_CODE.findall(admin.get(page).text) for _ in range(2)]

    assert [len(codes) for codes in looks] == [10, 0]


def test_new_recovery_codes_take_the_password_and_end_the_old_ones(
    app: Flask, admin: Visitor
) -> None:
    _, old = _enable(admin)
    admin.get(NEW_CODES)
    refused = admin.post(NEW_CODES, {"current": "not it"})
    made = admin.post(NEW_CODES, {"current": PASSWORD})
    new = _CODE.findall(admin.get(made.headers["Location"]).text)

    assert "The password is wrong." in refused.text
    assert len({*old, *new}) == 20
    assert _second_step(app, old[0])[1] == ""
    assert _second_step(app, new[0])[1] == "/admin/"


def test_without_a_second_factor_there_are_no_recovery_codes(admin: Visitor) -> None:
    admin.get(NEW_CODES)
    refused = admin.post(NEW_CODES, {"current": PASSWORD})

    assert "Two-factor authentication is off." in refused.text


def test_failed_sign_ins_are_told_after_the_next_good_one(app: Flask, parts: Services) -> None:
    stranger, owner = Visitor(app, "203.0.113.9"), Visitor(app)
    for _ in range(3):
        stranger.login("admin", "not the password")
    pages = []
    for _ in range(2):
        owner.get("/auth/login")
        owner.post("/auth/login", {"username": "admin", "password": PASSWORD})
        pages.append(owner.get("/admin/settings/security").text)
        owner.post("/auth/logout")

    assert "3 failed attempts since your last sign-in." in pages[0]
    assert "since your last sign-in" not in pages[1]


def test_the_password_of_a_colleague_is_told_as_such(app: Flask, parts: Services) -> None:
    parts.admins.accounts.create("carl", PASSWORD, "admin", ACTOR)
    carl = Visitor(app)
    carl.login("carl", PASSWORD)
    page = carl.get("/auth/password").text

    assert "Your admin set a first password. Choose your own." in page
    assert "known to everybody" not in page
