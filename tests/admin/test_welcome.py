"""The first steps: find Ollama, choose models, make a key."""

from __future__ import annotations

import re
import socket

from fake_ollama import FakeOllama
from gateway.web.context import Services
from tests.admin.conftest import Visitor


def test_the_steps_lead_to_a_key(
    admin: Visitor, parts: Services, shared_ollama: FakeOllama
) -> None:
    shared_ollama.reset()
    connected = admin.post("/admin/welcome/connect", {"url": shared_ollama.url})
    chosen = admin.get(connected.headers["Location"]).text
    ticked = re.findall(r'name="model" value="(\d+)"[^>]* checked', chosen)
    named = admin.post("/admin/welcome/models", {"model": ticked[:2]})
    made = admin.post("/admin/welcome/key", {"name": "First key"})
    shown = admin.get(made.headers["Location"]).text

    assert connected.headers["Location"] == "/admin/welcome?step=models"
    assert named.headers["Location"] == "/admin/welcome?step=key"
    assert sum(model.enabled for model in parts.catalog.models()) == 2
    assert re.search(r"sk-o2a-\w{49}", shown)
    assert 'id="waiting"' in shown


def test_an_address_without_ollama_is_explained(admin: Visitor, parts: Services) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    answer = admin.post("/admin/welcome/connect", {"url": url})
    page = admin.get(answer.headers["Location"]).text

    assert "Nothing listens on port" in page
    assert parts.catalog.servers() == ()


def test_the_next_step_is_found_again(admin: Visitor, parts: Services, served: FakeOllama) -> None:
    page = admin.get("/admin/welcome").text

    assert "Choose models" in page
    assert 'aria-current="step"' in page
