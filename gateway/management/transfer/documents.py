"""The file that a configuration is taken along in: YAML, which JSON is a part of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.core.chat import Json
from gateway.errors import InvalidRequest

_MOST_BYTES = 64 << 20


def as_yaml(document: Mapping[str, Json]) -> str:
    """Return a document as YAML, its sections in their order."""
    import yaml  # 1 MB, seldom used

    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def read_document(path: Path) -> Json:
    """Return what a file of YAML or JSON says. Raises InvalidRequest."""
    import yaml

    if path.stat().st_size > _MOST_BYTES:
        raise InvalidRequest(f"A document has at most {_MOST_BYTES >> 20} MB.")
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, OSError, ValueError, RecursionError) as exc:
        mark = getattr(exc, "problem_mark", None)
        place = "" if mark is None else f"Line {mark.line + 1}: "
        raise InvalidRequest(f"{place}This is neither YAML nor JSON.") from exc
