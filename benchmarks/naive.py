"""The obvious gateway, as a baseline: Flask, gevent, `requests.post`, `iter_lines`, `json`.

No keys, no limits, no usage, no routing; it translates and nothing else, so whatever the product
costs more than this is the price of what it does, and whatever it costs less is the hot path.
"""

from __future__ import annotations

import base64
import json
import os
import struct
import time
import uuid
from collections.abc import Iterator
from typing import Any

import requests
from flask import Flask, Response, jsonify, request, stream_with_context

OLLAMA = os.environ.get("OLLAMA_URL", "http://127.0.0.1:11434")
app = Flask(__name__)


@app.post("/v1/chat/completions")
def chat_completions() -> Response:
    """Answer a chat, streamed or whole."""
    body = request.get_json()
    asked = {key: body[key] for key in ("model", "messages")}
    streams = bool(body.get("stream"))
    answer = requests.post(
        f"{OLLAMA}/api/chat", json=asked | {"stream": streams}, stream=streams, timeout=300
    )
    if streams:
        chunks = stream_with_context(_chunks(answer, body["model"]))
        return Response(chunks, mimetype="text/event-stream")
    reply = answer.json()
    return jsonify(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        object="chat.completion",
        created=int(time.time()),
        model=body["model"],
        choices=[{"index": 0, "message": reply["message"], "finish_reason": "stop"}],
        usage=_usage(reply),
    )


@app.post("/v1/embeddings")
def embeddings() -> Response:
    """Answer embeddings as floats or base64."""
    body = request.get_json()
    asked = {"model": body["model"], "input": body["input"]}
    reply = requests.post(f"{OLLAMA}/api/embed", json=asked, timeout=300).json()
    vectors: list[Any] = reply["embeddings"]
    if body.get("encoding_format") == "base64":
        vectors = [base64.b64encode(struct.pack(f"<{len(v)}f", *v)).decode() for v in vectors]
    data = [{"object": "embedding", "index": n, "embedding": v} for n, v in enumerate(vectors)]
    return jsonify(object="list", model=body["model"], data=data)


@app.get("/v1/models")
def models() -> Response:
    """List the models."""
    tags = requests.get(f"{OLLAMA}/api/tags", timeout=10).json()["models"]
    data = [{"id": m["name"], "object": "model", "created": 0, "owned_by": "ollama"} for m in tags]
    return jsonify(object="list", data=data)


def _chunks(answer: requests.Response, model: str) -> Iterator[str]:
    chunk_id, created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
    for line in answer.iter_lines():
        if not line:
            continue
        said = json.loads(line)
        choice = {
            "index": 0,
            "delta": {"content": said["message"]["content"]},
            "finish_reason": "stop" if said["done"] else None,
        }
        chunk = {
            "id": chunk_id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "choices": [choice],
        }
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


def _usage(reply: dict[str, Any]) -> dict[str, int]:
    prompt, completion = reply.get("prompt_eval_count", 0), reply.get("eval_count", 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
