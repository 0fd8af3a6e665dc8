"""How the holder of a key connects: clients by endpoint, the model to begin with, and hints."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.catalog import Loaded, Model
from gateway.reports.connect import Connection, connection
from gateway.schemas.key import Key
from gateway.schemas.server import Server, ServerView

CHAT = frozenset({"completion", "tools"})
MODELS = (
    Model(1, "gemma3:4b", "gemma3:4b", capabilities=frozenset({"completion"}), server_ids=(1,)),
    Model(2, "qwen3:8b", "qwen3:8b", capabilities=CHAT, context_tokens=40_960, server_ids=(1,)),
    Model(3, "llama3.2:latest", "llama3.2", capabilities=CHAT, context_tokens=131_072),
    Model(4, "nomic:latest", "nomic", capabilities=frozenset({"embedding"}), server_ids=(1,)),
    Model(5, "nimble:latest", "nimble", capabilities=frozenset({"decision"}), server_ids=(1,)),
)
VIEWS = (
    ServerView(
        Server(1, "one", "http://one"),
        loaded={"qwen3:8b": Loaded("qwen3:8b", context_tokens=4_096)},
    ),
)


def connected(chosen: str = "", base: str = "https://ai.example.org", **rules: Any) -> Connection:
    """Return how a key with these rules connects."""
    return connection(Key(1, "one", **rules), "sk-o2a-x", base, MODELS, VIEWS, chosen)


def ids(link: Connection) -> list[str]:
    """Return which clients are shown."""
    return [piece.id for piece in link.pieces]


def test_a_model_with_tools_and_a_large_window_comes_first_and_embeddings_last() -> None:
    names = [model.display_name for model in connected().choices]

    assert names == ["llama3.2", "qwen3:8b", "gemma3:4b", "nomic"]


def test_the_chosen_model_is_taken_where_the_key_may_use_it() -> None:
    chosen, other = connected("gemma3:4b"), connected("gemma3:4b", allow=("qwen3*",))

    assert chosen.model is not None
    assert chosen.model.display_name == "gemma3:4b"
    assert other.model is not None
    assert other.model.display_name == "qwen3:8b"


ONLY = {
    "embeddings": (["curl", "python", "node", "continue"], "/v1/embeddings"),
    "messages": (["curl", "anthropic", "claude"], "/v1/messages"),
    "responses": (["curl", "codex"], "/v1/responses"),
    "completions": (["curl"], "/v1/completions"),
    "models": (["curl"], "/v1/models"),
    "pull": ([], ""),
}


@pytest.mark.parametrize("scope", ONLY)
def test_a_key_for_one_endpoint_gets_its_clients_only(scope: str) -> None:
    link = connected(scopes=(scope,))
    clients, path = ONLY[scope]

    assert ids(link) == clients
    assert all(path in piece.text for piece in link.pieces if piece.id == "curl")


def test_a_key_for_embedding_models_gets_the_embeddings_snippet() -> None:
    link = connected(allow=("nomic",))

    assert ids(link) == ONLY["embeddings"][0]
    assert all("nomic" in piece.text for piece in link.pieces)


def test_a_key_that_may_use_no_model_still_has_snippets() -> None:
    assert "curl" in ids(connected(allow=("later*",)))


HINTS = [
    ("gemma3:4b", "https://ai.example.org", ["gemma3:4b cannot call tools: agents need that."]),
    (
        "qwen3:8b",
        "https://ai.example.org",
        [
            "The window of qwen3:8b is 4,096 tokens, little for an agent: set num_ctx 32768.",
        ],
    ),
    ("llama3.2", "https://ai.example.org", []),
    (
        "llama3.2",
        "http://127.0.0.1:3000",
        ["This address works on this machine only: set the public address."],
    ),
    (
        "nomic",
        "http://[::1]:3000",
        ["This address works on this machine only: set the public address."],
    ),
]


@pytest.mark.parametrize(("model", "base", "wanted"), HINTS)
def test_what_would_not_work_is_said(model: str, base: str, wanted: list[str]) -> None:
    assert [str(hint.message) for hint in connected(model, base).hints] == wanted
