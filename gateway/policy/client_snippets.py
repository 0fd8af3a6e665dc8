"""How each client is told of the gateway: ready pieces with address, key and model filled in.

One source for the console's tabs and playground, `flask client-config` and `docs/clients.md`.
Values are quoted for the language they stand in: names and prompts may hold anything. In the
templates `$key`, `$model`, `$base` and `$api` (the address with `/v1`) are string literals that
Python, JavaScript, JSON, YAML and TOML all read alike, `$sh_...` are words of a shell, `$bare_...`
stand alone in a form. A line with `$window`, the context window, is left out where that is not
known, as is one with `$percent`; `$input` and `$output` are how it is divided, of 32,768 tokens
where a client must be told.
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

USUAL_WINDOW: Final = 32_768
MOST_OUTPUT: Final = 8_192


@dataclass(frozen=True, slots=True)
class Snippet:
    """One client: how it is called, where the text belongs, and the text."""

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
    hello = [{"role": "user", "content": "Hello!"}]
    bare = {
        "key": key,
        "model": model,
        "base": base,
        "api": f"{base}/v1",
        **{role: role if role in roles else model for role in ("opus", "sonnet", "haiku")},
        "openai_model": f"openai/{model}",
        "authorization": f"Authorization: Bearer {key}",
        "chat": f"{base}/v1/chat/completions",
        "models": f"{base}/v1/models",
        "body": json.dumps({"model": model, "messages": hello}, ensure_ascii=False),
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
    return tuple(
        Snippet(id, name, place, Template(_known(text, window)).substitute(values))
        for id, (name, place, text) in _CLIENTS.items()
    )


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


_PIECES: Final = r"""
=== curl: curl
curl $sh_chat \
  -H $sh_authorization \
  -H 'Content-Type: application/json' \
  -d $sh_body
=== python: Python | pip install openai
from openai import OpenAI

client = OpenAI(base_url=$api, api_key=$key)

