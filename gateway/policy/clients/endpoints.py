"""What needs only one endpoint: for keys that may use little else.

Each piece is called `<scope of the endpoint>_<client>`.
"""

from __future__ import annotations

from string import Template
from typing import Final

from gateway.policy.clients.kit import read
from gateway.policy.clients.snippets import Snippet, values_of


def endpoint_snippets(scope: str, key: str, model: str, base: str) -> tuple[Snippet, ...]:
    """Return the pieces for the endpoint of a scope; () where there are none. `base` is the
    gateway's address without a slash at its end."""
    values = values_of(key, model, base)
    return tuple(
        Snippet(
            client.group,
            id.partition("_")[2],
            client.name,
            client.place,
            Template(client.text).substitute(values),
        )
        for id, client in _ENDPOINTS.items()
        if id.startswith(f"{scope}_")
    )


_PIECES: Final = r"""
=== code.embeddings_curl: curl
curl $sh_base/v1/embeddings \
  -H $sh_authorization \
  -H 'Content-Type: application/json' \
  -d $sh_input_body
=== code.embeddings_python: Python | pip install openai
from openai import OpenAI

client = OpenAI(base_url=$api, api_key=$key)

answer = client.embeddings.create(model=$model, input=["Hello!"])
print(len(answer.data[0].embedding))
=== code.embeddings_node: Node | npm install openai
import OpenAI from "openai";

const client = new OpenAI({ baseURL: $api, apiKey: $key });

const answer = await client.embeddings.create({ model: $model, input: ["Hello!"] });
console.log(answer.data[0].embedding.length);
=== agents.embeddings_continue: Continue | ~/.continue/config.yaml
models:
  - name: $model
    provider: openai
    model: $model
    apiBase: $api
    apiKey: $key
    roles: [embed]
=== code.messages_curl: curl
curl $sh_base/v1/messages \
  -H $sh_authorization \
  -H 'Content-Type: application/json' \
  -d $sh_message_body
=== code.responses_curl: curl
curl $sh_base/v1/responses \
  -H $sh_authorization \
  -H 'Content-Type: application/json' \
  -d $sh_input_body
=== code.completions_curl: curl
curl $sh_base/v1/completions \
  -H $sh_authorization \
  -H 'Content-Type: application/json' \
  -d $sh_prompt_body
=== code.models_curl: curl
curl $sh_base/v1/models -H $sh_authorization
"""
_ENDPOINTS: Final = read(_PIECES)
