"""How a client is told of the gateway: ready pieces with address, key and model filled in."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from flask import request

from gateway.services import services

PLACEHOLDER = "sk-o2a-…"


@dataclass(frozen=True, slots=True)
class Snippet:
    """One client: how it is called, where the text belongs, and the text."""

    id: str
    name: str
    place: str
    text: str


def base_url() -> str:
    """Give the address clients use: as set, else the one this page was asked at."""
    given = services().settings.behaviour().public_url
    return (given or request.host_url).rstrip("/")


def snippets(key: str, model: str, base: str) -> tuple[Snippet, ...]:
    """Give a piece for each client, in the order they are offered."""
    return (
        Snippet("curl", "curl", "", _curl(key, model, base)),
        Snippet("python", "Python", "pip install openai", _python(key, model, base)),
        Snippet("node", "Node", "npm install openai", _node(key, model, base)),
        Snippet("claude", "Claude Code", "", _claude(key, model, base)),
        Snippet("openwebui", "Open WebUI", "", _open_webui(key, base)),
        Snippet("continue", "Continue", "~/.continue/config.yaml", _continue(key, model, base)),
        Snippet("cline", "Cline", "", _cline(key, model, base)),
        Snippet("codex", "Codex", "~/.codex/config.toml", _codex(key, model, base)),
    )


def _curl(key: str, model: str, base: str) -> str:
    body = json.dumps(
        {"model": model, "messages": [{"role": "user", "content": "Hello!"}]}, ensure_ascii=False
    )
    return (
        f"curl {shlex.quote(base + '/v1/chat/completions')} \\\n"
        f"  -H {shlex.quote(f'Authorization: Bearer {key}')} \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(body)}"
    )


def _python(key: str, model: str, base: str) -> str:
    return f"""from openai import OpenAI

client = OpenAI(base_url={_quoted(base + "/v1")}, api_key={_quoted(key)})

stream = client.chat.completions.create(
    model={_quoted(model)},
    messages=[{{"role": "user", "content": "Hello!"}}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)"""


def _node(key: str, model: str, base: str) -> str:
    return f"""import OpenAI from "openai";

const client = new OpenAI({{ baseURL: {_quoted(base + "/v1")}, apiKey: {_quoted(key)} }});

const stream = await client.chat.completions.create({{
  model: {_quoted(model)},
  messages: [{{ role: "user", content: "Hello!" }}],
  stream: true,
}});
for await (const chunk of stream) {{
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}}"""


def _claude(key: str, model: str, base: str) -> str:
    name = shlex.quote(model)
    return (
        f"export ANTHROPIC_BASE_URL={shlex.quote(base)}\n"
        f"export ANTHROPIC_AUTH_TOKEN={shlex.quote(key)}\n"
        f"export ANTHROPIC_DEFAULT_OPUS_MODEL={name}\n"
        f"export ANTHROPIC_DEFAULT_SONNET_MODEL={name}\n"
        f"export ANTHROPIC_DEFAULT_HAIKU_MODEL={name}\n"
        f"claude --model {name}"
    )


def _open_webui(key: str, base: str) -> str:
    return (
        "docker run -d -p 8080:8080 \\\n"
        f"  -e OPENAI_API_BASE_URL={shlex.quote(base + '/v1')} \\\n"
        f"  -e OPENAI_API_KEY={shlex.quote(key)} \\\n"
        "  ghcr.io/open-webui/open-webui:main"
    )


def _continue(key: str, model: str, base: str) -> str:
    return f"""models:
  - name: {_quoted(model)}
    provider: openai
    model: {_quoted(model)}
    apiBase: {_quoted(base + "/v1")}
    apiKey: {_quoted(key)}
    roles: [chat, edit, apply]"""


def _cline(key: str, model: str, base: str) -> str:
    return (
        "API Provider   OpenAI Compatible\n"
        f"Base URL       {base}/v1\n"
        f"API Key        {key}\n"
        f"Model ID       {model}"
    )


def _codex(key: str, model: str, base: str) -> str:
    return f"""# export GATEWAY_API_KEY={shlex.quote(key)}
model = {_quoted(model)}
model_provider = "gateway"

[model_providers.gateway]
name = "Ollama2OpenAI"
base_url = {_quoted(base + "/v1")}
env_key = "GATEWAY_API_KEY"
wire_api = "responses\""""


def _quoted(text: str) -> str:
    """Give a string literal that Python, JavaScript, YAML and TOML all read alike."""
    return json.dumps(text, ensure_ascii=False)
