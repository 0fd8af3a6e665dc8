"""Ollama's own API."""

from __future__ import annotations

from gateway.openapi.parts import (
    Schema,
    alike,
    answer,
    either,
    integer,
    listed,
    nullable,
    request,
    text,
)
from gateway.openapi.shared import OBJECT

_DETAILS = answer(
    {
        **alike(text(), "parent_model", "format", "family", "parameter_size"),
        "quantization_level": text(),
        "families": nullable(listed(text())),
        **alike(integer(), "context_length"),
    },
    optional="context_length",
)
_HEAD = {**alike(text(), "name", "model", "digest"), "size": integer("Bytes.")}

SCHEMAS: dict[str, Schema] = {
    "OllamaError": answer({"error": text("A sentence.")}),
    "OllamaVersion": answer({"version": text("The oldest among the servers.")}),
    "OllamaTags": answer(
        {
            "models": listed(
                answer(
                    {
                        **_HEAD,
                        "modified_at": text(),
                        "details": _DETAILS,
                        "capabilities": listed(text()),
                    },
                    optional="capabilities",
                )
            )
        }
    ),
    "OllamaLoaded": answer(
        {
            "models": listed(
                answer(
                    {
                        **_HEAD,
                        "details": _DETAILS,
                        "expires_at": text(),
                        "size_vram": integer("Bytes."),
                        "context_length": integer("Tokens."),
                    }
                )
            )
        }
    ),
    "OllamaShowRequest": either(
        request({"model": text()}, "model"), request({"name": text("Older.")}, "name")
    ),
    "OllamaModel": answer(
        {
            "details": _DETAILS,
            "modified_at": text(),
            **alike(text(), "license", "parameters", "template", "system", "requires"),
            **alike(OBJECT, "model_info", "projector_info"),
            "messages": listed(OBJECT),
            "capabilities": listed(text()),
        },
        optional="license parameters template system requires model_info projector_info messages "
        "capabilities",
    ),
}
