"""A body that came too slowly is refused in the form of its route, on every kind of route (load-6).

How slow is too slow is tried on real connections in `tests/server/test_body.py`.
"""

from __future__ import annotations

import pytest

from gateway.errors import ClientGone, GatewayError, InvalidRequest, RequestTimeout
from gateway.web.context import Services
from tests.admin.conftest import ACTOR, Visitor

ROUTES = {
    "sign-in": ("/auth/login", "application/x-www-form-urlencoded"),
    "preferences": ("/auth/preferences", "application/x-www-form-urlencoded"),
    "a form with files": ("/admin/settings/backup/import", "multipart/form-data; boundary=b"),
    "admin API": ("/api/admin/v1/keys", "application/json"),
    "an API call": ("/v1/chat/completions", "application/json"),
}


class _Failing:
    """`wsgi.input` as the server gives it when a body does not come."""

    def __init__(self, error: GatewayError) -> None:
        self._error = error

    def read(self, size: int = -1) -> bytes:
        raise self._error

    readline = read


ERRORS = (
    RequestTimeout("The request body came too slowly.", headers={"Connection": "close"}),
    InvalidRequest("The chunked request body is malformed.", code="invalid_json"),
    ClientGone("The connection broke while the body was read."),
)


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_the_refusal_speaks_the_callers_form(
    admin: Visitor, parts: Services, route: tuple[str, str]
) -> None:
    path, kind = route
    is_page = not path.startswith(("/v1", "/api"))
    _, key = parts.keys.issue({"name": "slow"}, ACTOR)
    _, token = parts.admins.tokens.issue("slow", "owner", ACTOR)
    headers = (
        {} if is_page else {"Authorization": f"Bearer {key if path.startswith('/v1') else token}"}
    )
    for error in ERRORS:
        answer = admin.client.post(
            path,
            content_type=kind,
            headers=headers,
            environ_overrides={
                "wsgi.input": _Failing(error), "CONTENT_LENGTH": "1000", "REMOTE_ADDR": "127.0.0.1",
            },
        )  # fmt: skip

        assert answer.status_code == error.status, error
        assert error.message in answer.text
        assert ("<html" in answer.text) is (is_page and error.status != 499)
        assert answer.headers.get("Connection") == error.headers.get("Connection")
