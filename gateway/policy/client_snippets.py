"""How each client is told of the gateway: ready pieces with address, key and model filled in.

One source for the console's tabs, `flask client-config` and `docs/clients.md`. Values are quoted
for the language they stand in: a model's name may hold anything.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Snippet:
    """One client: how it is called, where the text belongs, and the text."""

    id: str
    name: str
    place: str
    text: str


_Write: TypeAlias = Callable[[str, str, str], str]


def snippets(key: str, model: str, base: str) -> tuple[Snippet, ...]:
    """Return a piece for each client. `base` is the gateway's address without a slash at its
    end."""
    return tuple(
        Snippet(id, name, place, write(key, model, base))
        for id, (name, place, write) in _CLIENTS.items()
    )


def snippet(id: str, key: str, model: str, base: str) -> Snippet:
    """Return the piece of one client. Raises KeyError."""
    name, place, write = _CLIENTS[id]
    return Snippet(id, name, place, write(key, model, base))


def _quoted(text: str) -> str:
    """Return a string literal that Python, JavaScript, JSON, YAML and TOML all read alike."""
    return json.dumps(text, ensure_ascii=False)


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


def _open_webui(key: str, model: str, base: str) -> str:
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


def _form(key: str, model: str, base: str) -> str:
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
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1"""


def _anthropic(key: str, model: str, base: str) -> str:
    return f"""from anthropic import Anthropic

client = Anthropic(base_url={_quoted(base)}, api_key={_quoted(key)})

with client.messages.stream(
    model={_quoted(model)},
    max_tokens=1024,
    messages=[{{"role": "user", "content": "Hello!"}}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)"""


def _langchain(key: str, model: str, base: str) -> str:
    return f"""from langchain_openai import ChatOpenAI, OpenAIEmbeddings

chat = ChatOpenAI(
    base_url={_quoted(base + "/v1")},
    api_key={_quoted(key)},
    model={_quoted(model)},
    stream_usage=True,
)
print(chat.invoke("Hello!").text)

# Token ids mean nothing to Ollama: have the text itself sent.
vectors = OpenAIEmbeddings(
    base_url={_quoted(base + "/v1")},
    api_key={_quoted(key)},
    model="nomic-embed-text",
    check_embedding_ctx_length=False,
)"""


def _llamaindex(key: str, model: str, base: str) -> str:
    return f"""from llama_index.llms.openai_like import OpenAILike

llm = OpenAILike(
    api_base={_quoted(base + "/v1")},
    api_key={_quoted(key)},
    model={_quoted(model)},
    is_chat_model=True,
)
print(llm.complete("Hello!"))"""


def _litellm(key: str, model: str, base: str) -> str:
    return f"""import litellm

answer = litellm.completion(
    model={_quoted("openai/" + model)},
    api_base={_quoted(base + "/v1")},
    api_key={_quoted(key)},
    messages=[{{"role": "user", "content": "Hello!"}}],
)
print(answer.choices[0].message.content)"""


def _vercel(key: str, model: str, base: str) -> str:
    return f"""import {{ createOpenAICompatible }} from "@ai-sdk/openai-compatible";
import {{ streamText }} from "ai";

const gateway = createOpenAICompatible({{
  name: "gateway",
  baseURL: {_quoted(base + "/v1")},
  apiKey: {_quoted(key)},
  includeUsage: true,
}});

const {{ textStream }} = streamText({{ model: gateway({_quoted(model)}), prompt: "Hello!" }});
for await (const text of textStream) {{
  process.stdout.write(text);
}}"""


def _aider(key: str, model: str, base: str) -> str:
    return (
        f"export OPENAI_API_BASE={shlex.quote(base + '/v1')}\n"
        f"export OPENAI_API_KEY={shlex.quote(key)}\n"
        f"aider --model {shlex.quote('openai/' + model)}"
    )


def _opencode(key: str, model: str, base: str) -> str:
    options = {"baseURL": f"{base}/v1", "apiKey": key}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Ollama2OpenAI",
        "options": options,
        "models": {model: {"name": model}},
    }
    return json.dumps({"provider": {"gateway": provider}}, ensure_ascii=False, indent=2)


def _zed(key: str, model: str, base: str) -> str:
    described = {"name": model, "display_name": model, "max_tokens": 32768}
    provider = {"api_url": f"{base}/v1", "available_models": [described]}
    settings = {"language_models": {"openai_compatible": {"Gateway": provider}}}
    return json.dumps(settings, ensure_ascii=False, indent=2)


def _librechat(key: str, model: str, base: str) -> str:
    return f"""endpoints:
  custom:
    - name: "Ollama2OpenAI"
      apiKey: {_quoted(key)}
      baseURL: {_quoted(base + "/v1")}
      models:
        default: [{_quoted(model)}]
        fetch: true
      titleConvo: true
      titleModel: {_quoted(model)}"""


def _n8n(key: str, model: str, base: str) -> str:
    return (
        "Credential     OpenAI\n"
        f"API Key        {key}\n"
        f"Base URL       {base}/v1\n"
        f"Model          {model}"
    )


_CLIENTS: Final[Mapping[str, tuple[str, str, _Write]]] = {
    "curl": ("curl", "", _curl),
    "python": ("Python", "pip install openai", _python),
    "node": ("Node", "npm install openai", _node),
    "claude": ("Claude Code", "", _claude),
    "openwebui": ("Open WebUI", "", _open_webui),
    "continue": ("Continue", "~/.continue/config.yaml", _continue),
    "cline": ("Cline", "", _form),
    "codex": ("Codex", "~/.codex/config.toml", _codex),
    "anthropic": ("Anthropic SDK", "pip install anthropic", _anthropic),
    "langchain": ("LangChain", "pip install langchain-openai", _langchain),
    "llamaindex": ("LlamaIndex", "pip install llama-index-llms-openai-like", _llamaindex),
    "litellm": ("LiteLLM", "pip install litellm", _litellm),
    "vercel": ("Vercel AI SDK", "npm install ai @ai-sdk/openai-compatible", _vercel),
    "roo": ("Roo Code, Kilo Code", "", _form),
    "aider": ("aider", "", _aider),
    "opencode": ("opencode", "opencode.json", _opencode),
    "zed": ("Zed", "settings.json; the key goes into GATEWAY_API_KEY", _zed),
    "librechat": ("LibreChat", "librechat.yaml", _librechat),
    "n8n": ("n8n", "", _n8n),
}

CLIENTS: Final = tuple(_CLIENTS)
"""Every client by its id; the first ones are those the console shows."""
