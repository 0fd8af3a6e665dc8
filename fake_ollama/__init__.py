"""A fake Ollama: a real HTTP server that answers as Ollama does, or misbehaves as told.

In a test::

    with FakeOllama() as ollama:
        ollama.script("qwen3:8b", Script(thinking="Hm.", content="Low tide is at six."))
        ...  # talk to ollama.url
        assert ollama.calls("/api/chat")[0].json["options"] == {"num_predict": 5}

*Models.* ``FakeOllama(models=[FakeModel("tern:latest", ("completion", "tools"), path="native")])``;
without, DEFAULT_MODELS. The ``template_rules`` ``"system_first"``, ``"alternate"`` and
``"needs_user"`` play chat templates that raise over the order of turns. ``online=False`` is a
server without a network. ``gpu_bytes=8_000_000_000`` is a GPU of that size: models that do not fit
beside those loaded before have layers in RAM (``size_vram`` below ``size``).

*Observed.* The fake does what a real Ollama 0.33 was seen to do: a chat on the native path
overlooks the formats ``"json"`` and ``{}`` and repeats a begun answer; patterns and schemas that
llama.cpp cannot take are a 400; prompts too long are cut or refused by path; a call cut inside its
arguments is an error; models of one blob share a runner. ``tests/data/ollama/*.json`` holds cases.

*Scripts.* ``script(target, *scripts)``: the target is a model, a path (``/api/tags``) or ``*``;
scripts are used in order and the last stays in force; a callable gets the request body and gives a
Script. Without a script the fake composes an answer of its own: it calls tools, reports their
results, looks at images, fills JSON schemas. Scripts act on requests that passed Ollama's own
checks; those are answered with Ollama's errors whatever the script says.

*Faults.* ``Script(fault=Fault("reset_mid_line", after=2))``; ``FAULTS`` lists all kinds,
``error(503, "text")`` and ``status(500, "<html>")`` are short cuts. A runner that dies is
``Fault("runner_died", after=n)``: a 500 before the first line, else an error line, then a reload.
Faults combine: ``fault=("until_close", "nodone")``. A refused connection is ``stop()``, which
``start()`` undoes on the same port; ``freeze()`` is a process that hangs.

*Gates instead of sleeps.* ``with ollama.hold("qwen3:8b", at=2) as gate: ... gate.wait_reached()``
stops answers after two lines; ``at=0`` before the headers, ``at="load"`` while the model loads.

*Looking back.* ``requests``, ``calls(path)``, ``wait_for(lambda one: ...)``, ``wait_requests(n)``,
``wait_disconnect(n)``, ``wait_idle()``, ``loads``, ``load_count(name)``, ``reload_count(name)``,
``loaded()``, ``busiest(name)``. Waits raise TimeoutError. ``advance(s)`` moves the clock of
``keep_alive``.

*As a process.* ``python -m fake_ollama --port 0 --models demo`` prints its URL;
``/__fake__/...`` offers the same (``routes_control``).

Token counts are counts of the fake's own tokens: word-like pieces (``scripts.tokenise``).
"""

from fake_ollama.board import Hold, Recorded
from fake_ollama.faults import FAULTS, Fault, error, status
from fake_ollama.models import DEFAULT_MODELS, FakeModel, demo_models
from fake_ollama.scripts import RECORDINGS, Script
from fake_ollama.server import FakeOllama

__all__ = [
    "DEFAULT_MODELS",
    "FAULTS",
    "RECORDINGS",
    "FakeModel",
    "FakeOllama",
    "Fault",
    "Hold",
    "Recorded",
    "Script",
    "demo_models",
    "error",
    "status",
]
