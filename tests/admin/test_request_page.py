"""The page of one request: its title and neighbours, what a refusal says, the texts it keeps."""

from __future__ import annotations

import re
from datetime import timedelta

from gateway.web.context import Services
from tests.admin.conftest import Visitor
from tests.admin.test_requests import NOW, write

ENDS: list[tuple[dict[str, object], str]] = [
    ({}, "llama3.2 for one · answered"),
    ({"status": 429, "error_code": "rate_limit_exceeded"}, "llama3.2 for one · refused"),
    ({"status": 502, "error_code": "upstream_error"}, "llama3.2 for one · failed"),
    ({"status": 499, "finish": "client_closed"}, "llama3.2 for one · client disconnected"),
    ({"status": 503, "finish": "cancelled"}, "llama3.2 for one · cancelled"),
    ({"model": "", "model_id": None, "status": 404}, "m for one · refused"),
]


def test_the_title_says_who_asked_for_what_and_how_it_ended(
    admin: Visitor, parts: Services
) -> None:
    for number, (changes, title) in enumerate(ENDS):
        page = admin.get(f"/admin/requests/{write(parts, number, **changes)}").text

        assert f"<h1>{title}</h1>" in page, changes


def test_a_refusal_says_its_limit_first_and_its_code_once(admin: Visitor, parts: Services) -> None:
    words = "This key may use 120 requests per minute; try again in 3 s."
    refused = {"status": 429, "error_code": "rate_limit_exceeded", "error_message": words}
    page = admin.get(f"/admin/requests/{write(parts, 1, **refused)}").text

    assert f'<p class="fw-semibold">{words}</p>' in page
    assert page.count("<code>rate_limit_exceeded</code>") == 1
    assert "Served by" not in page
    assert "Requested model" in page


def test_a_request_leads_to_its_neighbours_in_the_list(admin: Visitor, parts: Services) -> None:
    ids = [write(parts, number, key_id=1 + number % 2, at=NOW) for number in range(6)]
    found = {}
    for query in ("", "?key_id=1"):
        page = admin.get(f"/admin/requests/{ids[2]}{query}").text
        found[query] = [
            re.search(rf'href="/admin/requests/([^"]+)" title="{title}"', page)[1]  # type: ignore[index]  # it is there
            for title in ("Newer request", "Older request")
        ]
    ends = admin.get(f"/admin/requests/{ids[0]}?key_id=1").text

    assert found == {
        "": [ids[3], ids[1]],
        "?key_id=1": [f"{ids[4]}?key_id=1", f"{ids[0]}?key_id=1"],
    }
    assert "Older request" not in ends
    assert 'href="/admin/requests?key_id=1"' in ends


def test_a_request_of_long_ago_has_neighbours_as_well(admin: Visitor, parts: Services) -> None:
    old, older = (write(parts, n, at=NOW - timedelta(days=90 + n)) for n in range(2))
    page = admin.get(f"/admin/requests/{old}").text

    assert f"/admin/requests/{older}" in page


def test_kept_texts_are_indented_and_have_the_thinking(admin: Visitor, parts: Services) -> None:
    kept = {"request_body": '{"model":"m","n":1}', "upstream_body": '{"cut": "in the m'}
    answered = {"thinking_body": "Let me <think>.", "response_body": '{"a":1}'}
    page = admin.get(f"/admin/requests/{write(parts, 1, **kept, **answered)}").text

    assert "{\n  &#34;model&#34;: &#34;m&#34;,\n  &#34;n&#34;: 1\n}" in page
    assert "{&#34;cut&#34;: &#34;in the m" in page
    assert "Let me &lt;think&gt;." in page
    assert "{&#34;a&#34;:1}" in page
