"""The administrators' API as a fragment of the OpenAPI document."""

from __future__ import annotations

from gateway.openapi.parts import (
    Schema,
    answer,
    anything,
    flag,
    integer,
    listed,
    nullable,
    ref,
    text,
    word,
)

PREFIX = "/api/admin/v1"
_TAG = "Administration"
_ERRORS = {
    "400": "The request cannot be served as written; `param` names the field.",
    "401": "No admin token, or one that is unknown, revoked or expired.",
    "403": "The token's role does not suffice.",
    "404": "There is no such thing.",
    "503": "The database does not answer.",
}
_OPERATIONS: tuple[tuple[str, str, str, str, str, str], ...] = (
    # method, path, name, summary, body, status
    ("get", "/keys", "listKeys", "List API keys, newest first.", "", "200"),
    ("post", "/keys", "issueKey", "Issue a key; `secret` is told once.", "AdminKeyIn", "201"),
    ("get", "/keys/{key_id}", "getKey", "Give one key.", "", "200"),
    ("patch", "/keys/{key_id}", "updateKey", "Change fields of a key.", "AdminKeyIn", "200"),
    ("delete", "/keys/{key_id}", "deleteKey", "Remove a key; its usage stays.", "", "200"),
    ("post", "/keys/{key_id}/rotate", "rotateKey",
     "Issue a successor; the old key works `grace_hours` more.", "AdminRotation", "201"),
    ("post", "/keys/{key_id}/revoke", "revokeKey",
     "Make a key useless for ever; running calls end.", "", "200"),
    ("get", "/models", "listAllModels", "List every model.", "", "200"),
    ("post", "/models/refresh", "refreshModels", "Ask servers for their models.", "", "200"),
    ("get", "/models/{model_id}", "getAnyModel", "Give one model with its details.", "", "200"),
    ("patch", "/models/{model_id}", "updateModel",
     "Change a model, all fields or none.", "AdminModelIn", "200"),
    ("delete", "/models/{model_id}", "forgetModel",
     "Forget a model that no server lists.", "", "200"),
    ("get", "/models/{model_id}/versions", "listModelVersions",
     "List the overrides a model had.", "", "200"),
    ("get", "/models/{model_id}/routes", "listRoutes",
     "Say which server a call would get now, and why.", "", "200"),
    ("post", "/models/{model_id}/load", "loadModel",
     "Bring a model into memory; answers when it is there, within 10 minutes.", "AdminLoad", "200"),
    ("post", "/models/{model_id}/pin", "pinModel",
     "Bring a model into memory and keep it there; answers as `load` does.", "AdminPlaces", "200"),
    ("post", "/models/{model_id}/unload", "unloadModel",
     "Take a model out of memory.", "AdminPlaces", "200"),
    ("post", "/models/{model_id}/copy", "copyModel",
     "Give a model a second name on servers.", "AdminCopy", "200"),
    ("post", "/models/{model_id}/erase", "eraseModel",
     "Remove a model from the disks of servers.", "AdminErasure", "200"),
    ("get", "/pulls", "listPulls", "List pulls, running ones first.", "", "200"),
    ("post", "/pulls", "beginPull", "Have servers fetch a model.", "AdminPull", "202"),
    ("get", "/pulls/{pull_id}", "getPull", "Give one pull with its layers.", "", "200"),
    ("delete", "/pulls/{pull_id}", "cancelPull", "Stop a pull.", "", "202"),
    ("get", "/servers", "listServers", "List servers with their state.", "", "200"),
    ("post", "/servers", "addServer", "Add a server.", "AdminServerIn", "201"),
    ("get", "/servers/{server_id}", "getServer", "Give one server.", "", "200"),
    ("patch", "/servers/{server_id}", "updateServer",
     "Change fields of a server.", "AdminServerIn", "200"),
    ("delete", "/servers/{server_id}", "removeServer", "Remove a server.", "", "200"),
    ("post", "/servers/{server_id}/test", "tryServer",
     "Try a server and say what is wrong with it.", "", "200"),
    ("get", "/settings", "getSettings", "Give every setting in force.", "", "200"),
    ("patch", "/settings", "updateSettings",
     "Change settings; null gives one its default again.", "AdminObject", "200"),
    ("get", "/config", "exportConfiguration", "Give the configuration.", "", "200"),
    ("post", "/config", "importConfiguration",
     "Import a configuration, all of it or nothing.", "AdminObject", "200"),
    ("get", "/usage", "sumUsage", "Give sums by group and time.", "", "200"),
    ("get", "/requests", "listRequests", "List calls, newest first.", "", "200"),
    ("get", "/requests/export", "exportRequests", "Give calls as CSV or JSON lines.", "", "200"),
    ("get", "/requests/{request_id}", "getRequest", "Give one call in full.", "", "200"),
    ("get", "/live", "listRunning", "List the calls that run now.", "", "200"),
    ("delete", "/live/{request_id}", "cancelRunning", "End a running call.", "", "202"),
    ("get", "/audit", "listChanges", "List what was changed by whom.", "", "200"),
    ("get", "/health", "adminHealth", "Say how the parts of a worker are.", "", "200"),
    ("get", "/admins", "listAdmins", "List accounts (owners).", "", "200"),
    ("post", "/admins", "createAdmin", "Make an account (owners).", "AdminAccountIn", "201"),
    ("patch", "/admins/{admin_id}", "updateAdmin",
     "Change an account's role or state (owners).", "AdminObject", "200"),
    ("delete", "/admins/{admin_id}", "deleteAdmin", "Remove an account (owners).", "", "200"),
    ("get", "/tokens", "listTokens", "List admin tokens (owners).", "", "200"),
    ("post", "/tokens", "issueToken",
     "Make an admin token; `secret` is told once (owners).", "AdminTokenIn", "201"),
    ("delete", "/tokens/{token_id}", "revokeToken",
     "Make an admin token useless (owners).", "", "200"),
)  # fmt: skip
_OPTIONAL = frozenset({"AdminRotation", "AdminLoad", "AdminPlaces"})
_PAGING = {"limit": integer("", 1, 1000)}
_FILTERS = {
    "since": text("From when on.", format="date-time"),
    "until": text("Until when.", format="date-time"),
    "key_id": integer(),
    "model_id": integer(),
    "server_id": integer(),
    "endpoint": text(),
    "status": text("A status, or 4xx, 5xx, ok, failed, cancelled, running."),
    "finish": text(),
    "client_app": text(),
    "min_ms": integer("Shortest duration."),
}
_QUERIES: dict[str, dict[str, Schema]] = {
    "listKeys": {**_PAGING, "offset": integer("", 0), "search": text()},
    "sumUsage": {
        **{name: _FILTERS[name] for name in _FILTERS if name not in {"finish", "min_ms"}},
        "group": word("none", "key", "model", "server", "endpoint", "client", "status"),
        "step": word("none", "hour", "day"),
    },
    "listRequests": {
        **_FILTERS,
        **_PAGING,
        "request_id": text(),
        "after": text("The cursor `next` of the page before."),
    },
    "exportRequests": {**_FILTERS, "format": word("csv", "jsonl")},
    "listRoutes": {"num_ctx": integer("The context a call needs.", 1)},
    "listChanges": {
        **_PAGING,
        "before": integer("The cursor `next` of the page before."),
        "object_kind": text(),
        "object_id": text(),
        "actor": text(),
        "action": text("The beginning of an action, such as `key.`."),
    },
    "exportConfiguration": {"digests": flag("Let keys work where it is imported.")},
    "importConfiguration": {"dry_run": flag("Only say what would change.")},
}


