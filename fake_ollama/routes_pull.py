"""Pull, push, create and blobs. Source: ``server/images.go``, ``server/create.go``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fake_ollama.bending import play
from fake_ollama.decode import CREATE, PULL, parse_fields
from fake_ollama.encoding import encode_line
from fake_ollama.exchange import BARE_JSON, Exchange
from fake_ollama.models import FakeModel
from fake_ollama.names import parse_name
from fake_ollama.refusals import Refused
from fake_ollama.scripts import DEFAULT_SCRIPT

if TYPE_CHECKING:
    from fake_ollama.server import FakeOllama

_STEPS = 8
_SMALL_LAYERS = (1_429, 11_343, 485)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

Progress = Iterator[dict[str, Any]]


def pull(fake: FakeOllama, exchange: Exchange) -> None:
    body = parse_fields(exchange.request.body, "PullRequest", PULL)
    name = body.get("model") or body.get("name", "")
    if parse_name(name) is None:
        raise Refused(400, "invalid model name")
    exchange.name_model(name, "")
    _send(fake, exchange, body, _pull_lines(fake, name))


def push(fake: FakeOllama, exchange: Exchange) -> None:
    body = parse_fields(exchange.request.body, "PushRequest", PULL)
    name = body.get("model") or body.get("name", "")
    if not name:
        raise Refused(400, "model is required")
    model = fake.library.resolve(name, exchange)
    _send(fake, exchange, body, _push_lines(model))


def create(fake: FakeOllama, exchange: Exchange) -> None:
    body = parse_fields(exchange.request.body, "CreateRequest", CREATE)
    name = body.get("model") or body.get("name", "")
    if parse_name(name) is None:
        raise Refused(400, "invalid model name")
    exchange.name_model(name, "")
    if not body.get("from") and not body.get("files"):
        raise Refused(400, "neither 'from' or 'files' was specified")
    _send(fake, exchange, body, _create_lines(fake, name, body))


def blob(fake: FakeOllama, exchange: Exchange) -> None:
    digest = exchange.request.path.rsplit("/", 1)[-1]
    if _DIGEST.fullmatch(digest) is None:
        raise Refused(400, "invalid digest format")
    if exchange.request.method == "HEAD":
        exchange.send_empty(200 if digest in fake.blobs else 404)
        return
    found = "sha256:" + hashlib.sha256(exchange.request.body).hexdigest()
    if found != digest:
        raise Refused(400, f'digest mismatch, expected "{digest}", got "{found}"')
    known = digest in fake.blobs
    fake.blobs.add(digest)
    exchange.send_empty(200 if known else 201)


def _send(fake: FakeOllama, exchange: Exchange, body: dict[str, Any], lines: Progress) -> None:
    script = fake.scripts.take((exchange.request.path,), exchange.recorded.json or {})
    script = script or DEFAULT_SCRIPT
    exchange.put_on(script.faults)
    if play(exchange, exchange.faults):
        return
    delay_s = fake.progress_delay_s if script.delay_s is None else script.delay_s
    if body.get("stream", True):
        exchange.stream(map(encode_line, lines), lambda: delay_s)
        return
    last: dict[str, Any] = {}
    for count, one in enumerate(lines):
        exchange.step(count, delay_s)
        last = one
    exchange.send_json(200, last, BARE_JSON)


def _pull_lines(fake: FakeOllama, name: str) -> Progress:
    yield {"status": "pulling manifest"}
    model = _manifest(fake, name)
    for digest, total in _layers(model):
        yield from _transfer("pulling", digest, total)
    yield {"status": "verifying sha256 digest"}
    yield {"status": "writing manifest"}
    fake.library.add(model)
    yield {"status": "success"}


def _push_lines(model: FakeModel) -> Progress:
    yield {"status": "retrieving manifest"}
    for digest, total in _layers(model):
        yield from _transfer("pushing", digest, total)
    yield {"status": "pushing manifest"}
    yield {"status": "success"}


def _create_lines(fake: FakeOllama, name: str, body: dict[str, Any]) -> Progress:
    if body.get("from"):
        model = _derived(fake, name, body)
    else:
        yield {"status": "parsing GGUF"}
        model = FakeModel(name, system=body.get("system", ""))
    yield {"status": f"using existing layer sha256:{model.blob}"}
    for field in ("template", "system", "parameters"):
        if body.get(field):
            digest = hashlib.sha256(str(body[field]).encode()).hexdigest()
            yield {"status": f"creating new layer sha256:{digest}"}
    yield {"status": "writing manifest"}
    fake.library.add(model)
    yield {"status": "success"}


def _derived(fake: FakeOllama, name: str, body: dict[str, Any]) -> FakeModel:
    source = fake.library.find(body["from"]) or _manifest(fake, body["from"])
    given = body.get("parameters", {})
    kept = [(key, value) for key, value in source.parameters if key not in given]
    for key, value in given.items():
        kept += [(key, one) for one in (value if isinstance(value, list) else [value])]
    return replace(
        source,
        name=name,
        digest="",
        weights=source.blob,
        parent_model=source.short,
        parameters=tuple(kept),
        system=body.get("system", source.system),
        template=body.get("template", source.template),
    )


def _manifest(fake: FakeOllama, name: str) -> FakeModel:
    """Fetch what the registry has under a name. Raises Refused."""
    model, parsed = fake.offered(name), parse_name(name)
    reason = "file does not exist"
    if parsed is not None and not fake.online:
        path = f"{parsed.namespace}/{parsed.model}/manifests/{parsed.tag}"
        lookup = f"lookup {parsed.host} on 127.0.0.53:53: no such host"
        reason = f'Get "https://{parsed.host}/v2/{path}": dial tcp: {lookup}'
    elif model is not None:
        return model
    raise Refused(500, f"pull model manifest: {reason}", content_type=BARE_JSON)


def _layers(model: FakeModel) -> list[tuple[str, int]]:
    small = [
        (hashlib.sha256(f"{model.key} layer {size}".encode()).hexdigest(), size)
        for size in _SMALL_LAYERS
    ]
    return [(model.blob, model.size), *small]


def _transfer(verb: str, digest: str, total: int) -> Progress:
    status = f"{verb} {digest[:12]}"
    steps = _STEPS if total > 1_000_000 else 1
    head = {"status": status, "digest": f"sha256:{digest}", "total": total}
    yield head
    for step in range(1, steps + 1):
        yield {**head, "completed": total * step // steps}
