"""Signing in: who may, from where, and how long it holds."""

from __future__ import annotations

from http.cookies import SimpleCookie

import pyotp
import pytest
from flask import Flask

from gateway.web.context import Services, of
from gateway.web.security import safe_next
from tests.admin.conftest import ACTOR, PASSWORD, Visitor

HOME = "/admin/"
NEXTS = [
    ("/admin/keys?search=a&state=inactive", True),
    ("/admin/requests?after=1-2", True),
    ("/admin/模型", True),
    ("", False),
    ("admin/keys", False),
    ("//evil.example", False),
    ("/\\evil.example", False),
    ("\\\\evil.example", False),
    ("\t//evil.example", False),
    ("/\t/evil.example", False),
    ("/ok\r\nSet-Cookie: a=b", False),
    ("/ok\nX: 1", False),
    ("/a b", False),
    ("https://evil.example/", False),
    ("javascript:alert(1)", False),
    ("/\x00", False),
    ("/ok\x7f", False),
    ("/a\\..\\b", False),
    ("http:/admin", False),
    ("/" + "a" * 3_000, False),
]


@pytest.mark.parametrize(("target", "is_ours"), NEXTS)
def test_a_login_leads_only_to_our_own_pages(target: str, is_ours: bool) -> None:
    assert safe_next(target, HOME) == (target if is_ours else HOME)


def test_a_login_goes_on_to_the_page_that_was_wanted(app: Flask) -> None:
    visitor = Visitor(app)
    asked = visitor.get("/admin/keys?search=bot")
    visitor.get(asked.headers["Location"])
    answer = visitor.post(
        asked.headers["Location"],
        {"username": "Admin", "password": PASSWORD, "next": "/admin/keys?search=bot"},
    )

    assert answer.headers["Location"] == "/admin/keys?search=bot"


def test_wrong_name_and_wrong_password_get_the_same_words(app: Flask) -> None:
    pages = [
        Visitor(app, f"10.0.0.{number}").login(name, "not the password")
        for number, name in enumerate(("admin", "nobody"))
    ]
    told = [page.text.split('class="alert alert-danger')[1].split("</div>")[0] for page in pages]

    assert told[0] == told[1]
    assert [page.status_code for page in pages] == [200, 200]


def test_a_browser_that_signed_in_before_is_known_by_a_cookie(app: Flask) -> None:
    owner, stranger = Visitor(app), Visitor(app)
    owner.login()
    owner.post("/auth/logout")
    for _ in range(12):
        stranger.login("admin", "not the password")

    assert owner.login().status_code == 303
    assert stranger.login().status_code == 429


def test_a_cookie_made_up_is_no_known_browser(app: Flask) -> None:
    stranger = Visitor(app)
    for word in ("", "x", "WzEsImEiXQ.aAaAaA.forged"):
        stranger.client.set_cookie("o2o_session", word)
        for _ in range(4):
            stranger.login("admin", "not the password")

    assert stranger.login().status_code == 429


def test_who_comes_second_with_a_first_password_is_sent_to_sign_in(first_app: Flask) -> None:
    visitors = [Visitor(first_app), Visitor(first_app)]
    for visitor in visitors:
        visitor.login("admin", "admin")
        visitor.get("/auth/password")
    fields = {"password": PASSWORD, "again": PASSWORD}
    answers = [visitor.post("/auth/password", fields) for visitor in visitors]

    assert [answer.headers["Location"] for answer in answers] == ["/admin/welcome", "/auth/login"]


def test_the_first_password_opens_only_the_page_that_replaces_it(first_app: Flask) -> None:
    visitor = Visitor(first_app)
    answer = visitor.login("admin", "admin")
    opened = {
        path: visitor.get(path).headers.get("Location", "")
        for path in ("/admin/", "/admin/keys", "/admin/settings", "/admin/models", "/admin/welcome")
    }
    visitor.get("/auth/password")
    made = visitor.post("/admin/keys/new", {"name": "early"})

    assert answer.headers["Location"] == "/auth/password"
    assert set(opened.values()) == {"/auth/password"}
    assert made.headers["Location"] == "/auth/password"
    assert of(first_app).keys.search() == []


def test_a_new_password_opens_the_first_steps(first_app: Flask) -> None:
    visitor = Visitor(first_app)
    visitor.login("admin", "admin")
    visitor.get("/auth/password")
    answer = visitor.post("/auth/password", {"password": PASSWORD, "again": PASSWORD})

    assert answer.headers["Location"] == "/admin/welcome"
    assert visitor.get("/admin/keys").status_code == 200
    assert Visitor(first_app).login("admin", "admin").status_code == 200
    assert Visitor(first_app).login("admin", PASSWORD).status_code == 303


WEAK = [
    ("short", "short", "at least 10 characters"),
    ("admin", "admin", "at least 10 characters"),
    ("passwordpassword1234", "x", "differ"),
    ("qwertyuiop", "qwertyuiop", "first that would be guessed"),
]


