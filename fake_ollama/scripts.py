"""What a test tells the fake to answer, and the book that hands the scripts out."""

from __future__ import annotations

import json
import random
import re
import string
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias

from fake_ollama.faults import Fault, parse_fault
from fake_ollama.names import name_key

RECORDINGS = Path(__file__).resolve().parent.parent / "tests" / "data" / "ollama"

Text: TypeAlias = str | Sequence[str]
ToolCall: TypeAlias = tuple[str, Mapping[str, Any]] | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Script:
    """One answer.

    Texts given as a string are cut into tokens; a sequence gives the exact pieces. Once ``content``
    or ``tool_calls`` is given, what is not given is not said; with neither, the fake composes its
    own answer. A tool call is ``(name, arguments)`` or a mapping with ``name``, ``arguments`` and,
    if wanted, ``id`` (``""`` leaves it out). ``chunks`` are exact ``message`` objects, one a line,
    and replace the three. ``ndjson`` replays a recording (a file of ``tests/data/ollama`` or a
    path) with the model's name put in. ``final`` overrides fields of the done line; None removes
    one.

    ``load_delay_s``, ``first_delay_s`` (prompt evaluation) and ``delay_s`` (each line) are seconds.
    ``when`` receives the request body and lets a script stand aside. ``endless`` repeats the
    content until the client leaves.
    """

    thinking: Text | None = None
    content: Text | None = None
    tool_calls: Sequence[ToolCall] | None = None
    chunks: Sequence[Mapping[str, Any]] | None = None
    ndjson: str | Path | None = None
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    cached_count: int | None = None
    first_delay_s: float = 0.0
    delay_s: float | None = None
    load_delay_s: float | None = None
    fault: Fault | str | Sequence[Fault | str] = ()
    when: Callable[[dict[str, Any]], bool] | None = None
    endless: bool = False
    final: Mapping[str, Any] = field(default_factory=dict)
    embeddings: Sequence[Sequence[float]] | None = None

    @property
    def faults(self) -> tuple[Fault, ...]:
        if isinstance(self.fault, (Fault, str)):
            return (parse_fault(self.fault),)
        return tuple(parse_fault(one) for one in self.fault)

    def accepts(self, body: dict[str, Any]) -> bool:
        return self.when is None or bool(self.when(body))


Scripted: TypeAlias = Script | Callable[[dict[str, Any]], Script]

DEFAULT_SCRIPT = Script()


def parse_script(value: Mapping[str, Any]) -> Script:
    """Read a script from the control API. Raises ValueError for unknown fields."""
    known = {item.name for item in fields(Script)} - {"when"}
    unknown = set(value) - known
    if unknown:
        raise ValueError(f"unknown script fields: {', '.join(sorted(unknown))}")
    given = dict(value)
    if "fault" in given:
        faults = given["fault"] if isinstance(given["fault"], list) else [given["fault"]]
        given["fault"] = tuple(parse_fault(one) for one in faults)
    script = Script(**given)
    if script.ndjson is not None:
        recording_path(script.ndjson)
    return script


def recording_path(name: str | Path) -> Path:
    """Find a recording by name (the ending may be left out) or path. Raises ValueError."""
    for path in (Path(name), RECORDINGS / name, RECORDINGS / f"{name}.ndjson"):
        if path.is_file():
            return path
    raise ValueError(f"no recording called {name}")


@dataclass(frozen=True, slots=True)
class RecordedLine:
    """A line of a recording; ``value`` is None when it is no JSON object."""

    raw: bytes
    value: dict[str, Any] | None

    @property
    def ending(self) -> bytes:
        return self.raw[len(self.raw.rstrip(b"\r\n")) :]


def recorded_lines(name: str | Path) -> list[RecordedLine]:
    """Give the lines of a recording."""
    raws = recording_path(name).read_bytes().splitlines(keepends=True)
    return [RecordedLine(raw, _object_in(raw)) for raw in raws]


def _object_in(raw: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(raw)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


_TOKEN = re.compile(r"\s*[^\W_]{1,12}|\s*[\W_]{1,4}?(?=\w|\s|$)|\s*\S{1,12}|\s+")


def tokenise(text: Text) -> list[str]:
    """Cut a text into word-like tokens that join to it again; exact pieces stay as they are."""
    if not isinstance(text, str):
        return list(text)
    return [found[0] for found in _TOKEN.finditer(text)]


_ALPHANUMERIC = string.ascii_letters + string.digits


def shape_tool_call(call: ToolCall, index: int, path: str, rng: random.Random) -> dict[str, Any]:
    """Give the reply form of a call with an id in the manner of the path."""
    given: dict[str, Any]
    if isinstance(call, tuple):
        given = {"name": call[0], "arguments": call[1]}
    else:
        given = {**call, **call.get("function", {})}
    call_id = given.get("id")
    if call_id is None and path == "native":
        call_id = "".join(rng.choices(_ALPHANUMERIC, k=32))
    elif call_id is None:
        call_id = "call_" + "".join(rng.choices(string.ascii_lowercase + string.digits, k=8))
    function = {
        "index": given.get("index", index),
        "name": given["name"],
        "arguments": dict(given.get("arguments") or {}),
    }
    return {"id": call_id, "function": function} if call_id else {"function": function}


class ScriptBook:
    """Scripts by target: a model name, a path such as ``/api/tags``, or ``*``.

    Scripts of one target are used in order, and the last stays in force until it is replaced.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[str, list[Scripted]] = {}

    def write(self, target: str, scripts: Sequence[Scripted]) -> None:
        with self._lock:
            self._queues[target_key(target)] = list(scripts)

    def clear(self) -> None:
        with self._lock:
            self._queues.clear()

    def take(self, targets: Sequence[str], body: dict[str, Any]) -> Script | None:
        """Give the script in force for the first target that has one, and turn the page."""
        with self._lock:
            for target in targets:
                queue = self._queues.get(target, [])
                found = self._take_from(queue, body)
                if found is not None:
                    return found
        return None

    def peek(self, targets: Sequence[str], body: dict[str, Any]) -> Script | None:
        """Give the script that ``take`` would give, and leave it in its place."""
        with self._lock:
            for target in targets:
                for entry in self._queues.get(target, []):
                    script = entry if isinstance(entry, Script) else entry(body)
                    if script.accepts(body):
                        return script
        return None

    @staticmethod
    def _take_from(queue: list[Scripted], body: dict[str, Any]) -> Script | None:
        for position, entry in enumerate(queue):
            script = entry if isinstance(entry, Script) else entry(body)
            if script.accepts(body):
                if position < len(queue) - 1 or (len(queue) > 1 and script.when is not None):
                    del queue[position]
                return script
        return None


def target_key(target: str) -> str:
    """What two spellings of one target share."""
    return target if target.startswith("/") or target == "*" else name_key(target)
