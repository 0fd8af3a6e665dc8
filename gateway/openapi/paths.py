"""Every public route: what it takes, what it answers, under which other paths it is reached."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.dialects import ENDPOINTS
from gateway.dialects.models import MODELS
from gateway.dialects.native.answer import MEDIA_TYPE
from gateway.openapi.parts import (
    Schema,
    content,
    flag,
    integer,
    listed,
    parameters,
    ref,
    text,
    word,
)

_ERRORS = {
    "400": "The request cannot be served as written; `param` names the field.",
    "401": "No key, or one that is unknown, revoked or expired.",
    "403": "The key may not use this model or endpoint, or not from this address.",
    "404": "No such model, response or path.",
    "413": "The body is larger than `max_body_mb`.",
    "415": "The Content-Encoding is not known.",
    "429": "A rate limit, the number of calls at once, or a budget is reached.",
    "500": "A fault of the gateway; the text names the request id only.",
    "502": "Ollama failed, or cannot be reached.",
    "503": "Ollama or the queue is full, every server is down, or the gateway is stopping.",
    "504": "A time limit passed.",
}
_READING = ("401", "403", "404", "429", "500", "503")
_PLACES = {
    "response_id": "The id of a stored response.",
    "model_id": "A name or alias; may hold `/` and `:`.",
}
"""What stands in a path."""


def paths() -> dict[str, Schema]:
    """Return `paths` of the document; `x-aliases` lists other paths of the same route."""
    found: dict[str, Schema] = {}
    for route, operation in (_with_key() | _native()).items():
        method, path = route.split()
        endpoint = next(one for one in ENDPOINTS if f"{path}/".startswith(f"{one.paths[0]}/"))
        first, *others = endpoint.paths
        item = found.setdefault(path, {})
        item[method] = operation | {"tags": [endpoint.scope.capitalize()]}
        item["x-aliases"] = [f"{other}{path.removeprefix(first)}" for other in others]
        if names := re.findall(r"{(\w+)}", path):
            item["parameters"] = parameters("path", {name: text(_PLACES[name]) for name in names})
    return found | _refused() | _without_key()


def _with_key() -> dict[str, Schema]:
    return {
        "post /v1/chat/completions": _operation(
            "createChatCompletion",
            "Answer a conversation.",
            "ChatRequest",
            "ChatCompletion",
            "ChatCompletionChunk",
            explains=True,
        ),
        "post /v1/completions": _operation(
            "createCompletion",
            "Continue a text, or fill in its middle.",
            "CompletionRequest",
            "Completion",
            "Completion",
            explains=True,
        ),
        "post /v1/embeddings": _operation(
            "createEmbedding",
            "Turn texts into vectors.",
            "EmbeddingRequest",
            "EmbeddingList",
            explains=True,
        ),
        "post /v1/decisions": _operation(
            "createDecision",
            "Answer typed questions with probabilities.",
            "DecisionRequest",
            "Decision",
            explains=True,
        ),
        "post /v1/systemone": _operation(
            "systemOne",
            "Answer typed questions with probabilities, as Ollama does.",
            "SystemOneRequest",
            "SystemOneResponse",
            explains=True,
        ),
        "post /v1/responses": _operation(
            "createResponse",
            "Answer an input, keeping the response for later turns.",
            "ResponseRequest",
            "Response",
            "ResponseEvent",
            explains=True,
        ),
        "get /v1/responses": _operation(
            "refuseSocket",
            "Refused at once: some clients try a WebSocket here first.",
            errors=("401", "405"),
        ),
        "get /v1/responses/{response_id}": _operation(
            "getResponse",
            "Give a stored response of this key.",
            answer="Response",
            errors=("400", *_READING),
            query={"stream": flag("true is refused."), "include": listed(text())},
        ),
        "delete /v1/responses/{response_id}": _operation(
            "deleteResponse",
            "Forget a stored response of this key.",
            answer="ResponseDeleted",
            errors=_READING,
        ),
        "get /v1/responses/{response_id}/input_items": _operation(
            "listInputItems",
            "List what a stored response was asked.",
            answer="ResponseItems",
            errors=("400", *_READING),
            query={"limit": integer("", 1, 100), "order": word("asc", "desc"), "after": text()},
        ),
        "post /v1/responses/{response_id}/cancel": _operation(
            "cancelResponse",
            "Refused: only background responses can be cancelled, and there are none.",
            errors=("400", *_READING),
        ),
        "post /v1/responses/compact": _operation(
            "refuseCompact", "Refused: nothing is compacted here.", errors=("401", "404")
        ),
        "post /v1/responses/input_tokens": _operation(
            "countInputTokens",
            "Estimate the length of an input: Ollama has no tokenizer endpoint.",
            "ResponseRequest",
            "InputTokens",
        ),
        "post /v1/messages": _operation(
            "createMessage",
            "Answer a conversation in Anthropic's form.",
            "MessagesRequest",
            "Message",
            "MessageEvent",
            error="AnthropicError",
            explains=True,
        ),
        "post /v1/messages/count_tokens": _operation(
            "countTokens",
            "Estimate the length of a conversation.",
            "MessagesRequest",
            "TokenCount",
            error="AnthropicError",
        ),
        "get /v1/models": _operation(
            "listModels",
            "List the models this key may call.",
            answer="ModelList",
            errors=("400", *_READING),
            query={
                "limit": integer("", 1, 1000),
                "after_id": text("A model's id."),
                "before_id": text("A model's id."),
            },
        ),
        "get /v1/models/{model_id}": _operation(
            "getModel", "Give one model.", answer="Model", errors=_READING
        ),
        "delete /v1/models/{model_id}": _operation(
            "refuseDeleteModel",
            "Refused: models are managed in the console.",
            errors=("401", "404"),
        ),
    }


def _native() -> dict[str, Schema]:
    return {
        "post /api/chat": _operation(
            "ollamaChat",
            "Answer a conversation.",
            "OllamaChatRequest",
            "OllamaChat",
            "OllamaChat",
            kind=MEDIA_TYPE,
            error="OllamaError",
            explains=True,
        ),
        "post /api/generate": _operation(
            "ollamaGenerate",
            "Continue a text, or fill in its middle.",
            "OllamaGenerateRequest",
            "OllamaGeneration",
            "OllamaGeneration",
            kind=MEDIA_TYPE,
            error="OllamaError",
            explains=True,
        ),
        "post /api/embed": _operation(
            "ollamaEmbed",
            "Turn texts into vectors.",
            "OllamaEmbedRequest",
            "OllamaEmbeddings",
            error="OllamaError",
            explains=True,
        ),
        "post /api/embeddings": _operation(
            "ollamaEmbedOne",
            "Turn a text into a vector; older than `/api/embed`.",
            "OllamaOlderEmbedRequest",
            "OllamaEmbedding",
            error="OllamaError",
            explains=True,
        ),
        "get /api/version": _operation(
            "ollamaVersion",
            "Give Ollama's version.",
            answer="OllamaVersion",
            error="OllamaError",
            errors=_READING,
        ),
        "get /api/tags": _operation(
            "ollamaTags",
            "List the models this key may call.",
            answer="OllamaTags",
            error="OllamaError",
            errors=_READING,
        ),
        "get /api/ps": _operation(
            "ollamaLoaded",
            "List the models of this key that are in memory.",
            answer="OllamaLoaded",
            error="OllamaError",
            errors=_READING,
        ),
        "post /api/show": _operation(
            "ollamaShow",
            "Describe a model of this key.",
            "OllamaShowRequest",
            "OllamaModel",
            error="OllamaError",
        ),
        "post /api/pull": _operation(
            "ollamaPull",
            "Have a server pull a model, with the scope `pull`.",
            "OllamaPullRequest",
            "OllamaProgress",
            "OllamaProgress",
            kind=MEDIA_TYPE,
            error="OllamaError",
        ),
    }


def _refused() -> dict[str, Schema]:
    routes = {"blobs/{digest}": "post", "copy": "post", "create": "post", "push": "post"}
    routes |= {"delete": "delete"}
    found: dict[str, Schema] = {}
    for path, method in routes.items():
        operation = _operation(
            f"refuseOllama{path.partition('/')[0].capitalize()}",
            "Refused: models are managed in the console.",
            error="OllamaError",
            errors=("401", "403"),
        )
        found[f"/api/{path}"] = {method: operation | {"tags": [MODELS.scope.capitalize()]}}
    found["/api/blobs/{digest}"]["parameters"] = parameters("path", {"digest": text()})
    return found


def _without_key() -> dict[str, Schema]:
    status = {"type": "object", "properties": {"status": text()}}
    all_series = {
        "200": _answer("All series of all workers.", text(), "text/plain"),
        "401": _answer("The token is wrong.", ref("Error")),
        "403": _answer("Not from this machine, and there is no token.", ref("Error")),
    }
    found = {
        "/": _open(
            "frontDoor",
            "Say that the gateway runs; browsers go to the console.",
            {
                "200": _answer("It runs.", text(), "text/plain"),
                "302": {"description": "To the console."},
            },
        ),
        "/healthz": _open(
            "healthz", "Say that the process answers.", {"200": _answer("It does.", status)}
        ),
        "/readyz": _open(
            "readyz",
            "Say whether calls can be served.",
            {"200": _answer("They can.", ref("Ready")), "503": _answer("Not now.", ref("Ready"))},
        ),
        "/openapi.json": _open(
            "openapi", "Give this document.", {"200": _answer("OpenAPI 3.1.", {"type": "object"})}
        ),
        "/metrics": _open(
            "metrics",
            "Give Prometheus' series: with METRICS_TOKEN, or from this machine.",
            all_series,
            {"metrics": []},
            {},
        ),
    }
    return {path: {"get": operation} for path, operation in found.items()}


def _operation(
    name: str,
    summary: str,
    body: str = "",
    answer: str = "",
    event: str = "",
    *,
    kind: str = "text/event-stream",
    error: str = "Error",
    errors: tuple[str, ...] = tuple(_ERRORS),
    query: Mapping[str, Schema] | None = None,
    explains: bool = False,
) -> Schema:
    """Return an operation; with an `event` it also answers as a stream of them, of
    a media type `kind`. `explains` tells
    that it takes `x-gateway-explain`."""
    found: Schema = {"operationId": name, "summary": summary}
    if query:
        found["parameters"] = parameters("query", query)
    if body:
        found["requestBody"] = {"required": True, **content(ref(body))}
    responses = found["responses"] = {}
    if answer:
        responses["200"] = _answer("The answer.", ref(answer))
        responses["200"]["headers"] = {
            "x-request-id": {"schema": text("Also in the log and on the request's page.")},
            "x-gateway-ignored": {"schema": text("Fields that had no effect, by commas.")},
            "x-gateway-context": {"schema": text("Tokens of the prompt and of the window.")},
        }
    if explains:
        asked = {"x-gateway-explain": text("1 asks for the two headers that say why.")}
        found["parameters"] = parameters("header", asked)
        responses["200"]["headers"] |= {
            "x-gateway-explain-params": {"schema": text("Parameters in force, with who set each.")},
            "x-gateway-explain-route": {"schema": text("Why this server was chosen.")},
        }
    if event:
        responses["200"]["content"][kind] = {"schema": ref(event)}
    for status in errors:
        about = _ERRORS.get(status, "This method is not allowed here.")
        responses[status] = _answer(about, ref(error))
    return found


def _open(name: str, summary: str, responses: Schema, *security: Schema) -> Schema:
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["Operation"],
        "security": list(security),
        "responses": responses,
    }


def _answer(about: str, schema: Schema, kind: str = "application/json") -> Schema:
    return {"description": about, **content(schema, kind)}
