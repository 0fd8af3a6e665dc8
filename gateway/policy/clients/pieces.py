"""What each client is told and what it does, by groups: the texts that `snippets` fills in.

=== group.id: name | where the text belongs
calls dialect: the steps in which it uses the gateway; the least context window it works with
the text

Steps: models (it lists them), show, load (Ollama's own), whole, stream, tools (it has a tool called
and sends the result), count (the tokens of a prompt), embed. No window: any will do.
"""

from __future__ import annotations

from typing import Final

PIECES: Final = r"""
=== code.curl: curl
calls chat: whole
curl $sh_chat \
  -H $sh_authorization \
  -H 'Content-Type: application/json' \
  -d $sh_body
=== code.python: Python | pip install openai
calls chat: stream
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
=== code.node: Node | npm install openai
calls chat: stream
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
=== code.anthropic: Anthropic SDK | pip install anthropic
calls messages: stream
from anthropic import Anthropic

client = Anthropic(base_url=$base, api_key=$key)

with client.messages.stream(
    model=$model,
    max_tokens=1024,
    messages=[{"role": "user", "content": "Hello!"}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
=== code.ollamapython: Ollama for Python | pip install ollama
calls api_chat: stream
from ollama import Client

client = Client(host=$base, headers={"Authorization": $bearer})

messages = [{"role": "user", "content": "Hello!"}]
for part in client.chat(model=$model, messages=messages, stream=True):
    print(part.message.content, end="", flush=True)
=== code.ollamajs: Ollama for JavaScript | npm install ollama
calls api_chat: stream
import { Ollama } from "ollama";

const ollama = new Ollama({ host: $base, headers: { Authorization: $bearer } });

const messages = [{ role: "user", content: "Hello!" }];
for await (const part of await ollama.chat({ model: $model, messages, stream: true })) {
  process.stdout.write(part.message.content);
}
=== code.ollamacli: Ollama command line | sends no key: it needs an anonymous key
calls api_chat: show load stream
export OLLAMA_HOST=$sh_base
ollama run $sh_model
=== code.langchain: LangChain | pip install langchain-openai
calls chat: whole embed
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
=== code.chatollama: ChatOllama | pip install langchain-ollama
calls api_chat: stream
from langchain_ollama import ChatOllama

chat = ChatOllama(
    base_url=$base,
    model=$model,
    client_kwargs={"headers": {"Authorization": $bearer}},
)
print(chat.invoke("Hello!").text)
=== code.llamaindex: LlamaIndex | pip install llama-index-llms-ollama
calls api_chat: whole
from llama_index.llms.ollama import Ollama

llm = Ollama(
    base_url=$base,
    model=$model,
    headers={"Authorization": $bearer},
    request_timeout=600,
)
print(llm.complete("Hello!"))
=== code.litellm: LiteLLM | pip install litellm
calls chat: whole
import litellm

answer = litellm.completion(
    model=$openai_model,
    api_base=$api,
    api_key=$key,
    messages=[{"role": "user", "content": "Hello!"}],
)
print(answer.choices[0].message.content)
=== code.vercel: Vercel AI SDK | npm install ai @ai-sdk/openai-compatible
calls chat: stream
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
=== agents.claude: Claude Code
calls messages: stream tools count; 65536 tokens
export ANTHROPIC_BASE_URL=$sh_base
export ANTHROPIC_AUTH_TOKEN=$sh_key
export ANTHROPIC_DEFAULT_OPUS_MODEL=$sh_opus
export ANTHROPIC_DEFAULT_SONNET_MODEL=$sh_sonnet
export ANTHROPIC_DEFAULT_HAIKU_MODEL=$sh_haiku
export CLAUDE_CODE_AUTO_COMPACT_WINDOW=$window
export CLAUDE_AUTOCOMPACT_PCT_OVERRIDE=$percent
claude --model $sh_model
=== agents.codex: Codex | ~/.codex/config.toml
calls responses: models stream tools; 16384 tokens
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
=== agents.opencode: opencode | opencode.json
calls chat: stream tools; 32768 tokens
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
=== agents.qwen: Qwen Code | ~/.qwen/settings.json
calls chat: stream tools; 32768 tokens
{
  "modelProviders": {
    "openai": [
      {
        "id": $model,
        "name": $model,
        "baseUrl": $api,
        "generationConfig": { "contextWindowSize": $window },
        "envKey": "GATEWAY_API_KEY"
      }
    ]
  },
  "env": { "GATEWAY_API_KEY": $key },
  "security": { "auth": { "selectedType": "openai" } },
  "model": { "name": $model }
}
=== agents.pi: pi | ~/.pi/agent/models.json; then pi --provider gateway
calls chat: stream tools; 16384 tokens
{
  "providers": {
    "gateway": {
      "api": "openai-completions",
      "baseUrl": $api,
      "apiKey": $key,
      "models": [
        {
          "id": $model,
          "contextWindow": $window,
          "maxTokens": $output
        }
      ]
    }
  }
}
=== agents.cline: Cline
calls chat: stream tools; 32768 tokens
API Provider   OpenAI Compatible
Base URL       $bare_api
API Key        $bare_key
Model ID       $bare_model
Context Window $window
=== agents.roo: Roo Code, Kilo Code
calls chat: stream tools; 32768 tokens
API Provider   OpenAI Compatible
Base URL       $bare_api
API Key        $bare_key
Model ID       $bare_model
Context Window $window
=== agents.continue: Continue | ~/.continue/config.yaml
calls chat: stream
models:
  - name: $model
    provider: openai
    model: $model
    apiBase: $api
    apiKey: $key
    contextLength: $window
    roles: [chat, edit, apply]
=== agents.aider: aider
calls chat: stream
export OPENAI_API_BASE=$sh_api
export OPENAI_API_KEY=$sh_key
aider --model $sh_openai_model
=== agents.vscode: VS Code | chatLanguageModels.json (Chat: Manage Language Models, Custom Endpoint)
calls chat: stream tools; 32768 tokens
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
=== agents.vscodeollama: VS Code, Ollama | chatLanguageModels.json; needs an anonymous key
calls chat: models show stream tools; 32768 tokens
[
  {
    "name": "Ollama",
    "vendor": "ollama",
    "url": $base
  }
]
=== agents.zed: Zed | settings.json; the key goes into GATEWAY_API_KEY
calls chat: stream tools; 32768 tokens
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
=== agents.cursor: Cursor | Cursor Settings, Models; its servers call: the address must be public
calls chat: stream tools; 32768 tokens
OpenAI API Key            $bare_key
Override OpenAI Base URL  $bare_api
Add Custom Model          $bare_model
=== agents.jetbrains: JetBrains AI Assistant | Settings, Tools, AI Assistant, Providers & API keys
calls chat: models stream
Provider   OpenAI-compatible
URL        $bare_api
API Key    $bare_key
Model      $bare_model
=== agents.xcode: Xcode | Settings, Intelligence, Add a Chat Provider, Internet Hosted
calls chat: models stream
URL             $bare_base
API Key         $bare_bearer
API Key Header  Authorization
=== apps.openwebui: Open WebUI
calls chat: models stream
docker run -d -p 8080:8080 \
  --add-host host.docker.internal:host-gateway \
  -e OPENAI_API_BASE_URL=$sh_container_api \
  -e OPENAI_API_KEY=$sh_key \
  ghcr.io/open-webui/open-webui:main
# One that runs: Admin Panel, Settings, Connections, OpenAI API, +
#   URL $bare_api    Auth Bearer $bare_key
=== apps.openwebuiollama: Open WebUI, Ollama
calls api_chat: models stream
docker run -d -p 8080:8080 \
  --add-host host.docker.internal:host-gateway \
  -e ENABLE_OPENAI_API=false \
  -e OLLAMA_BASE_URL=$sh_container_base \
  ghcr.io/open-webui/open-webui:main
# Then, and in one that runs: Admin Panel, Settings, Connections, Ollama API
#   URL $bare_base    Auth Bearer $bare_key
=== apps.librechat: LibreChat | librechat.yaml
calls chat: models stream
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
=== apps.homeassistant: Home Assistant | Settings, Devices & services, Add integration, Ollama
calls api_chat: models stream
URL      $bare_base
API key  $bare_key
Model    $bare_model
=== apps.n8n: n8n
calls chat: models stream
Credential     OpenAI
API Key        $bare_key
Base URL       $bare_api
Model          $bare_model
=== apps.n8nollama: n8n, Ollama
calls api_chat: models stream
Credential     Ollama
Base URL       $bare_base
API Key        $bare_key
Model          $bare_model
"""
