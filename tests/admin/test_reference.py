"""The API reference: every operation of the document once, every link leads somewhere."""

from __future__ import annotations

import re

import pytest
from flask import Flask


@pytest.fixture
def pages(app: Flask) -> dict[str, str]:
    """Every page of the reference by its address, found by following links."""
    client, found, waiting = app.test_client(), dict[str, str](), ["/docs"]
    while waiting:
        address = waiting.pop()
        if address not in found:
            found[address] = client.get(address).text
            waiting += re.findall(r'href="(/docs[^"#]*)', found[address])
    return found


def test_every_operation_and_schema_stands_once_and_every_link_leads_on(
    app: Flask, pages: dict[str, str]
) -> None:
    document = app.test_client().get("/openapi.json").json
    told = [one for page in pages.values() for one in re.findall(r'<section [^>]*id="(.+?)"', page)]
    places = {
        f"{address}#{id_}"
        for address, page in pages.items()
        for id_ in re.findall(r' id="(\w+)"', page)
    }
    links = {
        link if link.startswith("/") else address + link
        for address, page in pages.items()
        for link in re.findall(r'href="((?:/docs[^"#]*)?#\w+)"', page)
    }
    wanted = [
        f"{method.upper()}{path}"
        for path, item in document["paths"].items()
        for method in ("get", "post", "patch", "put", "delete")
        if method in item
    ]
    operations = [one for one in told if "/" in one]
    schemas = [one for one in told if "/" not in one]

    assert len(pages) > 20
    assert sorted(operations) == sorted(wanted)
    assert len(schemas) == len(set(schemas)) > 100
    assert links - places == set()


def test_every_page_is_light(pages: dict[str, str]) -> None:
    heavy = {address: len(page.encode()) for address, page in pages.items()}

    assert {address: size for address, size in heavy.items() if size > 60_000} == {}


def test_a_field_tells_its_type_and_whether_it_is_needed(app: Flask) -> None:
    page = app.test_client().get("/docs").text
    model = page[page.index('id="ChatRequest"') :]
    model = model[model.index("<code>model</code>") :][:600]

    assert 'title="required"' in model
    assert "string" in model


def test_an_unknown_chapter_is_not_found(app: Flask) -> None:
    answer = app.test_client().get("/docs/nothing")

    assert (answer.status_code, answer.mimetype) == (404, "text/html")