def fragment() -> Schema:
    """Return `paths`, `components` and `tags` of the administrators' API."""
    paths: dict[str, Schema] = {}
    for method, path, name, summary, body, status in _OPERATIONS:
        item = paths.setdefault(PREFIX + path, {})
        item[method] = _operation(name, summary, body, status)
        if "{" in path:
            item["parameters"] = [_in_path(path)]
    return {
        "paths": paths,
        "tags": [{"name": _TAG, "description": "For administrators, with tokens of their own."}],
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "admin-token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`flask --app wsgi issue-admin-token NAME` makes one.",
                }
            },
        },
    }


def _operation(name: str, summary: str, body: str, status: str) -> Schema:
    schema = {"application/json": {"schema": ref("AdminObject")}}
    if name == "exportRequests":
        schema = {"text/csv": {"schema": text()}, "application/x-ndjson": {"schema": text()}}
    responses: Schema = {status: {"description": "Done.", "content": schema}}
    for code, about in _ERRORS.items():
        content = {"application/json": {"schema": ref("Error")}}
        responses[code] = {"description": about, "content": content}
    found: Schema = {
        "operationId": name,
        "summary": summary,
        "tags": [_TAG],
        "security": [{"admin-token": []}],
        "responses": responses,
    }
    if name in _QUERIES:
        found["parameters"] = [
            {"name": query, "in": "query", "schema": schema}
            for query, schema in _QUERIES[name].items()
        ]
    if body:
        content = {"application/json": {"schema": ref(body)}}
        found["requestBody"] = {"required": body not in _OPTIONAL, "content": content}
    return found


