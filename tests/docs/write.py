"""`python -m tests.docs.write`: the parts of the documentation that the program knows better.

The API reference comes from the OpenAPI document, the keys of overrides and the clients'
configurations from the tables the program itself works with.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from gateway.cli import COMMANDS
from gateway.core.options import KEYS, Option
from gateway.openapi import parts, shared
from gateway.policy.clients import snippets as client_snippets
from gateway.schemas import convert
from gateway.schemas.settings import DEFAULTS, RuntimeSettings
from tests.support.document import document

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
BASE, KEY, MODEL = "http://localhost:3000", "YOUR_KEY", "llama3.2"
WINDOW = 32_768
_COMMON = parts.request(shared.GENERATION)["properties"]
_ADMIN = "/api/admin/"
_METHODS = ("get", "post", "patch", "put", "delete")
_CLIENT = re.compile(r"(<!-- client: (\w+) (\w+) -->\n).*?(?=<!-- end -->)", re.S)
_SETTINGS = re.compile(r"(<!-- settings:[^>]*-->\n).*?(?=<!-- end -->)", re.S)
_COMMANDS = re.compile(r"(<!-- commands:[^>]*-->\n).*?(?=<!-- end -->)", re.S)
_KEYS = re.compile(r"(<!-- keys:[^>]*-->\n).*?(?=<!-- end -->)", re.S)

_OPENING = """\
Written from the OpenAPI document, which every gateway serves at `/openapi.json` and shows at
`/docs`. What the fields
mean at OpenAI and Anthropic is in their own documentation; here stands what the gateway takes and
what it does differently. Rules, decisions and their reasons are in the
[contract](contract/README.md), terms in the [glossary](glossary.md)."""
_ABOUT_COMMON = """\
Ollama's words, taken by every generating endpoint; embeddings take the time limits, `keep_alive`
and `truncate`, decisions the time limits and `keep_alive`. What each one means stands in
[parameters](parameters.md)."""
_ABOUT_ERRORS = """\
OpenAI's form: `{"error": {"message", "type", "param", "code"}}`. Anthropic's form, on paths with
`/messages`: `{"type": "error", "error": {"type", "message"}, "request_id"}`. Ollama's, on paths
below `/api/`: `{"error": "a sentence"}`. `Retry-After` is at
most 60; `x-should-retry: false` says that repeating does not help. A failure in the middle of a
stream is its last event, and there is no `[DONE]` after it."""


def written() -> dict[Path, str]:
    """Give every file with written parts, as it should be."""
    parameters, clients = DOCS / "parameters.md", DOCS / "clients.md"
    settings, commands = DOCS / "settings.md", DOCS / "cli.md"
    return {
        settings: _SETTINGS.sub(lambda found: found[1] + _setting_tables(), settings.read_text()),
        commands: _COMMANDS.sub(lambda found: found[1] + _command_list(), commands.read_text()),
        parameters: _KEYS.sub(lambda found: found[1] + _key_table(), parameters.read_text()),
        clients: _CLIENT.sub(_client, clients.read_text()),
        DOCS / "api.md": "\n".join(_reference(document())),
    }


def _client(found: re.Match[str]) -> str:
    piece = client_snippets.snippet(found[2], KEY, MODEL, BASE, WINDOW)
    place = f"`{piece.place}`\n\n" if piece.place else ""
    return f"{found[1]}\n{place}```{found[3]}\n{piece.text}\n```\n\n"


def _key_table() -> str:
    rows = [
        "",
        "| Key | Value | Without it | Meaning |",
        "|---|---|---|---|",
        *(f"| `{rule.name}` | {_kind(rule)} | {rule.default} | {_escaped(rule.help)} |"
          for rule in KEYS.values()),
        "",
    ]  # fmt: skip
    return "\n".join(rows) + "\n"


def _setting_tables() -> str:
    """Return the settings of the console, a table for each of its tabs."""
    rows: list[str] = []
    tab = ""
    for name, kind in convert.fields_of(RuntimeSettings).items():
        meta = convert.meta_of(kind)
        if meta.extra["tab"] != tab:
            tab = meta.extra["tab"]
            rows += ["", f"### {'API' if tab == 'api' else tab.capitalize()}", ""]
            rows += ["| Setting | Default | Value | |", "|---|---|---|---|"]
        schema = msgspec.json.schema(kind)
        default = DEFAULTS[name]
        shown = f"`{json.dumps(default)}`" if default != "" else "empty"
        rows.append(f"| `{name}` | {shown} | {_type(schema)} | {_about(schema)} |")
    return "\n".join(rows) + "\n\n"


def _command_list() -> str:
    """Return every command with its arguments and options."""
    lines: list[str] = []
    for command in sorted(COMMANDS, key=lambda one: str(one.name)):
        inner = getattr(command, "commands", {"": command})
        for name, one in inner.items():
            full = f"{command.name} {name}".strip()
            context = click.Context(one, info_name=f"ollama2openai {full}")
            usage = " ".join(one.collect_usage_pieces(context))
            lines += ["", f"## {full}", "", " ".join(str(one.help).split()), ""]
            lines += ["```text", f"ollama2openai {full} {usage}", "```"]
            options = [p for p in one.params if isinstance(p, click.Option)]
            if options:
                lines += ["", "| Option | |", "|---|---|"]
            for option in options:
                names = ", ".join(f"`{text}`" for text in (*option.opts, *option.secondary_opts))
                lines.append(f"| {names} | {_escaped(option.help or '')} |".replace("  |", " |"))
    return "\n".join(lines) + "\n\n"


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace(">", "&gt;")


def _kind(rule: Option) -> str:
    words = {
        "limit": "tokens; -1 is no limit",
        "flag": "true or false",
        "stop": "text or list",
        "think": "true, false or a level",
        "duration": "seconds or 5m",
        "format": '"json" or a schema',
        "milliseconds": "milliseconds",
        "choice": ", ".join(rule.choices),
    }
    name = words.get(rule.kind, rule.kind)
    if rule.kind in {"number", "integer"} and rule.low is not None:
        name += f" from {rule.low:g}" + ("" if rule.high is None else f" to {rule.high:,.0f}")
    return name + (" (loads the model anew)" if rule.runner else "")


def _reference(document: Mapping[str, Any]) -> Iterator[str]:
    yield "# API reference"
    yield ""
    yield _OPENING
    yield ""
    yield document["info"]["description"].strip()
    for tag in document["tags"]:
        yield ""
        yield f"## {tag['name']}"
        for path, item in document["paths"].items():
            for method in _METHODS:
                if tag["name"] in item.get(method, {}).get("tags", ()):
                    yield from _operation(method, path, item, document)
    yield ""
    yield "### Objects of the administration"
    for name, schema in document["components"]["schemas"].items():
        if name.startswith("Admin"):
            yield ""
            yield f"#### {name}"
            yield from _fields(schema.get("properties", {}), schema.get("required", ()))
    yield ""
    yield "## Parameters of every endpoint"
    yield ""
    yield _ABOUT_COMMON
    yield from _fields(_COMMON, ())
    yield ""
    yield "## Errors"
    yield ""
    yield "| Status | Meaning |"
    yield "|---|---|"
    operation = document["paths"]["/v1/chat/completions"]["post"]
    for status, answer in operation["responses"].items():
        if status != "200":
            yield f"| {status} | {answer['description']} |"
    yield ""
    yield _ABOUT_ERRORS
    yield ""


def _operation(
    method: str, path: str, item: Mapping[str, Any], document: Mapping[str, Any]
) -> Iterator[str]:
    operation = item[method]
    yield ""
    yield f"### {method.upper()} {path}"
    yield ""
    yield operation["summary"]
    aliases = item.get("x-aliases", ())
    if aliases:
        yield ""
        yield "Also " + ", ".join(f"`{alias}`" for alias in aliases) + "."
    parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
    if parameters:
        yield ""
        yield "| Parameter | Type | |"
        yield "|---|---|---|"
        for parameter in parameters:
            schema = parameter["schema"]
            yield f"| `{parameter['name']}` | {_type(schema)} | {_about(schema)} |"
    body = operation.get("requestBody")
    if path.startswith(_ADMIN):
        taken = _link(body["content"]) if body else ""
        (answer,) = (one for status, one in operation["responses"].items() if status < "300")
        yield ""
        yield f"{f'Takes {taken}. ' if taken else ''}Answers {_link(answer['content'])}."
    elif body:
        schema = _named(body["content"]["application/json"]["schema"], document)
        fields = schema.get("properties", {})
        own = {name: field for name, field in fields.items() if _COMMON.get(name) != field}
        if len(own) < len(fields):
            yield ""
            yield "Takes the [parameters of every endpoint](#parameters-of-every-endpoint) as well."
        yield from _fields(own, schema.get("required", ()))


def _fields(fields: Mapping[str, Any], needed: Sequence[str]) -> Iterator[str]:
    yield ""
    yield "| Field | Type | |"
    yield "|---|---|---|"
    ordered = sorted(fields.items(), key=lambda each: each[0] not in needed)
    for name, field in ordered:
        about = _about(field)
        mark = " **required**" if name in needed else ""
        yield f"| `{name}`{mark} | {_type(field)} | {about} |".replace("  |", " |")


def _link(content: Mapping[str, Any]) -> str:
    """Return a link to the object that a body holds, or the kind of text it is."""
    schema = content.get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    return f"[{name}](#{name.lower()})" if name else " or ".join(f"`{kind}`" for kind in content)


def _about(schema: Mapping[str, Any]) -> str:
    words = (schema.get("title", ""), schema.get("description", ""))
    return _escaped(". ".join(word.rstrip(".") for word in words if word)).replace("|", "\\|")


def _named(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"][name] if name else schema


def _type(schema: Mapping[str, Any]) -> str:
    """Say in a few words what a value is."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        kinds = [_type(each) for each in schema["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kinds = schema.get("type", "any")
    kind = (
        next((each for each in kinds if each != "null"), "any")
        if isinstance(kinds, list)
        else kinds
    )
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{kind} {low:,} to {high:,}"
    return f"{kind} from {low:,}" if low is not None else str(kind)


def main() -> int:
    """Write what changed; say which files did."""
    for path, text in written().items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            sys.stdout.write(f"{path.relative_to(ROOT)} was written anew\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
