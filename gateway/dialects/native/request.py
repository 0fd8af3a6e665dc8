"""What the generating endpoints of Ollama's own API read alike."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import replace

from gateway.core.chat import Json, Media, Params
from gateway.dialects.shared.attachments import read_audio, read_image
from gateway.dialects.shared.params import read_params
from gateway.dialects.shared.reading import Fields
from gateway.errors import Forbidden

_PARAMS = ("options", "think", "format", "keep_alive", "truncate", "shift", "raw")
"""All that Ollama reads at the root to steer an answer; its options there mean nothing to it."""
_DEBUG = "_debug_render_only"
_MAGIC_CHARS = 16


def read_steering(body: Mapping[str, Json]) -> tuple[Params, tuple[str, ...]]:
    """Return the parameters of a body, and the fields ignored with notice. Raises
    InvalidRequest."""
    root = Fields(body)
    said = {name: body[name] for name in _PARAMS if name in body}
    params, ignored = read_params(said, {})
    top = root.integer("top_logprobs", 0, 20)
    if root.flag("logprobs"):
        params = replace(params, logprobs=True, top_logprobs=top)
    return params, (*ignored, _DEBUG) if root.flag(_DEBUG) else ignored


def read_stream(body: Mapping[str, Json]) -> bool:
    """Return whether the answer shall be streamed, which is Ollama's default."""
    return Fields(body).flag("stream") is not False


def for_loading(params: Params) -> Params:
    """Return what a request without a prompt says of how its model is loaded. Raises Forbidden
    where it shall be unloaded, which is what Ollama does when it shall stay for no time."""
    stays = params.keep_alive
    if stays is not None and not any(digit in "123456789" for digit in str(stays)):
        raise Forbidden("A key may not unload models: others may be using them.")
    return Params(params.options, keep_alive=stays, shift=params.shift)


def read_media(data: str, param: str) -> Media:
    """Return what stands in `images`: a picture, or a sound. Raises InvalidRequest."""
    return read_audio(data, param) if _is_sound(data) else read_image(data, param)


def _is_sound(data: str) -> bool:
    """Whether base64 begins like WAV or MP3."""
    try:
        raw = binascii.a2b_base64(data[:_MAGIC_CHARS])
    except ValueError:
        return False
    is_wave = raw[:4] == b"RIFF" and raw[8:12] == b"WAVE"
    return is_wave or raw[:3] == b"ID3" or (raw[:1] == b"\xff" and raw[1:2] >= b"\xe0")
