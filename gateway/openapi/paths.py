"""Every public route: what it takes, what it answers, under which other paths it is reached."""

from __future__ import annotations

from gateway.dialects import ENDPOINTS
from gateway.openapi.parts import Schema, flag, integer, listed, ref, text, word

OPENAI_ERRORS = {
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


def paths() -> dict[str, Schema]:
    """Return `paths` of the document; `x-aliases` lists other paths of the same route."""
    found: dict[str, Schema] = {
        "/v1/chat/completions": {
            "post": _generating(
                "createChatCompletion",
                "Answer a conversation.",
                "ChatRequest",
                "ChatCompletion",
                "ChatCompletionChunk",
            ),
            "x-aliases": ["/chat/completions"],
        },
        "/v1/completions": {
            "post": _generating(
                "createCompletion",
                "Continue a text, or fill in its middle.",
                "CompletionRequest",
                "Completion",
                "Completion",
            ),
            "x-aliases": ["/completions"],
        },
        "/v1/embeddings": {
            "post": _operation(
                "createEmbedding",
                "Turn texts into vectors.",
                body="EmbeddingRequest",
                answer="EmbeddingList",
            ),
            "x-aliases": ["/embeddings"],
        },
        **_responses(),
        **_messages(),
        **_models(),
        **_operation_paths(),
    }
    for path, item in found.items():
        for method in item.keys() & {"get", "post", "delete"}:
            item[method]["tags"] = [_tag_of(path)]
    return found


def _tag_of(path: str) -> str:
    for endpoint in ENDPOINTS:
        if any(f"{path}/".startswith(f"{known}/") for known in endpoint.paths):
            return endpoint.name.capitalize()
    return "Operation"


def _responses() -> dict[str, Schema]:
    with_id = [_in_path("response_id", "The id of a stored response.")]
    return {
        "/v1/responses": {
            "post": _generating(
                "createResponse",
                "Answer an input, keeping the response for later turns.",
                "ResponseRequest",
                "Response",
                "ResponseEvent",
            ),
            "get": {
                **_operation(
                    "refuseSocket",
                    "Refused at once: some clients try a WebSocket here first.",
                    errors=("401", "405"),
                ),
            },
            "x-aliases": ["/responses"],
        },
        "/v1/responses/{response_id}": {
            "parameters": with_id,
            "get": _operation(
                "getResponse",
                "Give a stored response of this key.",
                answer="Response",
                errors=("400", *_READING),
                parameters=[
                    _in_query("stream", flag("true is refused.")),
                    _in_query("include", listed(text())),
                ],
            ),
            "delete": _operation(
                "deleteResponse",
                "Forget a stored response of this key.",
                answer="ResponseDeleted",
                errors=_READING,
            ),
            "x-aliases": ["/responses/{response_id}"],
        },
        "/v1/responses/{response_id}/input_items": {
            "parameters": with_id,
            "get": _operation(
                "listInputItems",
                "List what a stored response was asked.",
                answer="ResponseItems",
                errors=("400", *_READING),
                parameters=[
                    _in_query("limit", integer("", 1, 100)),
                    _in_query("order", word("asc", "desc")),
                    _in_query("after", text()),
                ],
            ),
            "x-aliases": ["/responses/{response_id}/input_items"],
        },
        "/v1/responses/{response_id}/cancel": {
            "parameters": with_id,
            "post": _operation(
                "cancelResponse",
                "Refused: only background responses can be cancelled, and there are none.",
                errors=("400", *_READING),
            ),
            "x-aliases": ["/responses/{response_id}/cancel"],
        },
        "/v1/responses/compact": {
            "post": _operation(
                "refuseCompact",
                "Refused: nothing is compacted here.",
                errors=("401", "404"),
            ),
            "x-aliases": ["/responses/compact"],
        },
        "/v1/responses/input_tokens": {
            "post": _operation(
                "countInputTokens",
                "Estimate the length of an input: Ollama has no tokenizer endpoint.",
                body="ResponseRequest",
                answer="InputTokens",
            ),
            "x-aliases": ["/responses/input_tokens"],
        },
    }


def _messages() -> dict[str, Schema]:
    prefixes = ("/messages", "/anthropic/v1/messages", "/anthropic/messages")
    return {
        "/v1/messages": {
            "post": _generating(
                "createMessage",
                "Answer a conversation in Anthropic's form.",
                "MessagesRequest",
                "Message",
                "MessageEvent",
                error="AnthropicError",
            ),
            "x-aliases": list(prefixes),
        },
        "/v1/messages/count_tokens": {
            "post": _operation(
                "countTokens",
                "Estimate the length of a conversation.",
                body="MessagesRequest",
                answer="TokenCount",
                error="AnthropicError",
            ),
            "x-aliases": [f"{prefix}/count_tokens" for prefix in prefixes],
        },
    }


def _models() -> dict[str, Schema]:
    cursor = text("A model's id.")
    return {
        "/v1/models": {
            "get": _operation(
                "listModels",
                "List the models this key may call.",
                answer="ModelList",
                errors=("400", *_READING),
                parameters=[
                    _in_query("limit", integer("", 1, 1000)),
                    _in_query("after_id", cursor),
                    _in_query("before_id", cursor),
                ],
            ),
            "x-aliases": ["/models", "/anthropic/v1/models"],
        },
        "/v1/models/{model_id}": {
            "parameters": [_in_path("model_id", "A name or alias; may hold `/` and `:`.")],
            "get": _operation("getModel", "Give one model.", answer="Model", errors=_READING),
            "delete": _operation(
                "refuseDeleteModel",
                "Refused: models are managed in the console.",
                errors=("401", "404"),
            ),
            "x-aliases": ["/models/{model_id}", "/anthropic/v1/models/{model_id}"],
        },
    }


def _operation_paths() -> dict[str, Schema]:
    plain = {"content": {"text/plain": {"schema": text()}}}
    status = {"type": "object", "properties": {"status": text()}}
    healthy = {"content": {"application/json": {"schema": status}}}
    return {
        "/": {"get": _open("frontDoor", "Say that the gateway runs; browsers go to the console.",
                           {"200": {"description": "It runs.", **plain},
                            "302": {"description": "To the console."}})},
        "/healthz": {"get": _open("healthz", "Say that the process answers.",
                                  {"200": {"description": "It does.", **healthy}})},
        "/readyz": {"get": _open("readyz", "Say whether calls can be served.",
                                 {"200": _json("Ready", "They can."),
                                  "503": _json("Ready", "Not now.")})},
        "/openapi.json": {"get": _open("openapi", "Give this document.",
                                       {"200": {"description": "OpenAPI 3.1.", "content": {
                                           "application/json": {"schema": {"type": "object"}}}}})},
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "summary": "Give Prometheus' series: with METRICS_TOKEN, or from this machine.",
                "tags": [],
                "security": [{"metrics": []}, {}],
                "responses": {
                    "200": {"description": "All series of all workers.", **plain},
                    "401": _json("Error", "The token is wrong."),
                    "403": _json("Error", "Not from this machine, and there is no token."),
                },
            }
        },
    }  # fmt: skip


