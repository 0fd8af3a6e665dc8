"""Steps of instructor and LlamaIndex's OpenAILike, which keep OpenAI's SDK at an older version than
the other tests use: `test_older.py` runs them in an environment of their own.

    python steps.py '{"step": "partial"}'    prints what the step found, as JSON
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from pydantic import BaseModel, field_validator

API, KEY = f"{os.environ['GATEWAY_URL']}/v1", os.environ["GATEWAY_KEY"]


class City(BaseModel):
    name: str
    people: int


class Port(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name != "Oban":
            raise ValueError("unknown port; try Oban")
        return name


def structured(mode: str) -> Any:
    """Return instructor's client."""
    import instructor
    import openai

    client = openai.OpenAI(base_url=API, api_key=KEY, max_retries=0)
    return instructor.from_openai(client, mode=instructor.Mode[mode]).chat.completions


def asked(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}]


def city(mode: str, model: str) -> Any:
    found = structured(mode).create(
        model=model, response_model=City, messages=asked("Which city?"), max_retries=0
    )
    return found.model_dump()


def port() -> Any:
    found = structured("TOOLS").create(
        model="llama3.2", response_model=Port, messages=asked("Which port?"), max_retries=2
    )
    return found.model_dump()


def partial() -> Any:
    parts = structured("JSON").create_partial(
        model="qwen3:8b", response_model=City, messages=asked("Which city?")
    )
    return [part.model_dump() for part in parts][-1]


def like(**more: Any) -> Any:
    """Return LlamaIndex's client."""
    from llama_index.llms.openai_like import OpenAILike

    return OpenAILike(
        model="llama3.2",
        api_base=API,
        api_key=KEY,
        max_retries=0,
        timeout=20,
        max_tokens=64,
        **more,
    )


def complete() -> Any:
    model = like()
    streamed = "".join(part.delta or "" for part in model.stream_complete("Hello?"))
    return {"whole": model.complete("Hello?").text, "streamed": streamed}


def chat() -> Any:
    from llama_index.core.llms import ChatMessage

    model = like(is_chat_model=True)
    messages = [ChatMessage(role="system", content="Be kind."), ChatMessage(content="Hello?")]
    streamed = "".join(part.delta or "" for part in model.stream_chat(messages))
    return {"whole": model.chat(messages).message.content, "streamed": streamed}


STEPS = {one.__name__: one for one in (city, port, partial, complete, chat)}

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(STEPS[given.pop("step")](**given)))
