"""`POST /api/generate` (docs/contract/native.md): a text continued, in Ollama's own words."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.chat import Call, CompletionRequest, Envelope, Json
from gateway.core.events import Reply
from gateway.core.readers import integer
from gateway.dialects.base import Dialect, Reading
from gateway.dialects.completions.dialect import COMPLETIONS
from gateway.dialects.native.answer import MEDIA_TYPE, LineWriter, error_line
from gateway.dialects.native.answer import render as render_answer
from gateway.dialects.native.request import for_loading, read_media, read_steering, read_stream
from gateway.dialects.native.words import NATIVE
from gateway.dialects.shared.reading import Fields, as_text, checked, read_model


def parse(body: Json, reading: Reading) -> Call:
    """Read a generate request; one without a prompt only loads its model, and is answered in one
    piece. Raises InvalidRequest, and Forbidden for unloading."""
    root = Fields(body)
    model = read_model(root)
    params, ignored = read_steering(body)
    prompt = root.text("prompt")
    if not prompt:
        return Call(CompletionRequest(model, ("",), for_loading(params)), loads=True, body=body)
    request = CompletionRequest(
        model=model,
        prompts=(prompt,),
        params=params,
        suffix=root.text("suffix") or "",
        system=root.text("system"),
        template=root.text("template"),
        media=tuple(
            read_media(as_text(data, f"images[{index}]"), f"images[{index}]")
            for index, data in enumerate(root.items("images"))
        ),
        context=tuple(
            checked(integer, token, f"context[{index}]", 0)
            for index, token in enumerate(root.items("context"))
        ),
    )
    return Call(
        request=request,
        stream=read_stream(body),
        ignored=ignored,
        format_param="format",
        body=body,
    )


def render(replies: Sequence[Reply], envelope: Envelope) -> Json:
    """Return the whole answer."""
    return render_answer(replies, envelope, _said)


def writer(envelope: Envelope) -> LineWriter:
    """Return what writes the answer as lines."""
    return LineWriter(envelope, _said, b'"response":', b"")


def _said(text: Json, thinking: Json, calls: Sequence[Json]) -> dict[str, Json]:
    said: dict[str, Json] = {"response": text}
    if thinking:
        said["thinking"] = thinking
    if calls:
        said["tool_calls"] = list(calls)
    return said


API_GENERATE = Dialect(
    name="api_generate",
    label=COMPLETIONS.label,
    vendor=NATIVE,
    paths=("/api/generate",),
    prompt_param="prompt",
    scope_of=COMPLETIONS.name,
    parse=parse,
    render=render,
    writer=writer,
    error_event=lambda error, request_id: error_line(error),
    media_type=MEDIA_TYPE,
)