stream = client.chat.completions.create(
    model=$model,
    messages=[{"role": "user", "content": "Hello!"}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
=== node: Node | npm install openai
import OpenAI from "openai";

const client = new OpenAI({ baseURL: $api, apiKey: $key });

const stream = await client.chat.completions.create({
  model: $model,
  messages: [{ role: "user", content: "Hello!" }],
  stream: true,
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}
=== claude: Claude Code
export ANTHROPIC_BASE_URL=$sh_base
export ANTHROPIC_AUTH_TOKEN=$sh_key
export ANTHROPIC_DEFAULT_OPUS_MODEL=$sh_opus
export ANTHROPIC_DEFAULT_SONNET_MODEL=$sh_sonnet
export ANTHROPIC_DEFAULT_HAIKU_MODEL=$sh_haiku
export CLAUDE_CODE_AUTO_COMPACT_WINDOW=$window
export CLAUDE_AUTOCOMPACT_PCT_OVERRIDE=$percent
claude --model $sh_model
=== openwebui: Open WebUI
docker run -d -p 8080:8080 \
  -e OPENAI_API_BASE_URL=$sh_api \
  -e OPENAI_API_KEY=$sh_key \
  ghcr.io/open-webui/open-webui:main
=== continue: Continue | ~/.continue/config.yaml
models:
  - name: $model
    provider: openai
    model: $model
    apiBase: $api
    apiKey: $key
    contextLength: $window
    roles: [chat, edit, apply]
=== cline: Cline
API Provider   OpenAI Compatible
Base URL       $bare_api
API Key        $bare_key
Model ID       $bare_model
Context Window $window
=== codex: Codex | ~/.codex/config.toml
# export GATEWAY_API_KEY=$sh_key
model = $model
model_provider = "gateway"
model_context_window = $window

[model_providers.gateway]
name = "Ollama2OpenAI"
base_url = $api
env_key = "GATEWAY_API_KEY"
wire_api = "responses"
model_catalog_url = $models
request_max_retries = 1
stream_max_retries = 1
=== anthropic: Anthropic SDK | pip install anthropic
from anthropic import Anthropic

client = Anthropic(base_url=$base, api_key=$key)

with client.messages.stream(
    model=$model,
    max_tokens=1024,
    messages=[{"role": "user", "content": "Hello!"}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
=== langchain: LangChain | pip install langchain-openai
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

chat = ChatOpenAI(
    base_url=$api,
    api_key=$key,
    model=$model,
    stream_usage=True,
)
print(chat.invoke("Hello!").text)

# Token ids mean nothing to Ollama: have the text itself sent.
vectors = OpenAIEmbeddings(
    base_url=$api,
    api_key=$key,
    model="nomic-embed-text",
    check_embedding_ctx_length=False,
)
=== llamaindex: LlamaIndex | pip install llama-index-llms-openai-like
from llama_index.llms.openai_like import OpenAILike

llm = OpenAILike(
    api_base=$api,
    api_key=$key,
    model=$model,
    is_chat_model=True,
)
print(llm.complete("Hello!"))
=== litellm: LiteLLM | pip install litellm
import litellm

answer = litellm.completion(
    model=$openai_model,
    api_base=$api,
    api_key=$key,
    messages=[{"role": "user", "content": "Hello!"}],
)
print(answer.choices[0].message.content)
=== vercel: Vercel AI SDK | npm install ai @ai-sdk/openai-compatible
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { streamText } from "ai";

const gateway = createOpenAICompatible({
  name: "gateway",
  baseURL: $api,
  apiKey: $key,
  includeUsage: true,
});

const { textStream } = streamText({ model: gateway($model), prompt: "Hello!" });
for await (const text of textStream) {
  process.stdout.write(text);
}
=== roo: Roo Code, Kilo Code
API Provider   OpenAI Compatible
Base URL       $bare_api
API Key        $bare_key
Model ID       $bare_model
Context Window $window
=== aider: aider
export OPENAI_API_BASE=$sh_api
export OPENAI_API_KEY=$sh_key
aider --model $sh_openai_model
=== opencode: opencode | opencode.json
{
  "provider": {
    "gateway": {
      "npm": "@ai-sdk/openai-compatible",
      "name": "Ollama2OpenAI",
      "options": {
        "baseURL": $api,
        "apiKey": $key
      },
      "models": {
        $model: {
          "limit": { "context": $window, "output": $output },
          "name": $model
        }
      }
    }
  }
}
=== vscode: VS Code | chatLanguageModels.json (Chat: Manage Language Models, Custom Endpoint)
[
  {
    "name": "Ollama2OpenAI",
    "vendor": "customendpoint",
    "apiKey": $key,
    "apiType": "chat-completions",
    "models": [
      {
        "id": $model,
        "name": $model,
        "url": $chat,
        "toolCalling": true,
        "vision": false,
        "maxInputTokens": $input,
        "maxOutputTokens": $output
      }
    ]
  }
]
=== zed: Zed | settings.json; the key goes into GATEWAY_API_KEY
{
  "language_models": {
    "openai_compatible": {
      "Gateway": {
        "api_url": $api,
        "available_models": [
          {
            "name": $model,
            "display_name": $model,
            "max_tokens": $input
          }
        ]
      }
    }
  }
}
=== librechat: LibreChat | librechat.yaml
endpoints:
  custom:
    - name: "Ollama2OpenAI"
      apiKey: $key
      baseURL: $api
      models:
        default: [$model]
        fetch: true
      titleConvo: true
      titleModel: $model
=== n8n: n8n
Credential     OpenAI
API Key        $bare_key
Base URL       $bare_api
Model          $bare_model
"""
_HEADS: Final = re.compile(r"^=== (\w+): (.*?)(?: \| (.*))?\n", re.MULTILINE)
_PARTS: Final = _HEADS.split(_PIECES)[1:]
_CLIENTS: Final = {
    id: (name, place or "", text.rstrip("\n"))
    for id, name, place, text in zip(*(_PARTS[at::4] for at in range(4)), strict=True)
}

CLIENTS: Final = tuple(_CLIENTS)
"""Every client by its id; the first ones are those the console shows."""
