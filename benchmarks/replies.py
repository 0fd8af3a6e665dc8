"""The bytes the fast fake Ollama answers with, built once and reused.

A model's name is its behaviour:

====================  =========================================================================
`paced-20-200`        20 tokens a second, 200 tokens; the first leaves at once
`burst-5000`          5,000 tokens as fast as the reader takes them, eight in one write
`flood-2000`          as a burst, 64 in one write: costs the fake the least
`quick`               four tokens in one write
`embed`               vectors of 1,024 floats
`model-0001` …        as `quick`; only there to make the catalogue long
====================  =========================================================================

Every token of a paced stream is ` @` and the 14-digit CLOCK_MONOTONIC microsecond of its sending;
the clock is one for all processes, so a reader anywhere knows how long the token was under way.
A reader counts tokens by counting `@`, one byte, which no framing can split.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

import orjson

DIMENSIONS = 1_024
QUICK = 4
BLOCKS = {"burst": 8, "flood": 64}  # tokens in one write
CREATED = "2026-01-05T09:30:00.123456789Z"
# A real answer's counters; the figures are constant since nobody here reads them.
COUNTERS = (
    '"done_reason":"stop","total_duration":912000000,"load_duration":40100000,'
    '"prompt_eval_count":31,"prompt_eval_duration":88000000,"eval_count":%d,'
    '"eval_duration":74000000'
)
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
    b"Date: Mon, 05 Jan 2026 09:30:00 GMT\r\nTransfer-Encoding: chunked\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Script:
    """How a model behaves and the bytes it says."""

    count: int
    interval_ns: int  # 0: as fast as the reader takes
    together: int  # tokens in one write, when not paced
    token: bytes  # one chunk, a bytes format for the 14-digit stamp
    block: bytes  # `together` chunks, stamp 0
    rest: bytes  # count % together chunks, stamp 0
    end: bytes  # the last line, the last chunk
    whole: bytes  # the whole HTTP answer to a call that does not stream


def script(model: str, chat: bool) -> Script:
    """Return the script of a model; raises KeyError for a name that is none."""
    count, rate = _behaviour(model)
    together = BLOCKS.get(model.partition("-")[0], QUICK + 1)
    opening = f'{{"model":"{model}","created_at":"{CREATED}",'
    if chat:
        before, after = '"message":{"role":"assistant","content":"', '"},'
    else:
        before, after = '"response":"', '",'
    line = f'{opening}{before} @%014d{after}"done":false}}\n'.encode()
    token = b"%x\r\n%b\r\n" % (len(line % 0), line)
    counters = COUNTERS % count
    last = f'{opening}{before}{after}"done":true,{counters}}}\n'.encode()
    text = " @00000000000000" * count
    whole = f'{opening}{before}{text}{after}"done":true,{counters}}}'.encode()
    return Script(
        count=count,
        interval_ns=int(1e9 / rate) if rate else 0,
        token=token,
        together=together,
        block=(token % 0) * together,
        rest=(token % 0) * (count % together),
        end=b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last),
        whole=answer(whole),
    )


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a whole HTTP answer around a JSON body."""
    return (
        b"HTTP/1.1 %b\r\nContent-Type: application/json; charset=utf-8\r\n"
        b"Date: Mon, 05 Jan 2026 09:30:00 GMT\r\nContent-Length: %d\r\n\r\n%b"
        % (status, len(body), body)
    )


def embeddings(count: int) -> bytes:
    """Return the whole HTTP answer with `count` unit vectors, as float32 prints."""
    rng = random.Random(count)
    vectors = []
    for _ in range(count):
        raw = [rng.gauss(0, 1) for _ in range(DIMENSIONS)]
        norm = sum(x * x for x in raw) ** 0.5
        single = struct.unpack(
            f"{DIMENSIONS}f", struct.pack(f"{DIMENSIONS}f", *(x / norm for x in raw))
        )
        vectors.append("[" + ",".join(f"{x:.8g}" for x in single) + "]")
    return answer(
        b'{"model":"embed","embeddings":[%b],"total_duration":21000000,'
        b'"load_duration":900000,"prompt_eval_count":%d}' % (",".join(vectors).encode(), 4 * count)
    )


def tags(names: list[str]) -> bytes:
    """Return the answer of GET /api/tags."""
    return answer(orjson.dumps({"models": [_listed(name) for name in names]}))


def running(names: list[str]) -> bytes:
    """Return the answer of GET /api/ps."""
    models = [
        _listed(name)
        | {"expires_at": "2046-01-05T09:30:00Z", "size_vram": 1 << 30, "context_length": 1 << 24}
        for name in names
    ]
    return answer(orjson.dumps({"models": models}))


def show(model: str) -> bytes:
    """Return the answer of POST /api/show."""
    return answer(
        orjson.dumps(
            {
                "modelfile": "FROM bench",
                "parameters": "",
                "template": "{{ .Prompt }}",
                "details": _details(),
                "model_info": {
                    "general.architecture": "llama",
                    "general.parameter_count": 8_000_000_000,
                    "llama.context_length": 1 << 24,
                    "llama.embedding_length": DIMENSIONS,
                },
                "capabilities": _capabilities(model),
                "modified_at": "2026-01-01T00:00:00Z",
            }
        )
    )


def _behaviour(model: str) -> tuple[int, float]:
    kind, _, rest = model.removesuffix(":latest").partition("-")
    if kind in {"quick", "model"}:
        return QUICK, 0
    if kind in BLOCKS and rest.isdigit():
        return int(rest), 0
    rate, _, count = rest.partition("-")
    if kind == "paced" and count.isdigit():
        return int(count), float(rate)
    raise KeyError(model)


def _listed(name: str) -> dict[str, object]:
    return {
        "name": f"{name}:latest",
        "model": f"{name}:latest",
        "modified_at": "2026-01-01T00:00:00Z",
        "size": 4_661_224_676,
        "digest": f"{random.Random(name).getrandbits(256):064x}",
        "details": _details(),
        "capabilities": _capabilities(name),
    }


def _details() -> dict[str, object]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "8.0B",
        "quantization_level": "Q4_K_M",
    }


def _capabilities(name: str) -> list[str]:
    return ["embedding"] if name.startswith("embed") else ["completion", "tools"]
