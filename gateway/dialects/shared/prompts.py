"""Texts given as a string, a list of strings, or tokens (D26)."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.chat import Json
from gateway.dialects.base import Reading
from gateway.dialects.shared.reading import invalid, missing, wrong_type
from gateway.errors import InvalidRequest

_WANTED = "a string or a list of strings"


def read_texts(value: Json, param: str, reading: Reading, most: int) -> tuple[str, ...]:
    """Give at least one and at most `most` texts. Raises InvalidRequest.

    Tokens mean nothing without the tokenizer that made them, so they are refused unless the
    operator says which one all clients use.
    """
    if value is None:
        raise missing(param)
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise wrong_type(param, _WANTED, value)
    if not value:
        raise missing(param)
    if _is_tokens(value):
        return (_decoded(value, param, reading),)
    if len(value) > most:
        raise invalid(f"{param!r} may hold at most {most} texts.", param)
    if all(isinstance(item, str) for item in value):
        return tuple(value)
    if all(isinstance(item, list) and _is_tokens(item) for item in value):
        return tuple(
            _decoded(item, f"{param}[{index}]", reading) for index, item in enumerate(value)
        )
    raise wrong_type(param, _WANTED, next(item for item in value if not isinstance(item, str)))


def _is_tokens(value: Sequence[Json]) -> bool:
    return bool(value) and all(type(item) is int for item in value)


def _decoded(tokens: Sequence[int], param: str, reading: Reading) -> str:
    if reading.decode_tokens is None:
        raise _refused(param.partition("[")[0])
    try:
        return reading.decode_tokens(tokens)
    except (ValueError, LookupError, OverflowError):
        raise invalid(f"{param!r} holds ids that are no cl100k_base tokens.", param) from None


def _refused(param: str) -> InvalidRequest:
    return invalid(
        f"{param!r} must be text: token ids mean nothing to this model. In LangChain use "
        "OpenAIEmbeddings(check_embedding_ctx_length=False).",
        param,
        "unsupported_value",
    )
