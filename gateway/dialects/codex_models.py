"""Codex's list of models: what it must know of a model to work with it without guessing.

Codex asks `GET /v1/models?client_version=…` where its provider has a `model_catalog_url`. It warns
of a model that is not in the answer and assumes a window. Fields as in
`codex-rs/protocol/src/openai_models.rs`, tried with 0.171.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.core.catalog import Model
from gateway.core.chat import Json

TOOL_OUTPUT_TOKENS: Final = 10_000
"""The most of a tool's output that Codex keeps; less where the window is small."""
_EFFORTS: Final = (
    {"effort": "low", "description": "Thinks little"},
    {"effort": "medium", "description": "Thinks as much as the task needs"},
    {"effort": "high", "description": "Thinks longest"},
)
INSTRUCTIONS: Final = """\
You are a coding agent. You share a folder with the user and work in it with tools, step by step, \
until the task is done or you cannot go on without an answer.

How to work
- Look before you change: list files, search with rg, read what you are about to edit.
- Change files with apply_patch where you have it, else with the shell. Make the smallest change \
that does the task, in the style of the code around it. Leave unrelated code alone.
- Never undo changes that are not yours, and never delete files or rewrite history unasked.
- Run what shows that the change works: the tests near it, a build, the program itself. If it \
fails, read the message, find the cause and try again.
- Ask for outputs you can read: a part of a long file, the end of a log.
- For a task of several steps, write a short plan first and keep it up to date.
- Follow AGENTS.md files: the one nearest to a file counts for it; the user's words count more.

What you say
- Before a group of commands, one sentence on what you are about to do.
- At the end, a few sentences: what you changed, in which files, what you ran and how it went, and \
what is left. No long copies of code that stands in the files. If something did not work, say so.
"""
"""What Codex tells the model before everything else. It has no text of its own for a model that
comes from a list: without one it would send none."""


def render(models: Iterable[Model], loaded: Mapping[str, int]) -> list[Json]:
    """Return the models that write, in the order given. `loaded` are the windows of those in
    memory, by name. An unknown window is left out."""
    writing = (model for model in models if model.can("completion") is not False)
    return [
        _entry(model, model.window(loaded.get(model.name, 0)), number)
        for number, model in enumerate(writing, 1)
    ]


def _entry(model: Model, window: int, priority: int) -> Json:
    thinks = bool(model.can("thinking"))
    entry: dict[str, Json] = {
        "slug": model.display_name,
        "display_name": model.display_name,
        "description": None,
        "base_instructions": INSTRUCTIONS,
        "visibility": "list",
        "supported_in_api": True,
        "priority": priority,
        "upgrade": None,
        "default_reasoning_level": "medium" if thinks else None,
        "supported_reasoning_levels": list(_EFFORTS) if thinks else [],
        "supports_reasoning_summaries": thinks,
        "support_verbosity": False,
        "default_verbosity": None,
        "shell_type": "shell_command",
        "apply_patch_tool_type": "freeform",
        "supports_parallel_tool_calls": True,
        "experimental_supported_tools": [],
        "input_modalities": ["text", "image"] if model.can("vision") else ["text"],
        "truncation_policy": {"mode": "tokens", "limit": TOOL_OUTPUT_TOKENS},
    }
    if window:
        entry["context_window"] = window
        entry["auto_compact_token_limit"] = window * 3 // 4
        limit = min(TOOL_OUTPUT_TOKENS, window // 8)
        entry["truncation_policy"] = {"mode": "tokens", "limit": limit}
    return entry
