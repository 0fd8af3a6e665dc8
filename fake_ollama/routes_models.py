"""Listing, describing, copying and deleting models.

Source: ``server/routes.go``, ``server/model_list_cache.go``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fake_ollama.decode import COPY, SHOW, parse_fields
from fake_ollama.encoding import rfc3339
from fake_ollama.exchange import Exchange
from fake_ollama.models import GO_TEMPLATE, FakeModel
from fake_ollama.names import parse_name
from fake_ollama.refusals import Refused
from fake_ollama.scheduler import Runner

if TYPE_CHECKING:
    from fake_ollama.server import FakeOllama

_FILE_TYPES = {"Q4_0": 2, "F16": 1, "Q8_0": 7, "Q4_K_M": 15}
_LAYERS = 32
_KV_HEADS = 8
_HEAD_LENGTH = 128
_CACHE_BYTES_PER_TOKEN = _LAYERS * _KV_HEADS * 2 * _HEAD_LENGTH * 2
_MASK_BYTES_PER_TOKEN = 1_024
_COMPUTE_BYTES_PER_DIMENSION = 22_528


def tags(fake: FakeOllama, exchange: Exchange) -> None:
    exchange.send_json(200, {"models": [_listed(model) for model in fake.library.all()]})


def ps(fake: FakeOllama, exchange: Exchange) -> None:
    models = []
    runners = fake.scheduler.running()
    on_gpu = _on_gpu(fake, runners)
    for runner in runners:
        model = runner.model
        models.append(
            {
                "name": model.short,
                "model": model.short,
                "size": _size(runner),
                "digest": model.hex_digest,
                "details": _details(model),
                "expires_at": rfc3339(runner.expires_at),
                "size_vram": on_gpu[runner],
                "context_length": runner.key.num_ctx,
            }
        )
    exchange.send_json(200, {"models": models})


def _size(runner: Runner) -> int:
    model, per_token = runner.model, _MASK_BYTES_PER_TOKEN
    if model.can("completion"):
        per_token += _CACHE_BYTES_PER_TOKEN
    compute = model.embedding_length * _COMPUTE_BYTES_PER_DIMENSION
    return model.size + compute + runner.key.num_ctx * per_token


def _on_gpu(fake: FakeOllama, runners: Iterable[Runner]) -> dict[Runner, int]:
    """Share the GPU out in order of loading: what does not fit any more is in RAM, by layers."""
    left, found = fake.gpu_bytes, {}
    for runner in sorted(runners, key=lambda one: one.loaded_at):
        size = _size(runner)
        if left is None or size <= left:
            found[runner] = size
        else:
            layer = size // _LAYERS
            found[runner] = left // layer * layer
        left = None if left is None else left - found[runner]
    return found


def show(fake: FakeOllama, exchange: Exchange) -> None:
    body = parse_fields(exchange.request.body, "ShowRequest", SHOW)
    name = body.get("model") or body.get("name", "")
    if not name:
        raise Refused(400, "model is required")
    model = fake.library.describe(name, exchange)
    exchange.send_json(200, _described(fake, exchange, model, name, body))


def copy(fake: FakeOllama, exchange: Exchange) -> None:
    body = parse_fields(exchange.request.body, "CopyRequest", COPY)
    source, destination = body.get("source", ""), body.get("destination", "")
    if parse_name(source) is None:
        raise Refused(400, f'source "{source}" is invalid')
    if parse_name(destination) is None:
        raise Refused(400, f'destination "{destination}" is invalid')
    model = fake.library.find(source)
    if model is None:
        raise Refused(404, f'model "{source}" not found')
    fake.library.add(replace(model, name=destination, digest=model.hex_digest, weights=model.blob))
    exchange.send_empty()


def delete(fake: FakeOllama, exchange: Exchange) -> None:
    body = parse_fields(exchange.request.body, "DeleteRequest", SHOW)
    name = body.get("model") or body.get("name", "")
    if parse_name(name) is None:
        raise Refused(400, f'name "{name}" is invalid')
    model = fake.library.find(name)
    exchange.name_model(name, "")
    if model is None:
        raise Refused(404, f"model '{name}' not found")
    fake.library.remove(name)
    fake.scheduler.unload(model)
    exchange.send_empty()


def _listed(model: FakeModel) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": model.short, "model": model.short}
    if model.remote:
        entry |= {"remote_model": model.base_name, "remote_host": model.remote_host}
    entry |= {"modified_at": model.modified_at, "size": model.size, "digest": model.hex_digest}
    details = _details(model)
    if model.tags_capabilities != () and model.family != "bert":
        details |= {
            "context_length": model.context_length,
            "embedding_length": model.embedding_length,
        }
    entry["details"] = details
    if model.listed_capabilities:
        entry["capabilities"] = list(model.listed_capabilities)
    return entry


def _details(model: FakeModel) -> dict[str, Any]:
    families = model.families or (model.family,)
    return {
        "parent_model": model.parent_model,
        "format": "" if model.remote else "gguf",
        "family": model.family,
        "families": None if model.remote else list(families),
        "parameter_size": model.parameter_size,
        "quantization_level": model.quantization,
    }


def _described(
    fake: FakeOllama, exchange: Exchange, model: FakeModel, name: str, body: dict[str, Any]
) -> dict[str, Any]:
    system = body.get("system") or model.system
    made: dict[str, Any] = {
        "license": model.license,
        "modelfile": _modelfile(model),
        "parameters": _parameters(fake, model),
        "template": model.shown_template,
        "system": system,
    }
    made = {key: value for key, value in made.items() if value}
    made["details"] = _details(model)
    if model.remote:
        made |= {"remote_model": model.base_name, "remote_host": model.remote_host}
    made["model_info"] = _model_info(model, bool(body.get("verbose")))
    agent = str(exchange.request.headers.get("user-agent", ""))
    if agent.startswith("GitHubCopilotChat/"):
        made["model_info"]["general.basename"] = name
    if model.can("vision"):
        made["projector_info"] = {"general.architecture": "clip", "clip.has_vision_encoder": True}
    if not model.remote:
        made["tensors"] = [
            {
                "name": "token_embd.weight",
                "type": "Q4_K",
                "shape": [model.embedding_length, 32_000],
            },
            {"name": "blk.0.attn_q.weight", "type": "Q4_K", "shape": [model.embedding_length] * 2},
            {"name": "output_norm.weight", "type": "F32", "shape": [model.embedding_length]},
        ]
    capabilities = list(model.capabilities)
    fake.rng.shuffle(capabilities)
    return {**made, "capabilities": capabilities, "modified_at": model.modified_at}


def _parameters(fake: FakeOllama, model: FakeModel) -> str:
    lines = [
        f'{name:<30} "{value}"' if isinstance(value, str) else f"{name:<30} {value}"
        for name, value in model.parameters
    ]
    fake.rng.shuffle(lines)
    return "\n".join(lines)


def _modelfile(model: FakeModel) -> str:
    lines = [
        '# Modelfile generated by "ollama show"',
        "# To build a new Modelfile based on this, replace FROM with:",
        f"# FROM {model.short}",
        "",
        f"FROM /models/blobs/sha256-{model.blob}",
        f"TEMPLATE {_quoted(model.template or GO_TEMPLATE)}",
    ]
    if model.path == "rendered" and not model.gpt_oss:
        lines += [f"RENDERER {model.family}", f"PARSER {model.family}"]
    if model.system:
        lines.append(f"SYSTEM {_quoted(model.system)}")
    lines += [f"PARAMETER {name} {value}" for name, value in model.parameters]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Quote a text as Ollama writes it into a Modelfile. Source: ``parser/parser.go`` quote."""
    if "\n" not in text and text == text.strip(" "):
        return text
    return f'"""{text}"""' if '"' in text else f'"{text}"'


def _model_info(model: FakeModel, verbose: bool) -> dict[str, Any]:
    family = model.family
    info: dict[str, Any] = {
        f"{family}.block_count": _LAYERS,
        f"{family}.context_length": model.context_length,
        f"{family}.embedding_length": model.embedding_length,
        f"{family}.attention.head_count": _LAYERS,
        f"{family}.attention.head_count_kv": _KV_HEADS,
        f"{family}.attention.key_length": _HEAD_LENGTH,
        f"{family}.attention.value_length": _HEAD_LENGTH,
        "general.architecture": family,
        "general.file_type": _FILE_TYPES.get(model.quantization, 15),
        "general.parameter_count": model.parameter_count,
    }
    if not model.can("completion"):
        info[f"{family}.attention.causal"] = False
    if not model.remote:
        words = ["<s>", "</s>", "the"] if verbose else None
        info |= {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": words}
    return info
