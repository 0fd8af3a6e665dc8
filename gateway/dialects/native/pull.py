"""`/api/pull`: the progress of a pull as lines of JSON (docs/contract/native.md).

{"status": "pulling manifest"}
{"status": "pulling 6a0746a1ec1a", "digest": "sha256:6a07…", "total": 9, "completed": 4}
{"status": "success"}, or a last line `{"error": …}`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.core.chat import Json
from gateway.dialects.base import Endpoint
from gateway.dialects.native.words import NATIVE

PULL = Endpoint("api_pull", "pulls of models", NATIVE, ("/api/pull",), scope_of="pull")
"""Its scope is its own: a pull changes what models there are."""
SUCCESS: Final[Mapping[str, Json]] = {"status": "success"}
_BEGINNING: Final = "pulling manifest"
_DIGITS: Final = 12
"""Of a digest, in what is shown to people."""


class Progress:
    """What was told of a pull."""

    def __init__(self) -> None:
        self._told: dict[str, Sequence[int]] = {}

    def lines(self, status: str, layers: Mapping[str, Sequence[int]]) -> list[Json]:
        """Return a line for each layer that changed since the last call, or one with the status in
        Ollama's words; `layers` maps digest to completed and total bytes."""
        changed = {
            digest: sizes for digest, sizes in layers.items() if self._told.get(digest) != sizes
        }
        self._told.update(changed)
        if not changed:
            return [{"status": status or _BEGINNING}]
        return [
            {
                "status": f"pulling {digest.removeprefix('sha256:')[:_DIGITS]}",
                "digest": digest,
                "total": total,
                "completed": completed,
            }
            for digest, (completed, total) in changed.items()
        ]