@pytest.mark.parametrize(("password", "again", "words"), WEAK)
def test_a_weak_password_is_explained_beside_its_field(
    first_app: Flask, password: str, again: str, words: str
) -> None:
    visitor = Visitor(first_app)
    visitor.login("admin", "admin")
    visitor.get("/auth/password")
    answer = visitor.post("/auth/password", {"password": password, "again": again})

    assert answer.status_code == 200
    assert words in answer.text


FAR = [
    ("93.184.216.34", {}, "Sign in"),
    ("127.0.0.1", {"X-Forwarded-For": "93.184.216.34"}, "Sign in"),
    ("192.168.1.5", {"Forwarded": "for=93.184.216.34"}, "Sign in"),
    ("2001:4860:4860::8888", {}, "Sign in"),
]


@pytest.mark.parametrize(("address", "headers", "_words"), FAR)
def test_the_first_password_is_not_accepted_from_afar(
    first_app: Flask, address: str, headers: dict[str, str], _words: str
) -> None:
    visitor = Visitor(first_app, address)
    visitor.get("/auth/login")
    fields = {"username": "admin", "password": "admin"}
    answer = visitor.post("/auth/login", fields, headers=headers)

    assert answer.status_code == 200
    assert "ADMIN_PASSWORD" in answer.text


def test_a_login_clears_what_was_planted_before_it(app: Flask) -> None:
    visitor = Visitor(app)
    visitor.get("/auth/login")
    with visitor.client.session_transaction() as planted:
        planted["planted"] = "by an attacker"
        planted["language"] = "zh"
    token = visitor.token
    visitor.login()
    with visitor.client.session_transaction() as session:
        kept = dict(session)

    assert "planted" not in kept
    assert kept["language"] == "zh"
    assert visitor.token != token


def test_a_cookie_is_worth_nothing_after_logout(app: Flask) -> None:
    visitor = Visitor(app)
    visitor.login()
    cookie = visitor.client.get_cookie("o2o_session")
    assert cookie is not None
    visitor.post("/auth/logout")
    thief = app.test_client()
    thief.set_cookie("o2o_session", cookie.value)

    assert thief.get("/admin/keys").status_code == 303


def test_a_cookie_is_worth_nothing_after_a_new_password(app: Flask, admin: Visitor) -> None:
    other = Visitor(app)
    other.login()
    admin.get("/admin/settings/security")
    new = "another long way home"
    answer = admin.post(
        "/admin/settings/security/password", {"current": PASSWORD, "new": new, "again": new}
    )

    assert answer.status_code == 303
    assert other.get("/admin/keys").status_code == 303
    assert Visitor(app).login("admin", new).status_code == 303


def test_the_cookie_is_marked_as_it_should_be(app: Flask) -> None:
    plain = app.test_client().get("/auth/login").headers["Set-Cookie"]
    secure = app.test_client().get("/auth/login", base_url="https://x").headers["Set-Cookie"]

    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(plain.split("; "))
    assert "Secure" not in plain
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Secure"} <= set(secure.split("; "))
    assert list(SimpleCookie(secure)) == ["__Host-o2o_session"]


def test_the_second_factor_is_asked_for_and_no_password_leaves_the_server(
    app: Flask, parts: Services
) -> None:
    secret, _ = parts.admins.two_factor.begin(1)
    now = pyotp.TOTP(secret)
    parts.admins.two_factor.confirm(1, now.at(int(parts.admins._now().timestamp()) - 30), ACTOR)
    visitor, stranger = Visitor(app), Visitor(app)
    first = visitor.login()
    with visitor.client.session_transaction() as session:
        kept = dict(session)
    page = visitor.get(first.headers["Location"])
    again = visitor.get("/auth/code")
    wrong = visitor.post("/auth/code", {"code": "000000", "next": HOME})
    elsewhere = stranger.post("/auth/code", {"code": now.now(), "next": HOME})
    before = visitor.get("/admin/keys")
    right = visitor.post("/auth/code", {"code": now.now(), "next": HOME})

    assert (first.status_code, page.status_code, again.status_code) == (303, 200, 200)
    assert set(kept) & {"_user_id"} == set()
    assert not any(PASSWORD in str(value) for value in (kept, page.text, first.headers))
    assert "code is wrong" in wrong.text
    assert elsewhere.headers["Location"] == "/auth/login"
    assert before.status_code == 303
    assert right.headers["Location"] == HOME
    assert visitor.get("/admin/keys").status_code == 200


def test_language_and_theme_are_kept_with_the_account(app: Flask, admin: Visitor) -> None:
    admin.post("/auth/preferences", {"language": "zh", "theme": "dark"})
    elsewhere = Visitor(app)
    elsewhere.login()
    page = elsewhere.get("/admin/keys").text

    assert '<html lang="zh" data-theme="dark"' in page
    assert "密钥" in page


def test_nonsense_in_preferences_is_left_out(admin: Visitor) -> None:
    fields = {"language": "../../etc", "theme": "<script>", "zone": "Mars/Olympus"}
    answer = admin.post("/auth/preferences", {**fields, "next": "//evil.example"})

    assert answer.headers["Location"] == HOME
    assert '<html lang="en" data-theme="auto" data-zone="UTC"' in admin.get("/admin/keys").text
