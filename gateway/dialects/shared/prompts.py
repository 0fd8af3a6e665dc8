"""Texts given as a string, a list of strings, or tokens (D26)."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.chat import Json
from gateway.dialects.shared.reading import invalid, missing, wrong_type

_WANTED = "a string or a list of strings"


def read_texts(value: Json, param: str, most: int) -> tuple[str, ...]:
    """Return 1 to `most` texts; tokens need the tokenizer that made them. Raises InvalidRequest."""
    if value is None:
        raise missing(param)
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise wrong_type(param, _WANTED, value)
    if not value:
        raise missing(param)
    if _is_tokens(value) or all(isinstance(item, list) and _is_tokens(item) for item in value):
        raise invalid(
            f"{param!r} must be text: token ids mean nothing to this model. In LangChain use "
            "OpenAIEmbeddings(check_embedding_ctx_length=False).",
            param,
            "unsupported_value",
        )
    if len(value) > most:
        raise invalid(f"{param!r} may hold at most {most} texts.", param)
    for item in value:
        if not isinstance(item, str):
            raise wrong_type(param, _WANTED, item)
    return tuple(value)


def _is_tokens(value: Sequence[Json]) -> bool:
    return bool(value) and all(type(item) is int for item in value)
