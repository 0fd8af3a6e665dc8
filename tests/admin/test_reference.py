"""The API reference: every operation of the document once, every link leads somewhere."""

from __future__ import annotations

import re

from flask import Flask


def test_every_operation_stands_on_one_page_and_every_link_leads_on(app: Flask) -> None:
    client = app.test_client()
    document = client.get("/openapi.json").json
    first = client.get("/docs").text
    names = re.findall(r'class="nav-link[^"]*"\s+href="(/docs[^"]*)"', first)
    pages = {name: client.get(name).text for name in names}
    told = [
        one
        for page in pages.values()
        for one in re.findall(r'<section [^>]*id="([A-Z]+/.*?)"', page)
    ]
    broken = {
        name: missing
        for name, page in pages.items()
        if (
            missing := set(re.findall(r'href="#(\w+)"', page))
            - set(re.findall(r' id="(\w+)"', page))
        )
        - {"main"}
    }
    wanted = [
        f"{method.upper()}{path}"
        for path, item in document["paths"].items()
        for method in ("get", "post", "patch", "put", "delete")
        if method in item
    ]

    assert len(names) > 8
    assert sorted(told) == sorted(wanted)
    assert broken == {}


def test_a_field_tells_its_type_and_whether_it_is_needed(app: Flask) -> None:
    page = app.test_client().get("/docs").text
    model = page[page.index('id="ChatRequest"') :]
    model = model[model.index("<code>model</code>") :][:600]

    assert 'title="required"' in model
    assert "string" in model


def test_an_unknown_chapter_is_not_found(app: Flask) -> None:
    answer = app.test_client().get("/docs/nothing")

    assert (answer.status_code, answer.mimetype) == (404, "text/html")