def _generating(
    name: str,
    summary: str,
    body: str,
    answer: str,
    event: str,
    error: str = "Error",
) -> Schema:
    """An endpoint that answers whole, or with `stream` as server-sent events."""
    operation = _operation(name, summary, body=body, answer=answer, error=error)
    content = operation["responses"]["200"]["content"]
    content["text/event-stream"] = {"schema": ref(event)}
    return operation


def _operation(
    name: str,
    summary: str,
    *,
    body: str = "",
    answer: str = "",
    error: str = "Error",
    errors: tuple[str, ...] = tuple(OPENAI_ERRORS),
    parameters: list[Schema] | None = None,
) -> Schema:
    found: Schema = {"operationId": name, "summary": summary, "tags": []}
    if parameters:
        found["parameters"] = parameters
    if body:
        content = {"application/json": {"schema": ref(body)}}
        found["requestBody"] = {"required": True, "content": content}
    responses: Schema = {"200": _json(answer, "The answer.")} if answer else {}
    for status in errors:
        about = OPENAI_ERRORS.get(status, "This method is not allowed here.")
        responses[status] = _json(error, about)
    if answer:
        responses["200"]["headers"] = {
            "x-request-id": {"schema": text("Also in the log and on the request's page.")},
            "x-gateway-ignored": {"schema": text("Fields that had no effect, by commas.")},
            "x-gateway-context": {"schema": text("Tokens of the prompt and of the window.")},
        }
    found["responses"] = responses
    return found


def _open(name: str, summary: str, responses: Schema) -> Schema:
    return {
        "operationId": name,
        "summary": summary,
        "tags": [],
        "security": [],
        "responses": responses,
    }


def _json(schema: str, about: str) -> Schema:
    return {"description": about, "content": {"application/json": {"schema": ref(schema)}}}


def _in_path(name: str, about: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": text(about)}


def _in_query(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "schema": schema}
