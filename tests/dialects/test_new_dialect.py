"""A dialect is one value: an entry in `DIALECTS` is all that adds one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fake_ollama import FakeOllama, Script

PROGRAM = """
from gevent import monkey; monkey.patch_all()
import sys
from pathlib import Path

from gateway import dialects
from gateway.core.chat import Call, ChatRequest, Message
from gateway.dialects.base import Dialect
from gateway.dialects.messages.answer import ANTHROPIC
from gateway.dialects.shared.reading import Fields, read_model


def parse(body, reading):
    root = Fields(body)
    said = Message("user", root.required_text("say"))
    return Call(ChatRequest(read_model(root), (said,)), body=body)


TINY = Dialect(
    name="tiny",
    label="the tiny API",
    vendor=ANTHROPIC,
    paths=("/v1/tiny",),
    prompt_param="say",
    parse=parse,
    render=lambda replies, envelope: {"said": replies[0].text},
    writer=lambda envelope: None,
    error_event=lambda error, request_id: b"",
)
dialects.DIALECTS = (*dialects.DIALECTS, TINY)
dialects.ENDPOINTS = (*dialects.ENDPOINTS, TINY)
dialects.SCOPES = (*dialects.SCOPES, TINY.name)

from gateway.core.admin import SYSTEM
from gateway.admin.forms.keys import SCOPE_WORDS
from gateway.web.context import of
from gateway.accounting.metrics import _ENDPOINTS
from tests.api.apps import application, ollama_at

assert SCOPE_WORDS["tiny"] == "/v1/tiny"
assert "tiny" in _ENDPOINTS
with application(Path(sys.argv[1]), ollama_at(sys.argv[2])) as app:
    refused = app.post("/v1/tiny", {"model": "llama3.2", "say": "hello"})
    assert refused.status_code == 403, refused.get_data()
    assert refused.get_json()["error"]["message"] == "This API key may not use the tiny API."
    app.use_key(scopes=["tiny"])
    answer = app.post("/v1/tiny", {"model": "llama3.2", "say": "hello"})
    assert answer.get_json() == {"said": "fine"}
    wrong = app.post("/v1/tiny", {"model": "llama3.2"})
    assert wrong.status_code == 400
    assert wrong.get_json()["type"] == "error"
    assert wrong.headers["request-id"]
print("served")
"""


def test_a_new_dialect_is_one_entry(tmp_path: Path, ollama: FakeOllama) -> None:
    ollama.script("llama3.2", Script(content="fine"))

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), ollama.url],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout.endswith("served\n"), done.stderr[-2000:]
