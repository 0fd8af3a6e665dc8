"""Context and loads: what a week of calls tells, and what is proposed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fake_ollama import FakeOllama
from gateway.core.catalog import Loaded, Model
from gateway.core.usage import Admission, Settlement
from gateway.store.usage import memory, records
from gateway.store.usage.records import Entry
from gateway.web.context import Services
from tests.admin.conftest import Visitor

NOW = datetime.now(UTC)


@pytest.fixture
def used(parts: Services, served: FakeOllama) -> Model:
    """Write 24 calls: each loaded the model anew, one was cut; and two stays in memory."""
    model = next(one for one in parts.catalog.models() if one.context_tokens == 131_072)
    entries = []
    for number in range(24):
        admission = Admission(
            f"req_{number}", NOW - timedelta(hours=number), 7, "second app", "chat", model.id,
            model.display_name, model.display_name, False,
        )  # fmt: skip
        settlement = Settlement(
            f"req_{number}", 200, "stop", prompt_tokens=30_000, load_reason="window",
            ollama_load_ms=2_000.0, context_tokens=32_768,
        )  # fmt: skip
        entries.append(Entry(admission, replace(settlement, cut=number == 0)))
    store = parts.store
    store.write(records.write, entries, worker="w", now=NOW)
    (server,) = parts.catalog.servers()[:1]
    for hours, loaded in ((3, {model.name: Loaded(model.name, 5, 5, 8_192)}), (1, {})):
        store.write(memory.note, server.id, loaded, {}, NOW - timedelta(hours=hours))
    return model


def test_the_page_tells_who_has_models_loaded_and_what_was_cut(admin: Visitor, used: Model) -> None:
    text = admin.get("/admin/models/context").get_data(as_text=True)

    assert "24 loads this week; requests waited 48 s for them." in text
    assert "24 of them because requests asked for different windows." in text
    assert "second app" in text
    assert "another window was asked for" in text
    assert "window of 8,192, unloaded" in text
    for page in ("/admin/", "/admin/models"):
        assert "1 prompt was probably cut." in admin.get(page).get_data(as_text=True)
    assert admin.get("/admin/requests?features=cut").get_data(as_text=True).count("data-id=") == 1
    assert admin.get("/admin/requests?features=load").get_data(as_text=True).count("data-id=") == 24


def test_what_is_proposed_is_applied_with_one_click(
    admin: Visitor, parts: Services, used: Model
) -> None:
    done = admin.post(f"/admin/models/{used.id}/context", {})
    after = parts.catalog.model(used.id)
    again = admin.post(f"/admin/models/{used.id}/context", {})

    assert done.status_code == 303
    assert after.override["context_policy"] == "grow"
    assert after.override["context_steps"] == [65_536]
    assert again.status_code == 400
