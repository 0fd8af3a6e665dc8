"""How each client is told of the gateway: ready pieces with address, key and model filled in.

One source for the console's tabs and playground, `flask client-config` and `docs/clients.md`.
Values are quoted for the language they stand in: names and prompts may hold anything. In the
templates `$key`, `$model`, `$base` and `$api` (the address with `/v1`) are string literals that
Python, JavaScript, JSON, YAML and TOML all read alike, `$sh_...` are words of a shell, `$bare_...`
stand alone in a form; `container_base` is the address for a container on this machine. A line with
`$window`, the context window, is left out where that is not known, as is one with `$percent`;
`$input` and `$output` are how it is divided, of 32,768 tokens where a client must be told.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pprint import pformat
from string import Template
from textwrap import indent
from typing import Final

from gateway.core.chat import Json
from gateway.policy.clients.kit import KIT

USUAL_WINDOW: Final = 32_768
MOST_OUTPUT: Final = 8_192


@dataclass(frozen=True, slots=True)
class Snippet:
    """One client: how it is called, where the text belongs, and the text. `group` is code, agents
    or apps."""

    group: str
    id: str
    name: str
    place: str
    text: str


def snippets(
    key: str, model: str, base: str, window: int = 0, roles: Collection[str] = ()
) -> tuple[Snippet, ...]:
    """Return a piece for each client. `base` is the gateway's address without a slash at its end,
    `window` the tokens of the model's context window (0: not known), `roles` are those for which
    the key has a model: their names are enough."""
    values = values_of(key, model, base, window, roles)
    return tuple(
        Snippet(
            client.group,
            client.id,
            client.name,
            client.place,
            Template(_known(client.text, window)).substitute(values),
        )
        for client in KIT.values()
    )


def values_of(
    key: str, model: str, base: str, window: int = 0, roles: Collection[str] = ()
) -> dict[str, str]:
    """Return what the `$names` of a piece stand for."""
    hello = [{"role": "user", "content": "Hello!"}]
    bodies = {
        "body": {"model": model, "messages": hello},
        "message_body": {"model": model, "max_tokens": 1024, "messages": hello},
        "prompt_body": {"model": model, "prompt": "Hello!"},
        "input_body": {"model": model, "input": "Hello!"},
    }
    inside = _LOCAL.sub(r"\1host.docker.internal", base)
    bare = {
        "key": key,
        "model": model,
        "base": base,
        "api": f"{base}/v1",
        **{role: role if role in roles else model for role in ("opus", "sonnet", "haiku")},
        "openai_model": f"openai/{model}",
        "bearer": f"Bearer {key}",
        "authorization": f"Authorization: Bearer {key}",
        "container_base": inside,
        "container_api": f"{inside}/v1",
        "chat": f"{base}/v1/chat/completions",
        "models": f"{base}/v1/models",
        **{name: json.dumps(body, ensure_ascii=False) for name, body in bodies.items()},
    }
    whole = window or USUAL_WINDOW
    output = min(whole // 4, MOST_OUTPUT)
    numbers = {
        "window": window,
        "input": whole - output,
        "output": output,
        "percent": _compact_percent(whole),
    }
    values = {name: str(number) for name, number in numbers.items()}
    for name, value in bare.items():
        values[name] = json.dumps(value, ensure_ascii=False)
        values[f"sh_{name}"] = shlex.quote(value)
        values[f"bare_{name}"] = value
    return values


def is_local(base: str) -> bool:
    """Whether an address means the machine it is used on."""
    return _LOCAL.match(base) is not None


def _compact_percent(window: int) -> int:
    """Return at which share of what Claude Code takes for its input it should compact, so that it
    does at three quarters of the window: it takes no window for smaller than 100,000 tokens, and
    keeps 20,000 of it for the answer (2.1.197)."""
    return min(100, 75 * window // (max(window, 100_000) - 20_000))


def _known(text: str, window: int) -> str:
    lines = text.splitlines()
    return "\n".join(line for line in lines if window or not _OF_WINDOW.search(line))


def call_snippets(body: Mapping[str, Json], base: str) -> dict[str, str]:
    """Return a chat completion with this body as curl, Python and JavaScript write it, by their
    names; pictures are cut short."""
    short = {name: _cut(value) for name, value in body.items()}
    plain = {name: short[name] for name in short if name not in {"stream", "stream_options"}}
    renamed = {"extra_body": {"options": plain["options"]}} if "options" in plain else {}
    arguments = {**{name: plain[name] for name in plain if name != "options"}, **renamed}
    values = {
        "sh_chat": shlex.quote(f"{base}/v1/chat/completions"),
        "sh_body": shlex.quote(json.dumps(short, ensure_ascii=False, indent=2)),
        "api": json.dumps(f"{base}/v1"),
        "script": json.dumps({**plain, "stream": True}, ensure_ascii=False, indent=2),
        "arguments": "".join(
            indent(f"{name}={pformat(value, sort_dicts=False)},\n", "    ")
            for name, value in arguments.items()
        ),
    }
    return {name: Template(text).substitute(values) for name, text in _CALLS.items()}


def _cut(value: Json) -> Json:
    if isinstance(value, str):
        return f"{value[:40]}…" if value.startswith("data:") else value
    if isinstance(value, list):
        return [_cut(one) for one in value]
    if isinstance(value, dict):
        return {name: _cut(one) for name, one in value.items()}
    return value


_LOCAL: Final = re.compile(r"^(https?://)(localhost|127(?:\.\d+){3}|\[::1\])(?=[:/]|$)")
"""This machine, which a container calls otherwise."""
_OF_WINDOW: Final = re.compile(r"\$(window|percent)\b")
_CALLS: Final = {
    "curl": r"""curl -N $sh_chat \
  -H 'Authorization: Bearer YOUR_KEY' \
  -H 'Content-Type: application/json' \
  -d $sh_body""",
    "Python": """from openai import OpenAI

client = OpenAI(base_url=$api, api_key="YOUR_KEY")

stream = client.chat.completions.create(
$arguments    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)""",
    "JavaScript": """import OpenAI from "openai";

const client = new OpenAI({ baseURL: $api, apiKey: "YOUR_KEY" });
const stream = await client.chat.completions.create($script);
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");""",
}


def snippet(id: str, key: str, model: str, base: str, window: int = 0) -> Snippet:
    """Return the piece of one client. Raises KeyError."""
    return {piece.id: piece for piece in snippets(key, model, base, window)}[id]