def _in_path(path: str) -> Schema:
    name = path[path.index("{") + 1 : path.index("}")]
    schema = text() if name == "request_id" else integer()
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _schemas() -> dict[str, Schema]:
    texts = listed(text())
    budget = answer(
        {
            "metric": word("requests", "tokens"),
            "period": word("day", "week", "month", "total"),
            "limit": integer("", 1),
        }
    )
    parameters = {"type": "object", "description": "Parameters in Ollama's words."}
    key = {
        "name": text("What it is called."),
        "enabled": flag(),
        "expires_at": nullable(text(format="date-time")),
        "allow": listed(text(), "Models or patterns; `*` is all, none is nothing."),
        "deny": texts,
        "model_ids": listed(integer()),
        "cidrs": listed(text(), "Networks it may be used from."),
        "scopes": texts,
        "requests_per_minute": integer("0 is no limit.", 0),
        "tokens_per_minute": integer("0 is no limit.", 0),
        "concurrent": integer("Calls at once; 0 is no limit.", 0),
        "budgets": listed(budget),
        "zone": text("Time zone in which days begin."),
        "priority": word("interactive", "normal", "batch"),
        "default_params": parameters,
        "forced_params": parameters,
        "owner": text(),
        "notes": text(),
        "tags": texts,
        "log_bodies": nullable(flag("Keep prompts and answers; null inherits.")),
    }
    model = {
        "display_name": text(),
        "enabled": flag(),
        "override": parameters,
        "names": {"type": "object", "description": "Further names, with overrides of their own."},
        "notes": text(),
        "fallbacks": listed(integer(), "Models that answer when this one cannot."),
    }
    server = {
        "name": text(),
        "url": text(),
        "weight": integer("", 1),
        "enabled": flag(),
        "draining": flag(),
        "auth_header": text("`Name: value`; never told again."),
        "tls_verify": flag(),
        "tls_ca_file": text(),
        "slots": integer("Calls of one model at once; 0 is learned.", 0),
        "tags": texts,
    }
    places = {"server_ids": listed(integer(), "Some of the servers that have it; else all.")}
    return {
        "AdminLoad": answer(
            {**places, "keep_alive": text("How long, such as `10m` or seconds.")},
            optional="server_ids keep_alive",
        ),
        "AdminPlaces": answer(places, optional="server_ids"),
        "AdminCopy": answer({**places, "destination": text()}, optional="server_ids"),
        "AdminErasure": answer({"server_ids": listed(integer())}),
        "AdminPull": answer(
            {
                "model": text("As `ollama pull` takes it."),
                "server_ids": listed(integer(), "May be left out where there is one server."),
            },
            optional="server_ids",
        ),
        "AdminObject": {"type": "object", "additionalProperties": anything()},
        "AdminKeyIn": answer(key, optional=" ".join(key)),
        "AdminModelIn": answer(model, optional=" ".join(model)),
        "AdminServerIn": answer(server, optional=" ".join(server)),
        "AdminRotation": answer({"grace_hours": integer("", 0)}, optional="grace_hours"),
        "AdminAccountIn": answer(
            {"username": text(), "password": text(), "role": word("owner", "admin", "viewer")},
            optional="role",
        ),
        "AdminTokenIn": answer(
            {
                "name": text(),
                "role": word("owner", "admin", "viewer"),
                "expires_at": text(format="date-time"),
            },
            optional="role expires_at",
        ),
    }
