"""Golden files: what each dialect makes of each recording, whole and streamed.

    python -m tests.support.golden           write them again; then read the diff
    python -m tests.support.golden --check   tell which ones differ

`data/golden/<dialect>/<recording>.sse` (or `.ndjson`) is the stream, `.json` the whole answer or
the error in its place. A dialect joins by an entry in `DIALECTS`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from gateway.core.chat import Envelope
from gateway.core.events import Batch, fold
from gateway.dialects import API_CHAT, API_GENERATE, CHAT, COMPLETIONS, MESSAGES, RESPONSES
from gateway.dialects.base import Dialect, Reading, frames
from gateway.errors import GatewayError, InvalidRequest
from gateway.ollama.wire import Decoder
from gateway.schemas.settings import RuntimeSettings

DATA = Path(__file__).resolve().parents[1] / "data"
GOLDEN = DATA / "golden"
SEED = "c0ffee00c0ffee00c0ffee00"
CREATED = 1_754_000_000
REQUEST_ID = "req_00000000000000000000000000000000"


@dataclass(frozen=True, slots=True)
class Sample:
    """A dialect, and the body whose answer is told; `asks_logprobs` is laid over the body for
    recordings that have them."""

    dialect: Dialect
    body: Mapping[str, Any]
    asks_logprobs: Mapping[str, Any]


_TURN = [{"role": "user", "content": "What is the weather in Paris?"}]
_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}

DIALECTS: tuple[Sample, ...] = (
    Sample(
        CHAT,
        {
            "model": "Tern",
            "messages": _TURN,
            "stream": True,
            "tools": [
                {"type": "function", "function": {"name": "get_weather", "parameters": _SCHEMA}}
            ],
        },
        {"logprobs": True, "top_logprobs": 2},
    ),
    Sample(
        COMPLETIONS,
        {"model": "Tern", "prompt": "The weather in Paris is", "stream": True},
        {"logprobs": 2},
    ),
    Sample(
        RESPONSES,
        {
            "model": "Tern",
            "input": "What is the weather in Paris?",
            "stream": True,
            "tools": [{"type": "function", "name": "get_weather", "parameters": _SCHEMA}],
        },
        {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
    ),
    Sample(
        MESSAGES,
        {
            "model": "Tern",
            "max_tokens": 1000,
            "messages": _TURN,
            "stream": True,
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "tools": [{"name": "get_weather", "input_schema": _SCHEMA}],
        },
        {},
    ),
    Sample(
        API_CHAT,
        {
            "model": "Tern",
            "messages": _TURN,
            "tools": [
                {"type": "function", "function": {"name": "get_weather", "parameters": _SCHEMA}}
            ],
        },
        {"logprobs": True, "top_logprobs": 2},
    ),
    Sample(
        API_GENERATE,
        {"model": "Tern", "prompt": "What is the weather in Paris?"},
        {"logprobs": True, "top_logprobs": 2},
    ),
)


def recordings() -> list[Path]:
    """Give the recorded answers in order of their names."""
    return sorted((DATA / "ollama").glob("*.ndjson"))


def batches(recording: Path) -> list[Batch]:
    """Decode a recording as if each line had arrived alone."""
    decoder = Decoder()
    groups = [decoder.feed([line]) for line in recording.read_bytes().split(b"\n") if line.strip()]
    groups.append(decoder.end())
    return [(0, tuple(events)) for events in groups if events]


def files(sample: Sample, recording: Path) -> Iterator[tuple[Path, bytes]]:
    """Give the golden files of one dialect and one recording: path and content."""
    dialect = sample.dialect
    body = dict(sample.body)
    if "logprobs" in recording.stem:
        body.update(sample.asks_logprobs)
    call = dialect.parse(body, _reading())
    envelope = Envelope(SEED, CREATED, call, REQUEST_ID, prompt_estimate=17)
    found = batches(recording)
    path = GOLDEN / dialect.name / recording.stem
    suffix = ".ndjson" if "ndjson" in dialect.media_type else ".sse"
    yield path.with_suffix(suffix), b"".join(frames(dialect.writer(envelope), [found]))
    try:
        whole = dialect.render(fold(found), envelope)
    except GatewayError as error:
        whole = dialect.error_body(error, REQUEST_ID)
    yield path.with_suffix(".json"), orjson.dumps(whole, option=orjson.OPT_INDENT_2) + b"\n"


def all_files() -> dict[Path, bytes]:
    """Give every golden file as it must be."""
    return {
        path: content
        for sample in DIALECTS
        for recording in recordings()
        for path, content in files(sample, recording)
    }


def differing() -> list[Path]:
    """Give the files that are missing, changed, or nobody's."""
    wanted = all_files()
    there = {path for path in GOLDEN.rglob("*") if path.is_file()}
    changed = {path for path in wanted if path not in there or path.read_bytes() != wanted[path]}
    return sorted(changed | (there - wanted.keys()))


def write() -> int:
    """Bring the golden files up to date; gives how many were touched."""
    wanted = all_files()
    touched = differing()
    for path in touched:
        if path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted[path])
        else:
            path.unlink()
    return len(touched)


def _reading() -> Reading:
    def nothing(wanted: str) -> Any:
        raise InvalidRequest(f"nothing is stored under {wanted}")

    return Reading(RuntimeSettings(), nothing, nothing)


def main(arguments: list[str]) -> int:
    """Run the command; 1 when `--check` finds a difference."""
    if "--check" in arguments:
        for path in differing():
            print(path.relative_to(GOLDEN))
        return 1 if differing() else 0
    print(f"{write()} golden files written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
